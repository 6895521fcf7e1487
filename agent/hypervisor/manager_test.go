package hypervisor_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/vm"
)

func TestCreateIsObservedAsAsked(t *testing.T) {
	h := newHost(t, fake.Options{})
	order := h.order(uuid.NewString())
	var steps []string
	order.Progress = func(step string) { steps = append(steps, step) }
	id, err := h.Create(t.Context(), order)
	require.NoError(t, err)
	seen := h.only()
	require.Equal(t, order.Definition.UUID, id)
	require.Equal(t, id, seen.ID)
	require.True(t, seen.Ours)
	require.Equal(t, hypervisor.StateRunning, seen.State)
	require.Equal(t, order.Owner, seen.Owner)
	stored := order.Definition.WithoutSecrets()
	require.Equal(t, &stored, seen.Definition)
	require.Equal(t, vm.Hidden, seen.Definition.CloudInit.UserData, "libvirt shows domains to everyone on the host")
	require.Equal(t, "pc-q35-7.2", seen.Machine)
	require.Contains(t, steps, "fetching image disk")
	require.Contains(t, steps, "starting")
}

func TestCreateTwiceChangesNothing(t *testing.T) {
	h := newHost(t, fake.Options{})
	order := h.order(uuid.NewString())
	for range 2 {
		_, err := h.Create(t.Context(), order)
		require.NoError(t, err)
	}
	before := h.driver.Leftovers()
	order.Owner.Generation = 7
	_, err := h.Create(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, before, h.driver.Leftovers())
	require.EqualValues(t, 7, h.only().Owner.Generation)
}

func TestPlanInterfaceCreatesAndDeletes(t *testing.T) {
	h := newHost(t, fake.Options{})
	var kvm hypervisor.KVMManager = h.Manager
	id, err := kvm.CreateVM(t.Context(), &vm.Definition{Name: "plain", CPUs: 1, MemoryMB: 64, DiskGB: 1, NetworkInterfaces: []vm.NetworkInterface{{}}})
	require.NoError(t, err)
	exists, err := kvm.VMExists(t.Context(), id)
	require.NoError(t, err)
	require.True(t, exists)
	require.NoError(t, kvm.DeleteVM(t.Context(), id))
	exists, err = kvm.VMExists(t.Context(), id)
	require.NoError(t, err)
	require.False(t, exists)
	require.ErrorIs(t, kvm.DeleteVM(t.Context(), id), hypervisor.ErrNotFound)
	h.requireNothing()
}

func TestBaseStaysWhileAnOverlayNeedsIt(t *testing.T) {
	h := newHost(t, fake.Options{})
	first, second := h.order(uuid.NewString()), h.order(uuid.NewString())
	second.Definition.Name = "web-2"
	for _, o := range []hypervisor.CreateSpec{first, second} {
		_, err := h.Create(t.Context(), o)
		require.NoError(t, err)
	}
	require.NoError(t, h.Delete(t.Context(), first.Definition.UUID, hypervisor.DeleteOptions{}))
	require.NoError(t, h.Stop(t.Context(), second.Definition.UUID, hypervisor.StopOptions{}))
	require.NoError(t, h.Start(t.Context(), second.Definition.UUID), "its base is gone")
	require.NoError(t, h.CollectBases(t.Context()))
	require.NoError(t, h.Start(t.Context(), second.Definition.UUID))
	require.NoError(t, h.Delete(t.Context(), second.Definition.UUID, hypervisor.DeleteOptions{}))
	h.requireNothing()
}

func TestForeignDomainsAndVolumesAreNeverTouched(t *testing.T) {
	h := newHost(t, fake.Options{})
	id := uuid.NewString()
	foreign := `<domain type="qemu"><name>web</name><uuid>` + id + `</uuid><metadata><x:y xmlns:x="urn:other"/></metadata></domain>`
	require.NoError(t, h.driver.Define(t.Context(), foreign))
	require.NoError(t, h.driver.Start(t.Context(), id))
	_, err := h.driver.CreateVolume(t.Context(), hypervisor.VolumeSpec{Pool: "default", Name: "precious.qcow2", Format: "qcow2", CapacityBytes: 1})
	require.NoError(t, err)
	_, err = h.driver.CreateVolume(t.Context(), hypervisor.VolumeSpec{Pool: "default", Name: "nc-base-notes.raw", Format: "raw", CapacityBytes: 1})
	require.NoError(t, err)
	before := h.driver.Leftovers()

	require.NoError(t, h.CollectBases(t.Context()))
	require.Equal(t, before, h.driver.Leftovers(), "an unused base has another name")
	require.ErrorIs(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{Vouched: true}), hypervisor.ErrForeign)
	require.ErrorIs(t, h.Stop(t.Context(), id, hypervisor.StopOptions{Force: true}), hypervisor.ErrForeign)
	require.ErrorIs(t, h.Start(t.Context(), id), hypervisor.ErrForeign)
	require.ErrorIs(t, h.SetOwner(t.Context(), id, hypervisor.Owner{ClusterID: testCluster}), hypervisor.ErrForeign)
	_, err = h.Console(t.Context(), id)
	require.ErrorIs(t, err, hypervisor.ErrForeign)
	_, err = h.Create(t.Context(), h.order(id))
	require.ErrorIs(t, err, hypervisor.ErrForeign)
	// Its name is taken too: a create of that name fails, and undoes itself alone.
	_, err = h.Create(t.Context(), h.order(uuid.NewString()))
	require.ErrorIs(t, err, hypervisor.ErrExists)

	require.Equal(t, before, h.driver.Leftovers())
	require.False(t, h.only().Ours)
	require.Equal(t, hypervisor.StateRunning, h.only().State)
}

func TestOtherClustersMachineIsForeign(t *testing.T) {
	h := newHost(t, fake.Options{})
	id := h.create()
	other, err := hypervisor.New(hypervisor.Config{Driver: h.driver, ClusterID: "another", JournalDir: t.TempDir()})
	require.NoError(t, err)
	require.ErrorIs(t, other.Delete(t.Context(), id, hypervisor.DeleteOptions{}), hypervisor.ErrForeign)
}

func TestVolumeInTheWayIsRefused(t *testing.T) {
	h := newHost(t, fake.Options{})
	order := h.order(uuid.NewString())
	name := hypervisor.VolumeName(order.Definition.UUID, "root", "qcow2")
	_, err := h.driver.CreateVolume(t.Context(), hypervisor.VolumeSpec{Pool: "default", Name: name, Format: "qcow2", CapacityBytes: 1})
	require.NoError(t, err)
	_, err = h.Create(t.Context(), order)
	require.ErrorIs(t, err, hypervisor.ErrExists)
	require.Equal(t, []string{"volume default/" + name}, h.driver.Leftovers())
}

// Attack 12: a link that somebody planted where a volume will be.
func TestSymlinkInPoolIsRefused(t *testing.T) {
	pool := t.TempDir()
	h := newHost(t, fake.Options{Facts: hypervisor.HostFacts{Pools: []hypervisor.PoolFacts{{Name: "default", Path: pool, CapacityBytes: 1 << 40}}}})
	order := h.order(uuid.NewString())
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.Symlink(victim, filepath.Join(pool, hypervisor.VolumeName(order.Definition.UUID, "root", "qcow2"))))
	_, err := h.Create(t.Context(), order)
	require.ErrorIs(t, err, hypervisor.ErrUnsafePath)
	h.requireNothing()
}

func TestStaleEpochIsRefused(t *testing.T) {
	h := newHost(t, fake.Options{})
	id := h.create()
	require.NoError(t, h.SetOwner(t.Context(), id, hypervisor.Owner{ClusterID: testCluster, Epoch: 5, Generation: 2}))
	require.ErrorIs(t, h.SetOwner(t.Context(), id, hypervisor.Owner{ClusterID: testCluster, Epoch: 4, Generation: 9}), hypervisor.ErrStaleEpoch)
	order := h.order(id)
	_, err := h.Create(t.Context(), order)
	require.ErrorIs(t, err, hypervisor.ErrStaleEpoch)
	require.EqualValues(t, 5, h.only().Owner.Epoch)
}

func TestImpossibleOrderIsRefusedWithEveryReason(t *testing.T) {
	h := newHost(t, fake.Options{Facts: hypervisor.HostFacts{CPUs: 2, MemoryMB: 1024}})
	order := h.order(uuid.NewString())
	order.Definition.CPUs, order.Definition.MemoryMB, order.Definition.Pool = 64, 4096, "nowhere"
	order.Definition.NetworkInterfaces[0].Network = "mars"
	order.Definition.Machine = "pc-q35-99.0"
	_, err := h.Create(t.Context(), order)
	var faults vm.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 5)
	h.requireNothing()
}

func TestImageThatDoesNotFitIsRefused(t *testing.T) {
	h := newHost(t, fake.Options{})
	order := h.order(uuid.NewString())
	large, err := os.Create(filepath.Join(string(order.Images.(imageDir)), "disk"))
	require.NoError(t, err)
	require.NoError(t, large.Truncate(3<<30))
	require.NoError(t, large.Close())
	order.Images = fixedImages{imageDir: order.Images.(imageDir)}
	_, err = h.Create(t.Context(), order)
	require.ErrorContains(t, err, "ask for at least 3 GiB")
	h.requireNothing()
}

// fixedImages answers with a made-up hash, so that no large file is read.
type fixedImages struct{ imageDir }

func (f fixedImages) Image(_ context.Context, name string) (hypervisor.ImageFile, error) {
	return hypervisor.ImageFile{Path: filepath.Join(string(f.imageDir), name), Format: "raw",
		SHA256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}, nil
}

func TestGracefulStopAsksAgainThenForces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		calls := map[string]int{}
		h := newHost(t, fake.Options{IgnoreShutdown: true, IgnoreTerm: true, Fault: func(op, volume string) error {
			mu.Lock()
			defer mu.Unlock()
			calls[op]++
			return nil
		}})
		id := h.create()
		start := time.Now()
		require.NoError(t, h.Stop(t.Context(), id, hypervisor.StopOptions{Timeout: 35 * time.Second}))
		require.Equal(t, 35*time.Second, time.Since(start))
		require.Equal(t, 4, calls["Shutdown"], "at 0, 10, 20 and 30 s")
		require.Equal(t, 2, calls["Kill"], "gently, then hard")
		require.Equal(t, hypervisor.StateStopped, h.only().State)
		require.NoError(t, h.Stop(t.Context(), id, hypervisor.StopOptions{}), "already stopped")
	})
}

func TestGuestThatObeysIsNotKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, fake.Options{ShutdownTime: 3 * time.Second, Fault: func(op, volume string) error {
			if op == "Kill" {
				return errors.New("killed a guest that obeys")
			}
			return nil
		}})
		id := h.create()
		start := time.Now()
		require.NoError(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{}))
		require.InDelta(t, 3, time.Since(start).Seconds(), 0.2)
		h.requireNothing()
	})
}

func TestEventsAndConsole(t *testing.T) {
	h := newHost(t, fake.Options{})
	events, err := h.Subscribe(t.Context())
	require.NoError(t, err)
	id := h.create()
	require.Equal(t, hypervisor.Event{ID: id, Kind: "defined"}, <-events)
	require.Equal(t, hypervisor.Event{ID: id, Kind: "started"}, <-events)
	console, err := h.Console(t.Context(), id)
	require.NoError(t, err)
	defer console.Close()
	line, err := bufio.NewReader(console).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "GUEST-UP web\r\n", line)
	require.NoError(t, h.driver.SetState(id, hypervisor.StateCrashed))
	require.Equal(t, hypervisor.Event{ID: id, Kind: "crashed"}, <-events)
}

func TestParallelCreatesImportAnImageOnce(t *testing.T) {
	var mu sync.Mutex
	uploads := 0
	h := newHost(t, fake.Options{Fault: func(op, volume string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "UploadVolume" && strings.HasPrefix(volume, "nc-base-") {
			uploads++
		}
		return nil
	}})
	var wg sync.WaitGroup
	for i := range 8 {
		order := h.order(uuid.NewString())
		order.Definition.Name = string(rune('a' + i))
		wg.Go(func() {
			_, err := h.Create(t.Context(), order)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Equal(t, 3, uploads, "disk, kernel and RAM disk")
	seen, err := h.Observe(t.Context())
	require.NoError(t, err)
	require.Len(t, seen, 8)
	for _, o := range seen {
		wg.Go(func() { require.NoError(t, h.Delete(t.Context(), o.ID, hypervisor.DeleteOptions{})) })
	}
	wg.Wait()
	h.requireNothing()
}

func TestConfigNamesWhatIsMissing(t *testing.T) {
	_, err := hypervisor.New(hypervisor.Config{})
	require.ErrorContains(t, err, "Driver")
	_, err = hypervisor.New(hypervisor.Config{Driver: &fake.Driver{}})
	require.ErrorContains(t, err, "ClusterID")
	_, err = hypervisor.New(hypervisor.Config{Driver: &fake.Driver{}, ClusterID: "c"})
	require.ErrorContains(t, err, "JournalDir")
}

func TestIncompleteDefinitionsAreRefused(t *testing.T) {
	h := newHost(t, fake.Options{})
	owner := hypervisor.Owner{ClusterID: testCluster}
	_, err := h.Create(t.Context(), hypervisor.CreateSpec{Owner: owner})
	require.ErrorContains(t, err, "definition is missing")
	for _, change := range []func(*vm.Definition){
		func(d *vm.Definition) { d.UUID = "" },
		func(d *vm.Definition) { d.NetworkInterfaces[0].MAC = "" },
		func(d *vm.Definition) { d.CPUs = 0 },
	} {
		def := fullDefinition(uuid.NewString())
		change(def)
		_, err := h.Create(t.Context(), hypervisor.CreateSpec{Definition: def, Owner: owner})
		require.Error(t, err)
	}
	order := h.order(uuid.NewString())
	order.Owner.ClusterID = "another"
	_, err = h.Create(t.Context(), order)
	require.ErrorIs(t, err, hypervisor.ErrForeign)
	h.requireNothing()
}
