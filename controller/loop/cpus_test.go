package loop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// addSockets joins a host with some nodes of two cores with two threads each.
func (r *replica) addSockets(t require.TestingT, id string, nodes, overcommit uint32) {
	info := &novacronv1.HostInfo{Arch: "x86_64", Capacity: &novacronv1.Resources{Cpus: 4 * nodes * overcommit, MemoryMb: 1 << 20, DiskGb: 1 << 20}}
	for n := range nodes {
		info.CpuNodes = append(info.CpuNodes, &novacronv1.CPUNode{Id: n, Cores: []*novacronv1.CPUCore{{Cpus: []uint32{4 * n, 4*n + 1}}, {Cpus: []uint32{4*n + 2, 4*n + 3}}}})
	}
	r.try(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMember{PutMember: &statev1.PutMember{Member: &novacronv1.Member{Id: id, Name: id, Role: novacronv1.Role_ROLE_AGENT}}}
	})
	r.try(t, func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: id, State: novacronv1.HostState_HOST_STATE_UP, Info: info}}
	})
}

func drawCPUs(t *rapid.T) *novacronv1.VMSpec {
	spec := &novacronv1.VMSpec{Project: "default", Cpus: rapid.Uint32Range(1, 5).Draw(t, "cpus"), MemoryMb: 1, Cpu: &novacronv1.CPUSpec{}}
	kind := rapid.IntRange(0, 3).Draw(t, "kind")
	spec.Cpu.Dedicated = proto.Bool(kind < 2)
	if kind == 1 || kind == 2 {
		for i, cpu := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), int(spec.GetCpus()), int(spec.GetCpus()), rapid.ID).Draw(t, "pins") {
			spec.Cpu.Pinning = append(spec.Cpu.Pinning, &novacronv1.CPUPin{Vcpu: uint32(i), HostCpus: fmt.Sprint(cpu)})
		}
	}
	return spec
}

// Whatever is created and deleted: what the scheduler decides the state accepts, no CPU belongs to two machines or to one that
// another is tied to, what floats fits on the rest, and a machine that was deleted to the end has given its CPUs back.
func TestSchedulerAndStateAgreeAboutCPUs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newReplica()
		overcommit := rapid.Uint32Range(1, 3).Draw(t, "overcommit")
		for host := range rapid.IntRange(1, 2).Draw(t, "hosts") {
			r.addSockets(t, fmt.Sprint("host-", host), rapid.Uint32Range(1, 2).Draw(t, "nodes"), overcommit)
		}
		placer := &Placer{Store: r.store, Log: r, Now: time.Now}
		var there []string
		for step := range rapid.IntRange(1, 20).Draw(t, "steps") {
			if len(there) > 0 && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
				i := rapid.IntRange(0, len(there)-1).Draw(t, "which")
				r.deleteToTheEnd(t, there[i])
				there = slices.Delete(there, i, i+1)
			} else {
				spec := drawCPUs(t)
				spec.Name = fmt.Sprint("vm-", step)
				r.try(t, func(c *statev1.Command) {
					c.Op = &statev1.Command_CreateVm{CreateVm: &statev1.CreateVM{Id: spec.GetName(), OperationId: "op", Spec: spec}}
				})
				there = append(there, spec.GetName())
			}
			require.NoError(t, placer.place(t.Context(), r.store.View()))
			r.checkCPUs(t, overcommit)
		}
		for _, id := range there {
			r.deleteToTheEnd(t, id)
		}
		for _, host := range r.store.View().Hosts("") {
			require.Zero(t, host.GetAllocated().GetCpus())
		}
	})
}

// try applies a command that must work.
func (r *replica) try(t require.TestingT, op func(*statev1.Command)) {
	command := &statev1.Command{Version: 1, Time: timestamppb.Now()}
	op(command)
	encoded, err := proto.Marshal(command)
	require.NoError(t, err)
	r.index++
	require.NoError(t, r.store.Apply(r.index, encoded).Err)
}

func (r *replica) deleteToTheEnd(t require.TestingT, id string) {
	r.try(t, func(c *statev1.Command) { c.Op = &statev1.Command_DeleteVm{DeleteVm: &statev1.DeleteVM{Id: id}} })
	if vm, ok := r.store.View().VM(id, ""); ok {
		r.try(t, func(c *statev1.Command) {
			c.Op = &statev1.Command_ObserveVms{ObserveVms: &statev1.ObserveVMs{HostId: vm.GetHostId(), Vms: []*statev1.VMObservation{
				{VmId: id, Epoch: vm.GetEpoch(), ObservedGeneration: vm.GetGeneration(), Gone: true}}}}
		})
	}
	_, left := r.store.View().VM(id, "")
	require.False(t, left)
}

func (r *replica) checkCPUs(t require.TestingT, overcommit uint32) {
	view := r.store.View()
	for id, host := range view.Hosts("") {
		own, shared, floating := map[uint32]string{}, []uint32{}, uint32(0)
		for vm := range view.VMsOf(id) {
			require.Len(t, vm.GetHostCpus().GetOwn(), int(vm.GetSpec().GetCpus())*map[bool]int{true: 1}[vm.GetSpec().GetCpu().GetDedicated()])
			for _, cpu := range vm.GetHostCpus().GetOwn() {
				require.Empty(t, own[cpu], "CPU %d of %s has two masters", cpu, id)
				own[cpu] = vm.GetId()
			}
			shared = append(shared, vm.GetHostCpus().GetShared()...)
			if !vm.GetSpec().GetCpu().GetDedicated() {
				floating += vm.GetSpec().GetCpus()
			}
		}
		for _, cpu := range shared {
			require.Empty(t, own[cpu], "a machine is tied to CPU %d of %s, which is another's own", cpu, id)
		}
		all := host.GetInfo().GetCapacity().GetCpus() / overcommit
		require.LessOrEqual(t, floating, (all-uint32(len(own)))*overcommit)
		require.LessOrEqual(t, host.GetAllocated().GetCpus(), host.GetInfo().GetCapacity().GetCpus())
	}
	for vm := range view.Unplaced() {
		require.Contains(t, vm.GetStatus().GetMessage(), "no host fits", "the state did not accept what the scheduler decided")
	}
}
