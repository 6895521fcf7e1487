package state

import (
	"fmt"
	"maps"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// updateVM changes labels, annotations and the name. What the update leaves as it is costs nothing: no generation, no work
// for the host.
func (x *txn) updateVM(op *statev1.UpdateVM) (proto.Message, error) {
	before, err := x.findVM(op.GetId())
	if err != nil {
		return nil, err
	}
	if before.GetDeleteTime() != nil {
		return nil, fmt.Errorf("%w: virtual machine %s is being deleted", ErrRefused, before.GetSpec().GetName())
	}
	after := edit(before)
	after.Spec.Labels = Edited(after.GetSpec().GetLabels(), op.GetSetLabels(), op.GetRemoveLabels())
	after.Spec.Annotations = Edited(after.GetSpec().GetAnnotations(), op.GetSetAnnotations(), op.GetRemoveAnnotations())
	if name := op.GetName(); name != "" && name != before.GetSpec().GetName() {
		if err := x.renamable(before, name); err != nil {
			return nil, err
		}
		after.Spec.Name = name
	}
	if proto.Equal(after, before) {
		return before, nil
	}
	after.Generation++
	after.Operation = x.operation(op.GetOperationId(), "update", after.GetGeneration())
	if after.GetHostId() == "" {
		after.Operation.State = novacronv1.OperationState_OPERATION_STATE_DONE
	}
	return x.putVM(after), nil
}

// renamable refuses a name that is taken, and a machine that runs: the hypervisor renames stopped ones only.
func (x *txn) renamable(vm *novacronv1.VM, name string) error {
	if other, taken := x.t.vmByName.get(nameKey(vm.GetSpec().GetProject(), name)); taken {
		return fmt.Errorf("%w: name: %q is virtual machine %s in project %s: choose another name", ErrExists, name, other, vm.GetSpec().GetProject())
	}
	if phase := vm.GetStatus().GetPhase(); vm.GetHostId() != "" && phase != novacronv1.VMPhase_VM_PHASE_STOPPED {
		return fmt.Errorf("%w: virtual machine %s is %s, only a stopped one can be renamed: stop it first", ErrRefused, vm.GetSpec().GetName(), word(phase))
	}
	return nil
}

// Edited gives a copy with some entries set and others removed; an empty one is nil.
func Edited(have, set map[string]string, remove []string) map[string]string {
	next := map[string]string{}
	maps.Copy(next, have)
	maps.Copy(next, set)
	for _, key := range remove {
		delete(next, key)
	}
	if len(next) == 0 {
		return nil
	}
	return next
}
