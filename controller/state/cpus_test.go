package state

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// withDedicated asks for CPUs of its own.
func withDedicated(cpus uint32) func(*statev1.CreateVM) {
	return func(op *statev1.CreateVM) {
		op.Spec.Cpus, op.Spec.Cpu = cpus, &novacronv1.CPUSpec{Dedicated: proto.Bool(true)}
	}
}

// cpuFixture has a host with four CPUs in two cores, overcommitted four times.
func cpuFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.addHost("h1", 16, 8192, 100)
	f.must(observeHost("h1", novacronv1.HostState_HOST_STATE_UP, &novacronv1.HostInfo{
		Capacity: &novacronv1.Resources{Cpus: 16, MemoryMb: 8192, DiskGb: 100},
		CpuNodes: []*novacronv1.CPUNode{{Cores: []*novacronv1.CPUCore{{Cpus: []uint32{0, 2}}, {Cpus: []uint32{1, 3}}}}},
	}))
	return f
}

func (f *fixture) bindTo(vm string, own, shared []uint32) error {
	f.t.Helper()
	record, _ := f.store.View().VM(vm, "")
	_, err := f.apply(func(c *statev1.Command) {
		c.Op = &statev1.Command_BindVms{BindVms: &statev1.BindVMs{Bindings: []*statev1.Binding{{
			VmId: vm, HostId: "h1", VmRevision: record.GetRevision(), HostCpus: &novacronv1.HostCPUs{Own: own, Shared: shared}}}}}
	})
	return err
}

func TestNobodyIsBoundToTheCPUsOfAnother(t *testing.T) {
	f := cpuFixture(t)
	f.must(createVM("one", withDedicated(2)))
	for name, own := range map[string][]uint32{"none": nil, "too few": {0}, "too many": {0, 1, 2}, "one twice": {0, 0}, "not there": {0, 9}} {
		require.ErrorIs(t, f.bindTo("one", own, nil), ErrStale, name)
	}
	require.NoError(t, f.bindTo("one", []uint32{0, 2}, nil))
	host, _ := f.store.View().Host("h1")
	require.EqualValues(t, 8, host.GetAllocated().GetCpus(), "half of the CPUs are half of what is promised")

	f.must(createVM("pinned"))
	require.ErrorIs(t, f.bindTo("pinned", nil, []uint32{2, 3}), ErrStale, "tied to another's CPU")
	require.ErrorIs(t, f.bindTo("pinned", []uint32{1}, nil), ErrStale, "nobody asked for a CPU of its own")
	require.NoError(t, f.bindTo("pinned", nil, []uint32{3}))
	f.must(createVM("two", withDedicated(1)))
	require.ErrorIs(t, f.bindTo("two", []uint32{0}, nil), ErrStale, "another's own")
	require.ErrorIs(t, f.bindTo("two", []uint32{3}, nil), ErrStale, "another is tied to it")
	require.NoError(t, f.bindTo("two", []uint32{1}, nil))

	f.must(createVM("floating", func(op *statev1.CreateVM) { op.Spec.Cpus = 4 }))
	require.ErrorIs(t, f.bind("floating", "h1"), ErrStale, "one CPU is left, which carries four, and one floats already")
	f.must(deleteVM("two"))
	two, _ := f.store.View().VM("two", "")
	require.Equal(t, []uint32{1}, two.GetHostCpus().GetOwn(), "kept until the host has let go")
	f.must(observe("h1", &statev1.VMObservation{VmId: "two", Epoch: 1, ObservedGeneration: 2, Gone: true}))
	require.NoError(t, f.bind("floating", "h1"))
	host, _ = f.store.View().Host("h1")
	require.EqualValues(t, 8+1+4, host.GetAllocated().GetCpus())
}
