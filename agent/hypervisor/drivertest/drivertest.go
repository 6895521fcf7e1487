// Package drivertest is the contract that every hypervisor driver keeps, as tests.
package drivertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
)

// Feature is something that not every driver can do.
type Feature string

// The features that a target may lack.
const (
	// Upload is to fill volumes with content.
	Upload Feature = "upload"
	// Resize is to grow volumes.
	Resize Feature = "resize"
	// Console is a serial port that answers.
	Console Feature = "console"
	// Obedience is a guest that powers off when asked.
	Obedience Feature = "obedience"
	// Restart is a guest that can be reset, and asked.
	Restart Feature = "restart"
	// Leases is to keep addresses for cards.
	Leases Feature = "leases"
	// Filters is to have packet filters.
	Filters Feature = "filters"
	// Media is to change what lies in drives.
	Media Feature = "media"
	// Reshape is to change domains, running ones too.
	Reshape Feature = "reshape"
	// CardLimits is to limit the bandwidth of a card.
	CardLimits Feature = "limits of cards"
	// Stats is to count what domains do.
	Stats Feature = "stats"
	// NameClash is to refuse a name that another domain has.
	NameClash Feature = "name clash"
)

// Target is a driver to be tested.
type Target struct {
	Driver hypervisor.Driver
	// Folder is where a pool may be made; empty means below the temporary folder of the test.
	Folder string
	// Pool is an empty storage pool.
	Pool string
	// Network is one that runs.
	Network string
	// Adapt changes the definition of the guests for this target, for instance to boot a kernel.
	Adapt func(*vm.Definition)
	// XML, when set, changes the guests' generated XML.
	XML func(string) string
	// Missing says why the target lacks a feature.
	Missing map[Feature]string
	// Patience bounds the waiting for a guest; 0 means 30 s.
	Patience time.Duration
}

const poll = 50 * time.Millisecond

// Run tests a target. It leaves nothing behind.
func Run(t *testing.T, target Target) {
	if target.Patience == 0 {
		target.Patience = 30 * time.Second
	}
	t.Run("facts", target.facts)
	t.Run("volumes", target.volumes)
	t.Run("overlays", target.overlays)
	t.Run("upload", target.upload)
	t.Run("listing", target.listing)
	t.Run("clone", target.clone)
	t.Run("resize", target.resize)
	t.Run("download", target.download)
	t.Run("pools", target.pools)
	t.Run("domains", target.domains)
	t.Run("power", target.power)
	t.Run("pause", target.pause)
	t.Run("restart", target.restart)
	t.Run("rename", target.rename)
	t.Run("questions", target.questions)
	t.Run("stats", target.stats)
	t.Run("pool stats", target.poolStats)
	t.Run("media", target.media)
	t.Run("reshape", target.reshapes)
	t.Run("ties to CPUs", target.ties)
	t.Run("limits of cards", target.cardLimits)
	t.Run("name clash", target.nameClash)
	t.Run("metadata", target.metadata)
	t.Run("networks", target.networks)
	t.Run("network clash", target.networkClash)
	t.Run("filters", target.filters)
	t.Run("events", target.events)
	t.Run("obedience", target.obedience)
	t.Run("console", target.console)
	t.Run("unknown names", target.unknown)
	t.Run("ended context", target.endedContext)
}

// need skips a test of what the target cannot do.
func (g Target) need(t *testing.T, f Feature) {
	t.Helper()
	if why, missing := g.Missing[f]; missing {
		t.Skipf("no %s: %s", f, why)
	}
}

// guest generates a domain and defines it; it is gone when the test ends.
func (g Target) guest(t *testing.T, name string) string {
	t.Helper()
	return g.guestWith(t, name, func(*vm.Definition) {})
}

// guestWith is a guest with more than others have.
func (g Target) guestWith(t *testing.T, name string, more func(*vm.Definition)) string {
	t.Helper()
	id := uuid.NewString()
	require.NoError(t, g.Driver.Define(t.Context(), g.xmlWith(t, id, name, more)))
	t.Cleanup(func() { g.remove(t, id) })
	return id
}

func (g Target) xml(t *testing.T, id, name string) string {
	t.Helper()
	return g.xmlWith(t, id, name, func(*vm.Definition) {})
}

func (g Target) xmlWith(t *testing.T, id, name string, more func(*vm.Definition)) string {
	t.Helper()
	facts, err := g.Driver.Facts(t.Context())
	require.NoError(t, err)
	def := vm.Definition{Name: name, UUID: id, CPUs: 1, MemoryMB: 96}
	more(&def)
	if g.Adapt != nil {
		g.Adapt(&def)
	}
	template := hypervisor.Template{Accelerator: facts.Accelerator, Owner: hypervisor.Owner{ClusterID: "contract", Epoch: 1}}
	text, err := template.GenerateXML(&def)
	require.NoError(t, err)
	if g.XML != nil {
		text = g.XML(text)
	}
	return text
}

func (g Target) remove(t *testing.T, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), g.Patience)
	defer cancel()
	if _, err := g.Driver.Domain(ctx, id); err != nil {
		require.ErrorIs(t, err, hypervisor.ErrNotFound)
		return
	}
	require.NoError(t, g.Driver.Kill(ctx, id, false))
	require.NoError(t, g.Driver.Undefine(ctx, id))
}

func (g Target) state(t *testing.T, id string) hypervisor.State {
	t.Helper()
	d, err := g.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	return d.State
}

func (g Target) await(t *testing.T, id string, want hypervisor.State) {
	t.Helper()
	require.Eventually(t, func() bool { return g.state(t, id) == want }, g.Patience, poll)
}

func (g Target) facts(t *testing.T) {
	f, err := g.Driver.Facts(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, f.Driver)
	require.Positive(t, f.CPUs)
	require.Positive(t, f.MemoryMB)
	require.NotEmpty(t, f.Accelerator)
	require.NotEmpty(t, f.HypervisorVersion)
	require.NotEmpty(t, f.Firmwares)
	var pools []string
	for _, p := range f.Pools {
		pools = append(pools, p.Name)
		require.Positive(t, p.CapacityBytes)
	}
	require.Contains(t, pools, g.Pool)
}

// volume makes one; it is gone when the test ends.
func (g Target) volume(t *testing.T, spec hypervisor.VolumeSpec) hypervisor.VolumeInfo {
	t.Helper()
	spec.Pool = g.Pool
	info, err := g.Driver.CreateVolume(t.Context(), spec)
	require.NoError(t, err)
	t.Cleanup(func() {
		err := g.Driver.DeleteVolume(context.WithoutCancel(t.Context()), spec.Pool, spec.Name)
		if err != nil {
			require.ErrorIs(t, err, hypervisor.ErrNotFound)
		}
	})
	return info
}

func (g Target) volumes(t *testing.T) {
	spec := hypervisor.VolumeSpec{Name: "contract.qcow2", Format: "qcow2", CapacityBytes: 1 << 20}
	made := g.volume(t, spec)
	require.Equal(t, g.Pool, made.Pool)
	require.Equal(t, spec.Name, made.Name)
	require.EqualValues(t, 1<<20, made.CapacityBytes)
	require.True(t, strings.HasSuffix(made.Path, "/"+spec.Name), made.Path)
	found, err := g.Driver.Volume(t.Context(), g.Pool, spec.Name)
	require.NoError(t, err)
	require.Equal(t, made.Path, found.Path)
	spec.Pool = g.Pool
	_, err = g.Driver.CreateVolume(t.Context(), spec)
	require.ErrorIs(t, err, hypervisor.ErrExists)
	names, err := g.Driver.VolumeNames(t.Context(), g.Pool)
	require.NoError(t, err)
	require.Contains(t, names, spec.Name)
	require.NoError(t, g.Driver.DeleteVolume(t.Context(), g.Pool, spec.Name))
	_, err = g.Driver.Volume(t.Context(), g.Pool, spec.Name)
	require.ErrorIs(t, err, hypervisor.ErrNotFound)
}

func (g Target) overlays(t *testing.T) {
	base := g.volume(t, hypervisor.VolumeSpec{Name: "contract-base.raw", Format: "raw", CapacityBytes: 1 << 20})
	top := g.volume(t, hypervisor.VolumeSpec{Name: "contract-top.qcow2", Format: "qcow2", CapacityBytes: 2 << 20,
		BackingPath: base.Path, BackingFormat: "raw"})
	found, err := g.Driver.Volume(t.Context(), g.Pool, top.Name)
	require.NoError(t, err)
	require.Equal(t, base.Path, found.BackingPath)
	require.EqualValues(t, 2<<20, found.CapacityBytes)
}

func (g Target) upload(t *testing.T) {
	g.need(t, Upload)
	const length = 700_001
	v := g.volume(t, hypervisor.VolumeSpec{Name: "contract-upload.raw", Format: "raw", CapacityBytes: length})
	require.NoError(t, g.Driver.UploadVolume(t.Context(), g.Pool, v.Name, strings.NewReader(strings.Repeat("x", length)), length))
	found, err := g.Driver.Volume(t.Context(), g.Pool, v.Name)
	require.NoError(t, err)
	require.EqualValues(t, length, found.CapacityBytes)
	short := strings.NewReader("too short")
	require.Error(t, g.Driver.UploadVolume(t.Context(), g.Pool, v.Name, short, length))
}

func (g Target) domains(t *testing.T) {
	id := g.guest(t, "contract-1")
	d, err := g.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, id, d.ID)
	require.Equal(t, "contract-1", d.Name)
	require.Equal(t, hypervisor.StateStopped, d.State)
	all, err := g.Driver.Domains(t.Context())
	require.NoError(t, err)
	require.Contains(t, all, d)
	require.NoError(t, g.Driver.Define(t.Context(), g.xml(t, id, "contract-1")), "defining anew replaces")
	require.Contains(t, d.XML, id)
	require.NoError(t, g.Driver.Undefine(t.Context(), id))
	_, err = g.Driver.Domain(t.Context(), id)
	require.ErrorIs(t, err, hypervisor.ErrNotFound)
}

func (g Target) power(t *testing.T) {
	id := g.guest(t, "contract-2")
	var starts errgroup.Group
	for range 3 {
		starts.Go(func() error { return g.Driver.Start(t.Context(), id) })
	}
	require.NoError(t, starts.Wait(), "an order of a caller that died meanwhile may still be under way")
	require.NoError(t, g.Driver.Start(t.Context(), id))
	require.Equal(t, hypervisor.StateRunning, g.state(t, id))
	require.NoError(t, g.Driver.Kill(t.Context(), id, true))
	g.await(t, id, hypervisor.StateStopped)
	require.NoError(t, g.Driver.Start(t.Context(), id))
	for range 2 {
		require.NoError(t, g.Driver.Kill(t.Context(), id, false))
	}
	require.Equal(t, hypervisor.StateStopped, g.state(t, id))
}

func (g Target) nameClash(t *testing.T) {
	g.need(t, NameClash)
	g.guest(t, "contract-3")
	err := g.Driver.Define(t.Context(), g.xml(t, uuid.NewString(), "contract-3"))
	require.ErrorIs(t, err, hypervisor.ErrExists)
}

func (g Target) metadata(t *testing.T) {
	id := g.guest(t, "contract-4")
	m, err := hypervisor.New(hypervisor.Config{Driver: g.Driver, ClusterID: "contract", JournalDir: t.TempDir()})
	require.NoError(t, err)
	for epoch, start := range []bool{false, true} {
		if start {
			require.NoError(t, g.Driver.Start(t.Context(), id))
		}
		owner := hypervisor.Owner{ClusterID: "contract", Epoch: uint64(epoch) + 2, Generation: 9}
		require.NoError(t, m.SetOwner(t.Context(), id, owner))
		seen, err := m.Observe(t.Context())
		require.NoError(t, err)
		var found bool
		for _, o := range seen {
			if o.ID == id {
				found = true
				require.True(t, o.Ours)
				require.Equal(t, owner, o.Owner)
				require.Equal(t, "contract-4", o.Definition.Name)
			}
		}
		require.True(t, found)
	}
	d, err := g.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(d.Metadata, "definition>"), "the old element is replaced: %s", d.Metadata)
}

func (g Target) events(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := g.Driver.Events(ctx)
	require.NoError(t, err)
	id := g.guest(t, "contract-5")
	require.NoError(t, g.Driver.Start(t.Context(), id))
	require.NoError(t, g.Driver.Kill(t.Context(), id, false))
	for _, kind := range []string{"defined", "started", "stopped"} {
		g.awaitEvent(t, events, hypervisor.Event{ID: id, Kind: kind})
	}
	cancel()
	require.Eventually(t, func() bool {
		select {
		case _, open := <-events:
			return !open
		default:
			return false
		}
	}, g.Patience, poll)
}

func (g Target) awaitEvent(t *testing.T, events <-chan hypervisor.Event, want hypervisor.Event) {
	t.Helper()
	late := time.After(g.Patience)
	for {
		select {
		case e := <-events:
			if e == want {
				return
			}
		case <-late:
			require.Failf(t, "event missing", "%+v", want)
		}
	}
}

func (g Target) obedience(t *testing.T) {
	g.need(t, Obedience)
	id := g.guest(t, "contract-6")
	require.NoError(t, g.Driver.Start(t.Context(), id))
	// A guest hears ACPI only once it is up, so it is asked until it obeys.
	require.Eventually(t, func() bool {
		require.NoError(t, g.Driver.Shutdown(t.Context(), id))
		return g.state(t, id) == hypervisor.StateStopped
	}, g.Patience, 20*poll)
}

func (g Target) console(t *testing.T) {
	g.need(t, Console)
	id := g.guest(t, "contract-7")
	console := g.boot(t, id, 1)
	_, err := console.Write([]byte("\n"))
	require.NoError(t, err)
	require.NoError(t, g.Driver.Kill(t.Context(), id, false))
	select {
	case <-console.ended:
	case <-time.After(g.Patience):
		require.Fail(t, "the console outlives the guest")
	}
	require.NoError(t, console.Close())
}

func (g Target) unknown(t *testing.T) {
	ctx, id := t.Context(), uuid.NewString()
	_, err := g.Driver.Domain(ctx, id)
	require.ErrorIs(t, err, hypervisor.ErrNotFound)
	for name, do := range map[string]func() error{
		"Start":        func() error { return g.Driver.Start(ctx, id) },
		"Kill":         func() error { return g.Driver.Kill(ctx, id, false) },
		"Shutdown":     func() error { return g.Driver.Shutdown(ctx, id) },
		"Undefine":     func() error { return g.Driver.Undefine(ctx, id) },
		"SetMetadata":  func() error { return g.Driver.SetMetadata(ctx, id, "<vm/>") },
		"Console":      func() error { _, err := g.Driver.Console(ctx, id); return err },
		"Volume":       func() error { _, err := g.Driver.Volume(ctx, g.Pool, "no-such"); return err },
		"Volume pool":  func() error { _, err := g.Driver.Volume(ctx, "no-such", "x"); return err },
		"VolumeNames":  func() error { _, err := g.Driver.VolumeNames(ctx, "no-such"); return err },
		"DeleteVolume": func() error { return g.Driver.DeleteVolume(ctx, g.Pool, "no-such") },
	} {
		require.ErrorIs(t, do(), hypervisor.ErrNotFound, name)
	}
}

func (g Target) endedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Driver.Domains(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = g.Driver.VolumeNames(ctx, g.Pool)
	require.ErrorIs(t, err, context.Canceled)
}
