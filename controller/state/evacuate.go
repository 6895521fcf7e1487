package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// What an evacuation policy says; an empty one is EvacuateMigrate.
const (
	EvacuateMigrate = "migrate"
	EvacuateRestart = "restart"
	EvacuateStop    = "stop"
	EvacuateNever   = "never"
)

// PolicyOf is what shall become of a machine when its host is emptied.
func PolicyOf(vm *novacronv1.VM) string {
	if policy := vm.GetSpec().GetEvacuationPolicy(); policy != "" {
		return policy
	}
	return EvacuateMigrate
}

// Moves tells the policies by which a machine goes to another host.
func Moves(policy string) bool { return policy == EvacuateMigrate || policy == EvacuateRestart }

// Bound tells what of a machine exists on its host alone, in words, or "": a machine without it can be made anew elsewhere
// and is the same.
func Bound(vm *novacronv1.VM) string {
	spec := vm.GetSpec()
	if vm.GetAdopted() {
		return "it was adopted, and the cluster cannot make it anew"
	}
	if spec.GetDiskGb() > 0 {
		return fmt.Sprintf("its root disk lies in pool %s there", spec.GetPool())
	}
	for _, volume := range spec.GetVolumes() {
		if device := volume.GetDevice(); volume.GetSource() != "" || device == "" || device == "disk" {
			return fmt.Sprintf("its disk %s lies in pool %s there", volume.GetName(), volume.GetPool())
		}
	}
	switch {
	case spec.GetTpm() == "2.0":
		return "the state of its TPM lies there"
	case spec.GetFirmware() == "uefi":
		return "the variables of its firmware lie there"
	case len(spec.GetDevices().GetHostDevices()) > 0:
		return "it has devices of that host"
	}
	return ""
}

// setHostDraining begins or ends the emptying of a host; a second wish for the same is fine. What is under way goes on.
func (x *txn) setHostDraining(op *statev1.SetHostDraining) (proto.Message, error) {
	before, ok := x.t.hosts.get(op.GetHostId())
	if !ok {
		return nil, fmt.Errorf("%w: host %q: see «novacron host list»", ErrNotFound, op.GetHostId())
	}
	if before.GetDraining() == op.GetDraining() {
		return before, nil
	}
	after := edit(before)
	after.Draining = op.GetDraining()
	return x.putHost(after), nil
}

// evacuateVMs has machines leave their hosts. A step whose premises no longer hold is left out; the answer is ErrStale only
// when none holds.
func (x *txn) evacuateVMs(op *statev1.EvacuateVMs) (proto.Message, error) {
	var refused error
	for _, step := range op.GetEvacuations() {
		if err := x.evacuate(step); err != nil {
			refused = err
		}
	}
	if len(x.changes) == 0 && refused != nil {
		return nil, refused
	}
	return nil, nil
}

func (x *txn) evacuate(step *statev1.Evacuation) error {
	before, err := x.findVM(step.GetVmId())
	if err != nil {
		return err
	}
	name := before.GetSpec().GetName()
	if host, _ := x.t.hosts.get(before.GetHostId()); before.GetRevision() != step.GetVmRevision() || !host.GetDraining() ||
		before.GetDeleteTime() != nil || before.GetEvacuateTime() != nil {
		return fmt.Errorf("%w: virtual machine %s or its host changed since the plan", ErrStale, name)
	}
	if why := Bound(before); why != "" || !Moves(PolicyOf(before)) {
		return fmt.Errorf("%w: virtual machine %s must not leave host %s: its policy is %s, %s", ErrRefused, name, before.GetHostName(), PolicyOf(before), why)
	}
	after := edit(before)
	after.Generation++
	after.Force, after.EvacuateTime = false, x.now
	after.Operation = x.operation(step.GetOperationId(), "evacuate", after.GetGeneration())
	x.putVM(after)
	return nil
}

// release lets another host have a machine, now that its own has said that nothing of it is left there.
func (x *txn) release(vm *novacronv1.VM) {
	after := edit(vm)
	after.HostId, after.HostName, after.HostCpus, after.EvacuateTime = "", "", nil, nil
	after.Status = &novacronv1.VMStatus{
		Phase: novacronv1.VMPhase_VM_PHASE_PENDING, UpdateTime: x.now,
		Message: fmt.Sprintf("host %s has stopped it and let it go; waiting for another host", vm.GetHostName()),
	}
	x.putVM(after)
}

// afterLoss tells what becomes of a machine whose host is not heard from. It may run there: nobody else may start it before
// that host has said that it does not.
func afterLoss(vm *novacronv1.VM) string {
	if Moves(PolicyOf(vm)) {
		return "; it is not started elsewhere before that host confirms that it stopped"
	}
	return "; it stays there, as its evacuation policy " + PolicyOf(vm) + " says"
}
