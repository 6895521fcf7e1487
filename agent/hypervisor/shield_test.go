package hypervisor_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/vm"
)

// emulatorOf is where a domain's emulator threads run; empty is everywhere.
func (h *host) emulatorOf(id string) string {
	h.t.Helper()
	d, err := h.driver.Domain(h.t.Context(), id)
	require.NoError(h.t, err)
	var x libvirtxml.Domain
	require.NoError(h.t, x.Unmarshal(d.XML))
	if x.CPUTune == nil || x.CPUTune.EmulatorPin == nil {
		return ""
	}
	return x.CPUTune.EmulatorPin.CPUSet
}

func (h *host) createdAs(name string, change func(*vm.Definition)) string {
	h.t.Helper()
	order := h.named(name, change)
	order.Start = true
	id, err := h.Create(h.t.Context(), order)
	require.NoError(h.t, err)
	require.NoError(h.t, h.Shield(h.t.Context()))
	return id
}

// Who floats leaves the CPUs of dedicated machines while these run; who is tied by its definition and who is foreign stays.
func TestFloatingMachinesLeaveDedicatedCPUs(t *testing.T) {
	h := newHost(t, fake.Options{Facts: hypervisor.HostFacts{CPUs: 6}})
	h.foreign("stranger", "<vcpu>1</vcpu>")
	floating := h.createdAs("floating", func(d *vm.Definition) { d.CPUs = 2 })
	tied := h.createdAs("tied", pinned(false, "1-2"))
	require.Empty(t, h.emulatorOf(floating), "nobody has CPUs of its own")
	first := h.createdAs("first", pinned(true, "0", "4"))
	require.Equal(t, "1-3,5", h.emulatorOf(floating))
	second := h.createdAs("second", pinned(true, "5"))
	require.Equal(t, "1-3", h.emulatorOf(floating), "and its ties are in nobody's way")
	late := h.createdAs("late", func(*vm.Definition) {})
	require.Equal(t, "1-3", h.emulatorOf(late))
	for _, untouched := range []string{tied, first, second} {
		require.Empty(t, h.emulatorOf(untouched))
	}

	require.NoError(t, h.Stop(t.Context(), first, hypervisor.StopOptions{Force: true}))
	require.NoError(t, h.Shield(t.Context()))
	require.Equal(t, "0-4", h.emulatorOf(floating))
	require.NoError(t, h.Delete(t.Context(), second, hypervisor.DeleteOptions{Force: true}))
	require.NoError(t, h.Shield(t.Context()))
	require.Equal(t, "0-5", h.emulatorOf(floating))
	domains, err := h.driver.Domains(t.Context())
	require.NoError(t, err)
	for _, d := range domains {
		if d.Name == "stranger" {
			require.NotContains(t, d.XML, "cputune")
		}
	}
}

// Where dedicated machines have every CPU, the others have no better place.
func TestFloatingMachinesStayWhereNothingIsLeft(t *testing.T) {
	h := newHost(t, fake.Options{Facts: hypervisor.HostFacts{CPUs: 2}})
	floating := h.createdAs("floating", func(d *vm.Definition) { d.CPUs = 1 })
	h.createdAs("all", pinned(true, "0", "1"))
	require.Empty(t, h.emulatorOf(floating))
}
