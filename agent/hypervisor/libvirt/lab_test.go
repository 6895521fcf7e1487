//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/drivertest"
	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/vm"
)

const labPool = "default"

// labPatience is how long a guest may take for anything on a busy machine.
const labPatience = 2 * time.Minute

// labHost is a host with a real libvirt and QEMU, and a guest to boot there. The test runs beside others.
func labHost(t *testing.T) (*lab.Host, lab.Guest) {
	t.Helper()
	t.Parallel()
	return loneHost(t)
}

// loneHost is a labHost for a test of what all hosts on the machine share.
func loneHost(t *testing.T) (*lab.Host, lab.Guest) {
	t.Helper()
	needLibvirt(t)
	if testing.Short() {
		t.Skip("boots real guests; not in a short run")
	}
	if err := lab.Supported(); err != nil {
		t.Skipf("no lab: %v", err)
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	guest, err := lab.BuildGuest(t.Context(), filepath.Join(cache, "novacron", "guest"), nil)
	if err != nil {
		lab.Lacks(t, "guest", err)
	}
	l, err := lab.New(t.Context(), t.TempDir(), lab.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, l.Down(ctx))
	})
	host, err := l.AddHost(t.Context(), "h1")
	require.NoError(t, err)
	return host, guest
}

func openHost(t *testing.T, host *lab.Host, opts Options) hypervisor.Driver {
	t.Helper()
	uri, err := host.URI()
	require.NoError(t, err)
	opts.URI = uri
	d, err := Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestContractOnQEMU(t *testing.T) {
	host, guest := labHost(t)
	missing := map[drivertest.Feature]string{}
	if why := noCardLimits(t, host); why != "" {
		missing[drivertest.CardLimits] = why
	}
	drivertest.Run(t, drivertest.Target{
		Missing: missing,
		Driver:  openHost(t, host, Options{}), Pool: labPool, Network: "default",
		Adapt: func(def *vm.Definition) {
			def.Boot = &vm.DirectBoot{Kernel: "kernel", Initrd: "initrd", Cmdline: lab.KernelArgs}
		},
		XML: func(text string) string {
			text = strings.Replace(text, "<kernel>kernel<", "<kernel>"+guest.Kernel+"<", 1)
			return strings.Replace(text, "<initrd>initrd<", "<initrd>"+guest.Initrd+"<", 1)
		},
		Patience: labPatience,
	})
}

// labImages has the guest's kernel, and a disk image that qemu-img made.
type labImages map[string]hypervisor.ImageFile

func (l labImages) Image(_ context.Context, name string) (hypervisor.ImageFile, error) {
	return l[name], nil
}

func newLabImages(t *testing.T, guest lab.Guest) labImages {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", disk, "64M").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return labImages{
		"disk":   imageFile(t, disk, vm.FormatQcow2),
		"kernel": imageFile(t, guest.Kernel, vm.FormatRaw),
		"initrd": imageFile(t, guest.Initrd, vm.FormatRaw),
	}
}

func imageFile(t *testing.T, path, format string) hypervisor.ImageFile {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	return hypervisor.ImageFile{Path: path, SHA256: hex.EncodeToString(sum[:]), Format: format}
}

// labManager keeps the journal and, beside it, the console logs in dir.
func labManager(t *testing.T, d hypervisor.Driver, dir string, faults *fault.Registry) *hypervisor.Manager {
	t.Helper()
	m, err := hypervisor.New(hypervisor.Config{
		Driver: d, ClusterID: "lab", JournalDir: filepath.Join(dir, "journal"), ConsoleLogDir: filepath.Join(dir, "console"), Faults: faults,
	})
	require.NoError(t, err)
	return m
}

func labOrder(images labImages) hypervisor.CreateSpec {
	def := vm.Normalise(vm.Definition{
		Name: "web", UUID: uuid.NewString(), CPUs: 1, MemoryMB: 96, DiskGB: 1, Image: "disk", Pool: labPool,
		Volumes:           []vm.Volume{{SizeGB: 1}, {SizeGB: 1, Format: vm.FormatRaw, Bus: "scsi"}},
		NetworkInterfaces: []vm.NetworkInterface{{}},
		Boot:              &vm.DirectBoot{Kernel: "kernel", Initrd: "initrd", Cmdline: lab.KernelArgs},
		CloudInit:         &vm.CloudInit{UserData: "#cloud-config\n{}\n", Hostname: "seeded"},
		Annotations:       map[string]string{"attack": "'/><qemu:commandline>&lt;]]>\n\"ü"},
		Labels:            map[string]string{"quote": "'/><qemu:commandline xmlns:qemu='x'>"},
	}, vm.Defaults{NewMAC: func() string { return "52:54:00:aa:bb:cc" }})
	return hypervisor.CreateSpec{Definition: &def, Owner: hypervisor.Owner{ClusterID: "lab", Epoch: 1}, Images: images, Start: true}
}

// leftovers lists what is on the host: nothing, after a clean delete or undo.
func leftovers(t *testing.T, d hypervisor.Driver) []string {
	t.Helper()
	left, err := d.VolumeNames(t.Context(), labPool)
	require.NoError(t, err)
	domains, err := d.Domains(t.Context())
	require.NoError(t, err)
	for _, one := range domains {
		left = append(left, "domain "+one.Name)
	}
	return left
}

func TestLifeOfARealGuest(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{})
	dir := t.TempDir()
	m := labManager(t, d, dir, nil)
	order := labOrder(newLabImages(t, guest))
	id, err := m.Create(t.Context(), order)
	require.NoError(t, err)
	console, err := m.Console(t.Context(), id)
	require.NoError(t, err)
	requireGreeting(t, console)
	seen, err := m.Observe(t.Context())
	require.NoError(t, err)
	require.Len(t, seen, 1)
	stored := order.Definition.WithoutSecrets()
	require.Equal(t, &stored, seen[0].Definition, "what went into the XML comes back equal")
	require.Regexp(t, `^pc-q35-\d`, seen[0].Machine)
	logs, err := filepath.Glob(filepath.Join(dir, "console", "*"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	require.Eventually(t, func() bool { // the console is recorded too, which may lag behind what a reader gets
		recorded, err := os.ReadFile(logs[0])
		text := string(recorded)
		return err == nil && strings.Contains(text, "CLOUD-SEED") && strings.Contains(text, lab.UpMark+" seeded")
	}, labPatience, 50*time.Millisecond, "the guest found its seed and took its name from it")
	start := time.Now()
	require.NoError(t, m.Stop(t.Context(), id, hypervisor.StopOptions{Timeout: labPatience}))
	t.Logf("graceful stop took %v", time.Since(start))
	require.NoError(t, m.Start(t.Context(), id))
	require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
	require.Empty(t, leftovers(t, d))
	require.NoFileExists(t, logs[0])
}

func requireGreeting(t *testing.T, console hypervisor.Console) {
	t.Helper()
	defer console.Close()
	hear(t, console, lab.UpMark)
}

// hear reads a console until a word has come by, and returns all that it said.
func hear(t *testing.T, console io.Reader, word string) string {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		var heard []byte
		buf := make([]byte, 4096)
		for !strings.Contains(string(heard), word) {
			n, err := console.Read(buf)
			if err != nil {
				break
			}
			heard = append(heard, buf[:n]...)
		}
		found <- string(heard)
	}()
	select {
	case heard := <-found:
		require.Contains(t, heard, word)
		return heard
	case <-time.After(labPatience):
		require.Failf(t, "the guest is silent", "it does not say %q", word)
		return ""
	}
}

// inCreate tells the points that a create passes.
func inCreate(point string) bool {
	for _, op := range []string{"create", "import", "seed"} {
		if strings.HasPrefix(point, "hypervisor."+op+".") {
			return true
		}
	}
	return false
}

// TestFailedCreateLeavesNothingOnQEMU fails a create at every point, on the real thing.
func TestFailedCreateLeavesNothingOnQEMU(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{})
	images := newLabImages(t, guest)
	for _, point := range append(hypervisor.FaultPoints(), hypervisor.SeedFaultPoints()...) {
		if !inCreate(point) {
			continue
		}
		t.Run(point, func(t *testing.T) {
			faults, journal := fault.New(), t.TempDir()
			faults.Arm(point, fault.Error)
			_, err := labManager(t, d, journal, faults).Create(t.Context(), labOrder(images))
			require.ErrorIs(t, err, fault.ErrInjected)
			pending, err := labManager(t, d, journal, nil).Pending(t.Context())
			require.NoError(t, err)
			require.Empty(t, pending)
			require.Empty(t, leftovers(t, d))
		})
	}
}

func TestReconnectsWhenLibvirtdDies(t *testing.T) {
	host, _ := labHost(t)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	events, err := d.Events(t.Context())
	require.NoError(t, err)
	require.NoError(t, host.KillLibvirtd(t.Context()))
	awaitKind(t, events, "disconnected")
	_, err = d.Domains(t.Context())
	require.ErrorIs(t, err, hypervisor.ErrUnavailable)
	require.NoError(t, host.StartLibvirtd(t.Context()))
	awaitKind(t, events, "connected")
	_, err = d.Domains(t.Context())
	require.NoError(t, err)
}

func awaitKind(t *testing.T, events <-chan hypervisor.Event, kind string) {
	t.Helper()
	late := time.After(labPatience)
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return
			}
		case <-late:
			require.Failf(t, "event missing", "%s", kind)
		}
	}
}
