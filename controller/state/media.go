package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// changeVMMedia takes what lies in the CD-ROM drives of a machine from a plan that was made of its present generation. What
// changes nothing costs nothing.
func (x *txn) changeVMMedia(op *statev1.ChangeVMMedia) (proto.Message, error) {
	before, err := x.findVM(op.GetId())
	if err != nil {
		return nil, err
	}
	name := before.GetSpec().GetName()
	switch {
	case before.GetDeleteTime() != nil:
		return nil, fmt.Errorf("%w: virtual machine %s is being deleted", ErrRefused, name)
	case before.GetGeneration() != op.GetGeneration():
		return nil, fmt.Errorf("%w: virtual machine %s was changed meanwhile: try again", ErrStale, name)
	}
	if err := x.imagesCurrent(before, op.GetImages()); err != nil {
		return nil, err
	}
	after := edit(before)
	after.Spec.Iso, after.Spec.Volumes, after.Images = op.GetSpec().Iso, op.GetSpec().GetVolumes(), op.GetImages()
	if proto.Equal(after, before) && !failedNow(before) {
		return before, nil
	}
	if err := x.attachable(op.GetId(), after.GetSpec()); err != nil {
		return nil, err
	}
	after.Generation++
	after.Force = op.GetForce()
	after.Operation = x.operation(op.GetOperationId(), op.GetKind(), after.GetGeneration())
	if after.GetHostId() == "" {
		after.Operation.State = novacronv1.OperationState_OPERATION_STATE_DONE
	}
	return x.putVM(after), nil
}

// failedNow tells a machine whose present wish failed: asking for the same again makes the host try again.
func failedNow(vm *novacronv1.VM) bool {
	return vm.GetStatus().GetPhase() == novacronv1.VMPhase_VM_PHASE_FAILED
}

// imagesCurrent makes sure that what a machine did not have before is still what the plan found. What it has is kept for it.
func (x *txn) imagesCurrent(vm *novacronv1.VM, refs []*novacronv1.ImageRef) error {
	has := map[string]string{}
	for _, ref := range vm.GetImages() {
		has[ref.GetName()] = ref.GetSha256()
	}
	for _, ref := range refs {
		image, ok := x.t.images.get(ref.GetName())
		if has[ref.GetName()] != ref.GetSha256() && (!ok || image.GetSha256() != ref.GetSha256()) {
			return fmt.Errorf("%w: image %q was deleted or replaced meanwhile: try again", ErrStale, ref.GetName())
		}
	}
	return nil
}
