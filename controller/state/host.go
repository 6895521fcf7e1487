package state

import (
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

func collect[V any](seq iter.Seq[V]) []V { return slices.Collect(seq) }

func (t *tables) vmsOf(hostID string) iter.Seq[*novacronv1.VM] {
	return func(yield func(*novacronv1.VM) bool) {
		for _, id := range t.vmByHost.prefixed(hostKey(hostID, "")) {
			if vm, ok := t.vms.get(id); ok && !yield(vm) {
				return
			}
		}
	}
}

// allocated sums up what the machines and volumes of a host may use, and counts the machines. Dedicated CPUs count as what
// they take from the others.
func (t *tables) allocated(hostID string) (*novacronv1.Resources, uint32) {
	sum, count, own := &novacronv1.Resources{}, uint32(0), uint64(0)
	for vm := range t.vmsOf(hostID) {
		need := Needs(vm.GetSpec())
		if vm.GetSpec().GetCpu().GetDedicated() {
			own += uint64(need.GetCpus())
		} else {
			sum.Cpus += need.GetCpus()
		}
		sum.MemoryMb += need.GetMemoryMb()
		sum.DiskGb += need.GetDiskGb()
		count++
	}
	if own > 0 {
		host, _ := t.hosts.get(hostID)
		sum.Cpus += uint32(reserved(host, own))
	}
	for volume := range t.volumesOf(hostID) {
		sum.DiskGb += wholeGB(volume.GetSpec().GetSizeBytes())
	}
	return sum, count
}

// Needs is what a machine reserves on its host.
func Needs(spec *novacronv1.VMSpec) *novacronv1.Resources {
	disk := uint64(spec.GetDiskGb())
	for _, volume := range spec.GetVolumes() {
		disk += uint64(volume.GetSizeGb())
	}
	return &novacronv1.Resources{Cpus: spec.GetCpus(), MemoryMb: uint64(spec.GetMemoryMb()), DiskGb: disk}
}

func (x *txn) observeHost(op *statev1.ObserveHost) (proto.Message, error) {
	before, ok := x.t.hosts.get(op.GetId())
	if !ok {
		return nil, fmt.Errorf("%w: host %q: it has not joined, or it was removed", ErrNotFound, op.GetId())
	}
	after := edit(before)
	after.State = op.GetState()
	if op.GetInfo() != nil {
		after.Info = op.GetInfo()
	}
	if after.GetState() == novacronv1.HostState_HOST_STATE_DOWN {
		x.loseSight(op.GetId())
	}
	return x.putHost(after), nil
}

// loseSight marks the machines of a host that is not heard from. They may run: nothing else follows from it. One that
// failed stays so: the host must not try it again because the word of its failure got lost.
func (x *txn) loseSight(hostID string) {
	for _, vm := range collect(x.t.vmsOf(hostID)) {
		switch vm.GetStatus().GetPhase() {
		case novacronv1.VMPhase_VM_PHASE_UNKNOWN, novacronv1.VMPhase_VM_PHASE_FAILED:
			continue
		}
		after := edit(vm)
		after.Status = &novacronv1.VMStatus{
			Phase: novacronv1.VMPhase_VM_PHASE_UNKNOWN, UpdateTime: x.now, ObservedGeneration: vm.GetStatus().GetObservedGeneration(),
			Message: fmt.Sprintf("host %s is not heard from; it was %s%s", vm.GetHostName(), word(vm.GetStatus().GetPhase()), afterLoss(vm)),
		}
		x.putVM(after)
	}
}
