package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// reshapeVM takes a definition from a plan that was made of the machine's present generation. What changes nothing costs
// nothing.
func (x *txn) reshapeVM(op *statev1.ReshapeVM) (proto.Message, error) {
	before, err := x.findVM(op.GetId())
	if err != nil {
		return nil, err
	}
	name := before.GetSpec().GetName()
	switch phase := before.GetStatus().GetPhase(); {
	case before.GetDeleteTime() != nil:
		return nil, fmt.Errorf("%w: virtual machine %s is being deleted", ErrRefused, name)
	case before.GetGeneration() != op.GetGeneration():
		return nil, fmt.Errorf("%w: virtual machine %s was changed meanwhile: try again", ErrStale, name)
	case op.GetStopped() && before.GetHostId() != "" && phase != novacronv1.VMPhase_VM_PHASE_STOPPED:
		return nil, fmt.Errorf("%w: virtual machine %s is %s, and what changes takes a stopped one: stop it first", ErrRefused, name, word(phase))
	}
	after := edit(before)
	after.Spec = op.GetSpec()
	if proto.Equal(after, before) && !failedNow(before) {
		return before, nil
	}
	for _, group := range op.GetSecurityGroups() {
		if _, ok := x.t.groups.get(group); !ok {
			return nil, fmt.Errorf("%w: security group %q was deleted meanwhile: try again", ErrStale, group)
		}
	}
	if err := x.growable(before, after); err != nil {
		return nil, err
	}
	after.Generation++
	after.Operation = x.operation(op.GetOperationId(), "apply", after.GetGeneration())
	if after.GetHostId() == "" {
		after.Operation.State = novacronv1.OperationState_OPERATION_STATE_DONE
	}
	return x.putVM(after), nil
}

// growable tells whether the machine's host has room for what it is to have more.
func (x *txn) growable(before, after *novacronv1.VM) error {
	host, ok := x.t.hosts.get(before.GetHostId())
	if !ok {
		return nil // it is placed by what it will be
	}
	had, shall := Needs(before.GetSpec()), Needs(after.GetSpec())
	used, _ := x.t.allocated(host.GetId())
	capacity := host.GetInfo().GetCapacity()
	for _, r := range []struct {
		path, unit                   string
		used, had, shall, capability uint64
	}{
		{"cpus", "CPUs", uint64(used.GetCpus()), uint64(had.GetCpus()), uint64(shall.GetCpus()), uint64(capacity.GetCpus())},
		{"memoryMB", "MiB", used.GetMemoryMb(), had.GetMemoryMb(), shall.GetMemoryMb(), capacity.GetMemoryMb()},
		{"diskGB", "GiB", used.GetDiskGb(), had.GetDiskGb(), shall.GetDiskGb(), capacity.GetDiskGb()},
	} {
		if r.shall > r.had && r.used+r.shall-r.had > r.capability {
			return fmt.Errorf("%w: %s: %d %s more, and host %s has promised %d of its %d: ask for less, or delete other machines there",
				ErrRefused, r.path, r.shall-r.had, r.unit, before.GetHostName(), r.used, r.capability)
		}
	}
	return nil
}
