package hypervisor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/vm"
)

// TestEveryRuleOfLife has the rules of a machine's life; most are tests of their own, told in full elsewhere in this
// package.
func TestEveryRuleOfLife(t *testing.T) {
	t.Run("rule-26", sourceInUseIsRefused)
	t.Run("rule-28", sourceOfOtherFormatIsRefused)
	t.Run("rule-38", func(t *testing.T) {
		t.Run("asks again, then forces", TestGracefulStopAsksAgainThenForces)
		t.Run("does not force who obeys", TestGuestThatObeysIsNotKilled)
	})
	t.Run("rule-39", func(t *testing.T) {
		t.Run("keeps what others need", TestBaseStaysWhileAnOverlayNeedsIt)
		t.Run("keeps what is not ours", sourcesOutliveTheMachine)
	})
	t.Run("rule-40", TestFailedCreateLeavesNothing)
	t.Run("rule-42", readBackNamesTheDifference)
	t.Run("rule-43", func(t *testing.T) {
		t.Run("reads back what it stored", TestCreateIsObservedAsAsked)
		t.Run("leaves foreign domains alone", TestForeignDomainsAndVolumesAreNeverTouched)
	})
}

// withSource is an order with a volume that exists.
func (h *host) withSource(name string, change func(*vm.Volume)) hypervisor.CreateSpec {
	h.t.Helper()
	order := h.order(uuid.NewString())
	order.Definition.Name = name
	v := vm.Volume{Name: "old", Pool: "default", Source: "old.img", Format: "raw"}
	if change != nil {
		change(&v)
	}
	order.Definition.Volumes = append(order.Definition.Volumes, v)
	normal := vm.Normalise(*order.Definition, vm.Defaults{})
	order.Definition = &normal
	return order
}

func hostWithSource(t *testing.T) *host {
	t.Helper()
	h := newHost(t, fake.Options{})
	_, err := h.driver.CreateVolume(t.Context(), hypervisor.VolumeSpec{Pool: "default", Name: "old.img", Format: "raw", CapacityBytes: 1 << 20})
	require.NoError(t, err)
	return h
}

func requireOneFault(t *testing.T, err error, path, value, limit, wayOut string) {
	t.Helper()
	var faults vm.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 1)
	require.Equal(t, path, faults[0].Path)
	require.Contains(t, faults[0].Value, value)
	require.Contains(t, faults[0].Limit, limit)
	require.Contains(t, faults[0].WayOut, wayOut)
}

func sourceInUseIsRefused(t *testing.T) {
	h := hostWithSource(t)
	_, err := h.Create(t.Context(), h.withSource("first", nil))
	require.NoError(t, err)
	_, err = h.Create(t.Context(), h.withSource("second", nil))
	requireOneFault(t, err, "volumes[2].source", "old.img", "no other machine uses", "first uses it")
	readOnly := func(v *vm.Volume) { v.ReadOnly = true }
	_, err = h.Create(t.Context(), h.withSource("third", readOnly))
	requireOneFault(t, err, "volumes[2].source", "old.img", "both only read it", "first uses it and writes to it")
	require.NoError(t, h.Delete(t.Context(), h.idOf("first"), hypervisor.DeleteOptions{}))
	for _, name := range []string{"reader", "another"} {
		_, err = h.Create(t.Context(), h.withSource(name, readOnly))
		require.NoError(t, err)
	}
	_, err = h.Create(t.Context(), h.withSource("writer", nil))
	requireOneFault(t, err, "volumes[2].source", "old.img", "both only read it", "set readOnly")
	_, err = h.Create(t.Context(), h.withSource("fourth", func(v *vm.Volume) { v.Source = "none.img" }))
	requireOneFault(t, err, "volumes[2].source", "none.img", "a volume of pool default", "make it first")
	root := hypervisor.VolumeName(h.idOf("reader"), "root", "qcow2")
	_, err = h.Create(t.Context(), h.withSource("fifth", func(v *vm.Volume) { v.Source, v.Format, v.ReadOnly = root, "qcow2", true }))
	requireOneFault(t, err, "volumes[2].source", root, "no volume that belongs to a machine", "take another")
}

// idOf finds the id of a machine by its name.
func (h *host) idOf(name string) string {
	h.t.Helper()
	seen, err := h.Observe(h.t.Context())
	require.NoError(h.t, err)
	for _, o := range seen {
		if o.Name == name {
			return o.ID
		}
	}
	require.Fail(h.t, "no machine "+name)
	return ""
}

func sourceOfOtherFormatIsRefused(t *testing.T) {
	h := hostWithSource(t)
	_, err := h.Create(t.Context(), h.withSource("web", func(v *vm.Volume) { v.Format = "qcow2" }))
	requireOneFault(t, err, "volumes[2].format", "qcow2", "raw, which is what is stored", "declare the format")
	_, err = h.Create(t.Context(), h.withSource("web", nil))
	require.NoError(t, err)
}

func sourcesOutliveTheMachine(t *testing.T) {
	h := hostWithSource(t)
	id, err := h.Create(t.Context(), h.withSource("web", nil))
	require.NoError(t, err)
	require.NoError(t, h.Delete(t.Context(), id, hypervisor.DeleteOptions{}))
	require.Equal(t, []string{"volume default/old.img"}, h.driver.Leftovers())
}

// readBackNamesTheDifference lets the hypervisor change what it is given.
func readBackNamesTheDifference(t *testing.T) {
	for what, change := range map[string]func(*libvirtxml.Domain){
		"cpus is 9":             func(d *libvirtxml.Domain) { d.VCPU.Value = 9 },
		"memory in KiB is 1024": func(d *libvirtxml.Domain) { d.Memory.Value, d.Memory.Unit = 1, "MiB" },
		"disks is":              func(d *libvirtxml.Domain) { d.Devices.Disks = d.Devices.Disks[1:] },
		"MAC addresses is":      func(d *libvirtxml.Domain) { d.Devices.Interfaces[0].MAC.Address = "52:54:00:ff:ff:ff" },
		"model":                 nil,
		"serial port is false":  func(d *libvirtxml.Domain) { d.Devices.Serials = nil },
		"machine family is pc":  func(d *libvirtxml.Domain) { d.OS.Type.Machine = "pc-i440fx-7.2" },
		"watchdog is reset": func(d *libvirtxml.Domain) {
			d.Devices.Watchdogs = []libvirtxml.DomainWatchdog{{Model: "i6300esb", Action: "reset"}}
		},
		"instead of virtio netw": func(d *libvirtxml.Domain) { d.Devices.Interfaces[0].Model.Type = "e1000" },
	} {
		t.Run(what, func(t *testing.T) {
			h := newHost(t, fake.Options{})
			m, err := hypervisor.New(hypervisor.Config{Driver: &meddler{Driver: h.driver, change: change}, ClusterID: testCluster, JournalDir: t.TempDir()})
			require.NoError(t, err)
			_, err = m.Create(t.Context(), h.order(uuid.NewString()))
			if change == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, hypervisor.ErrReadBack)
			require.ErrorContains(t, err, what)
			require.Empty(t, h.driver.Leftovers(), "what is not as asked does not stay")
		})
	}
}

// meddler is a hypervisor that defines something else.
type meddler struct {
	*fake.Driver
	change func(*libvirtxml.Domain)
}

func (m *meddler) Define(ctx context.Context, text string) error {
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		return err
	}
	if m.change != nil {
		m.change(&d)
	}
	changed, err := d.Marshal()
	return errors.Join(err, m.Driver.Define(ctx, changed))
}
