package hypervisor_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/vm"
)

// foreign defines a domain that is not the cluster's.
func (h *host) foreign(name, inside string) {
	h.t.Helper()
	require.NoError(h.t, h.driver.Define(h.t.Context(), "<domain type='qemu'><name>"+name+"</name><uuid>"+uuid.NewString()+"</uuid>"+inside+"</domain>"))
}

// named is an order for a machine with a change.
func (h *host) named(name string, change func(*vm.Definition)) hypervisor.CreateSpec {
	order := h.order(uuid.NewString())
	order.Definition.Name = name
	change(order.Definition)
	return order
}

func pinned(dedicated bool, sets ...string) func(*vm.Definition) {
	return func(d *vm.Definition) {
		d.CPUs, d.CPU.Dedicated = max(len(sets), 1), dedicated
		for vcpu, set := range sets {
			d.CPU.Pinning = append(d.CPU.Pinning, vm.CPUPin{VCPU: vcpu, HostCPUs: set})
		}
	}
}

func TestNoMachineGetsAnAddressOfAnother(t *testing.T) {
	h := newHost(t, fake.Options{})
	h.foreign("stranger", "<devices><interface type='user'><mac address='52:54:00:AA:BB:CC'/></interface></devices>")
	_, err := h.Create(t.Context(), h.named("web", func(d *vm.Definition) { d.NetworkInterfaces[0].MAC = "52:54:00:aa:bb:cc" }))
	requireOneFault(t, err, "networkInterfaces[0].mac", "52:54:00:aa:bb:cc", "no other machine of the host", "stranger has it")
	_, err = h.Create(t.Context(), h.named("web", func(*vm.Definition) {}))
	require.NoError(t, err)
}

func TestDedicatedCPUsAreNobodyElses(t *testing.T) {
	h := newHost(t, fake.Options{})
	h.foreign("stranger", "<cputune><vcpupin vcpu='0' cpuset='8-9,^8'/><emulatorpin cpuset='10'/></cputune>")
	h.foreign("everywhere", "<vcpu cpuset='0-63'>1</vcpu>")
	create := func(name string, change func(*vm.Definition)) error {
		_, err := h.Create(t.Context(), h.named(name, change))
		return err
	}
	require.NoError(t, create("dedicated", pinned(true, "4", "5")))
	require.NoError(t, create("tied", pinned(false, "6-7")))
	requireOneFault(t, create("two", pinned(true, "5", "3")), "cpu.pinning", "[5]", "no dedicated machine shares", "dedicated is tied to them")
	requireOneFault(t, create("two", pinned(true, "7", "3")), "cpu.pinning", "[7]", "no dedicated machine shares", "tied is tied to them")
	requireOneFault(t, create("two", pinned(true, "9", "3")), "cpu.pinning", "[9]", "no dedicated machine shares", "stranger is tied to them")
	requireOneFault(t, create("two", pinned(true, "10", "3")), "cpu.pinning", "[10]", "no dedicated machine shares", "stranger is tied to them")
	requireOneFault(t, create("two", pinned(false, "0-4")), "cpu.pinning", "[4]", "no dedicated machine shares", "dedicated is tied to them")
	requireOneFault(t, create("two", pinned(true)), "cpu.dedicated", "true", "which the cluster chooses", "give cpu.pinning")
	require.NoError(t, create("two", pinned(true, "8", "3")), "the stranger is not on 8")
	require.NoError(t, create("three", pinned(false, "6,9")), "who insists on nothing shares")
}

// Two creates at once that name one volume: one gets it.
func TestOneOfManyGetsASource(t *testing.T) {
	h := hostWithSource(t)
	var racing sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		order := h.withSource(string(rune('a'+i)), nil)
		racing.Go(func() { _, errs[i] = h.Create(t.Context(), order) })
	}
	racing.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		requireOneFault(t, err, "volumes[2].source", "old.img", "no other machine uses", "uses it and writes to it")
	}
	require.Equal(t, 1, won)
}

// A create that a crash cut off looks again at what it names: another may have taken it since.
func TestAResumedCreateLooksForUsersAgain(t *testing.T) {
	h := hostWithSource(t)
	order := h.withSource("first", nil)
	faults := fault.New()
	faults.Arm("hypervisor.create.define.before", fault.Hang)
	h.restart(faults)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := h.Create(ctx, order); done <- err }()
	require.Eventually(t, func() bool { return faults.Hits("hypervisor.create.define.before") > 0 }, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	h.restart(nil)
	_, err := h.Create(t.Context(), h.withSource("second", nil))
	require.NoError(t, err)
	_, err = h.Create(t.Context(), order)
	requireOneFault(t, err, "volumes[2].source", "old.img", "no other machine uses", "second uses it")
	require.NotContains(t, strings.Join(h.driver.Leftovers(), " "), order.Definition.UUID, "what the first try made is undone")
}

func TestSourcesOfAnotherProjectAreRefused(t *testing.T) {
	h := newHost(t, fake.Options{})
	id := uuid.NewString()
	name := h.put(hypervisor.StandaloneName(id, "raw"))
	order := h.withSource("web", func(v *vm.Volume) { v.Source, v.Pool = name.Name, name.Pool })
	for what, project := range map[string]func(string) (string, bool){
		"another project's": func(string) (string, bool) { return "other", true },
		"unknown here":      func(string) (string, bool) { return "default", false },
		"nobody knows":      nil,
	} {
		order.VolumeProject = project
		_, err := h.Create(t.Context(), order)
		require.Error(t, err, what)
		requireOneFault(t, err, "volumes[2].source", name.Name, "a volume of the machine's project, default", "novacron volume list")
		require.NotContains(t, err.Error(), "other", "not a word of whose it is")
	}
	order.VolumeProject = func(asked string) (string, bool) { return "default", asked == id }
	_, err := h.Create(t.Context(), order)
	require.NoError(t, err)
}
