package state

import (
	"fmt"
	"iter"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// requestMemory is how long a request id is remembered, and maxRequests how many.
const (
	requestMemory = time.Hour
	maxRequests   = 10000
)

// putVM and dropVM keep the indexes in step.
func (t *tables) putVM(vm *novacronv1.VM) {
	t.vms.put(vm.GetId(), vm)
	t.vmByName.put(nameKey(vm.GetSpec().GetProject(), vm.GetSpec().GetName()), vm.GetId())
	if vm.GetHostId() == "" {
		t.unplaced.put(vm.GetId(), vm.GetId())
	} else {
		t.vmByHost.put(hostKey(vm.GetHostId(), vm.GetId()), vm.GetId())
	}
	for mac := range macsOf(vm) {
		t.vmByMAC.put(mac, vm.GetId())
	}
	t.putAddresses(vm)
}

func (t *tables) dropVM(vm *novacronv1.VM) {
	t.vms.delete(vm.GetId())
	t.vmByName.delete(nameKey(vm.GetSpec().GetProject(), vm.GetSpec().GetName()))
	t.unplaced.delete(vm.GetId())
	t.vmByHost.delete(hostKey(vm.GetHostId(), vm.GetId()))
	for mac := range macsOf(vm) {
		t.vmByMAC.delete(mac)
	}
	t.dropAddresses(vm)
}

// macsOf yields the addresses of a machine's network cards.
func macsOf(vm *novacronv1.VM) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, nic := range vm.GetSpec().GetNetworkInterfaces() {
			if nic.GetMac() != "" && !yield(nic.GetMac()) {
				return
			}
		}
		for _, mac := range vm.GetAdoptedMacs() {
			if !yield(mac) {
				return
			}
		}
	}
}

func (x *txn) findVM(id string) (*novacronv1.VM, error) {
	vm, ok := x.t.vms.get(id)
	if !ok {
		return nil, fmt.Errorf("%w: virtual machine %q", ErrNotFound, id)
	}
	return vm, nil
}

func (x *txn) createVM(op *statev1.CreateVM) (proto.Message, error) {
	if record, ok := x.t.requests.get(op.GetRequestId()); ok && op.GetRequestId() != "" {
		if vm, alive := x.t.vms.get(record.GetVmId()); alive {
			return vm, nil
		}
	}
	if err := x.creatable(op); err != nil {
		return nil, err
	}
	spec, err := x.connect(op.GetSpec())
	if err != nil {
		return nil, err
	}
	x.remember(op)
	return x.putVM(&novacronv1.VM{
		Id: op.GetId(), Spec: spec, Generation: 1, DesiredPower: op.GetPower(), CreateTime: x.now, Images: op.GetImages(),
		Status:    &novacronv1.VMStatus{Phase: novacronv1.VMPhase_VM_PHASE_PENDING, Message: "waiting for a host", UpdateTime: x.now},
		Operation: x.operation(op.GetOperationId(), "create", 1),
	}), nil
}

func (x *txn) creatable(op *statev1.CreateVM) error {
	spec := op.GetSpec()
	if other, taken := x.t.vmByName.get(nameKey(spec.GetProject(), spec.GetName())); taken {
		return fmt.Errorf("%w: name: %q is virtual machine %s in project %s: choose another name", ErrExists, spec.GetName(), other, spec.GetProject())
	}
	if _, taken := x.t.vms.get(op.GetId()); taken {
		return fmt.Errorf("%w: uuid: %s belongs to another virtual machine: leave it out to get a new one", ErrExists, op.GetId())
	}
	for i, nic := range spec.GetNetworkInterfaces() {
		if other, taken := x.t.vmByMAC.get(nic.GetMac()); taken && nic.GetMac() != "" {
			return fmt.Errorf("%w: networkInterfaces[%d].mac: %s belongs to virtual machine %s: leave it out to get a new one", ErrExists, i, nic.GetMac(), x.t.nameOf(other))
		}
	}
	if err := x.attachable(op.GetId(), spec); err != nil {
		return err
	}
	if err := x.connectable(op); err != nil {
		return err
	}
	for _, ref := range op.GetImages() {
		if image, ok := x.t.images.get(ref.GetName()); !ok || image.GetSha256() != ref.GetSha256() {
			return fmt.Errorf("%w: image %q was deleted or replaced meanwhile: try again", ErrStale, ref.GetName())
		}
	}
	return nil
}

func (t *tables) nameOf(vmID string) string {
	vm, _ := t.vms.get(vmID)
	return vm.GetSpec().GetName()
}

// remember keeps the request id, and forgets those that are too old or too many, oldest first.
func (x *txn) remember(op *statev1.CreateVM) {
	if op.GetRequestId() == "" {
		return
	}
	for key, id := range x.t.requestByAge.clone().after("") {
		record, _ := x.t.requests.get(id)
		if x.t.requests.len() < maxRequests && x.now.AsTime().Sub(record.GetTime().AsTime()) <= requestMemory {
			break
		}
		x.t.requests.delete(id)
		x.t.requestByAge.delete(key)
	}
	x.t.putRequest(&statev1.RequestRecord{RequestId: op.GetRequestId(), VmId: op.GetId(), Time: x.now})
}

func (t *tables) putRequest(record *statev1.RequestRecord) {
	if before, ok := t.requests.get(record.GetRequestId()); ok {
		t.requestByAge.delete(ageKey(before))
	}
	t.requests.put(record.GetRequestId(), record)
	t.requestByAge.put(ageKey(record), record.GetRequestId())
}

func ageKey(record *statev1.RequestRecord) string {
	return fmt.Sprintf("%020d/%s", record.GetTime().AsTime().UnixNano(), record.GetRequestId())
}

func (x *txn) operation(id, kind string, generation uint64) *novacronv1.Operation {
	return &novacronv1.Operation{Id: id, Kind: kind, Generation: generation, CreateTime: x.now, State: novacronv1.OperationState_OPERATION_STATE_RUNNING}
}

func (x *txn) setVMPower(op *statev1.SetVMPower) (proto.Message, error) {
	before, err := x.findVM(op.GetId())
	if err != nil {
		return nil, err
	}
	if before.GetDeleteTime() != nil {
		return nil, fmt.Errorf("%w: virtual machine %s is being deleted", ErrRefused, before.GetSpec().GetName())
	}
	host, _ := x.t.hosts.get(before.GetHostId())
	if host.GetDraining() && PolicyOf(before) == EvacuateStop && op.GetPower() != novacronv1.PowerState_POWER_STATE_STOPPED {
		return nil, fmt.Errorf("%w: virtual machine %s was stopped because host %s is being emptied: end that with «novacron host undrain %s» first",
			ErrRefused, before.GetSpec().GetName(), before.GetHostName(), before.GetHostName())
	}
	kind := map[novacronv1.PowerState]string{
		novacronv1.PowerState_POWER_STATE_STOPPED: "stop", novacronv1.PowerState_POWER_STATE_PAUSED: "pause",
	}[op.GetPower()]
	if kind == "" {
		kind = "start"
	}
	after := edit(before)
	after.Generation++
	after.DesiredPower, after.Force = op.GetPower(), op.GetForce()
	after.Operation = x.operation(op.GetOperationId(), kind, after.GetGeneration())
	if after.GetHostId() == "" { // nothing runs anywhere: the wish is all there is
		after.Operation.State = novacronv1.OperationState_OPERATION_STATE_DONE
	}
	return x.putVM(after), nil
}

// restartVM asks for one restart. A machine that nobody saw running has nothing to restart.
func (x *txn) restartVM(op *statev1.RestartVM) (proto.Message, error) {
	before, err := x.findVM(op.GetId())
	if err != nil {
		return nil, err
	}
	name, phase := before.GetSpec().GetName(), before.GetStatus().GetPhase()
	switch {
	case before.GetDeleteTime() != nil:
		return nil, fmt.Errorf("%w: virtual machine %s is being deleted", ErrRefused, name)
	case phase != novacronv1.VMPhase_VM_PHASE_RUNNING:
		return nil, fmt.Errorf("%w: virtual machine %s is %s, only a running one can be restarted: start it instead", ErrRefused, name, word(phase))
	}
	after := edit(before)
	after.Generation++
	after.RestartGeneration, after.Force, after.DesiredPower = after.GetGeneration(), op.GetForce(), novacronv1.PowerState_POWER_STATE_RUNNING
	after.Operation = x.operation(op.GetOperationId(), "restart", after.GetGeneration())
	return x.putVM(after), nil
}

func (x *txn) deleteVM(op *statev1.DeleteVM) (proto.Message, error) {
	before, err := x.findVM(op.GetId())
	if err != nil {
		return nil, err
	}
	after := edit(before)
	after.Generation++
	after.Force = op.GetForce() || before.GetForce() && before.GetDeleteTime() != nil
	after.DesiredPower = novacronv1.PowerState_POWER_STATE_STOPPED
	if after.GetDeleteTime() == nil {
		after.DeleteTime = x.now
	}
	after.Operation = x.operation(op.GetOperationId(), "delete", after.GetGeneration())
	if _, owned := x.t.hosts.get(before.GetHostId()); !owned {
		after.Operation.State = novacronv1.OperationState_OPERATION_STATE_DONE
		x.dropVM(before)
		return after, nil
	}
	return x.putVM(after), nil
}

// bindVMs gives machines to hosts. A binding whose premises no longer hold is left out, and its machine stays unplaced:
// the planner looks again. The answer is ErrStale only when none holds.
func (x *txn) bindVMs(op *statev1.BindVMs) (proto.Message, error) {
	var refused error
	for _, binding := range op.GetBindings() {
		if err := x.bind(binding); err != nil {
			refused = err
		}
	}
	if len(x.changes) == 0 && refused != nil {
		return nil, refused
	}
	return nil, nil
}

func (x *txn) bind(binding *statev1.Binding) error {
	before, err := x.findVM(binding.GetVmId())
	if err != nil {
		return err
	}
	if before.GetHostId() != "" || before.GetRevision() != binding.GetVmRevision() {
		return fmt.Errorf("%w: virtual machine %s changed since the plan", ErrStale, before.GetSpec().GetName())
	}
	host, ok := x.t.hosts.get(binding.GetHostId())
	if !ok || host.GetState() != novacronv1.HostState_HOST_STATE_UP || host.GetDraining() || !x.t.fits(host, x.t.needsOn(host, before.GetSpec())) {
		return fmt.Errorf("%w: host %s is gone, down, draining or full", ErrStale, binding.GetHostId())
	}
	if !x.t.lieOn(host.GetId(), before.GetSpec()) {
		return fmt.Errorf("%w: a volume of virtual machine %s lies on another host than %s", ErrStale, before.GetSpec().GetName(), host.GetId())
	}
	if err := x.t.tieable(host, before.GetSpec(), binding.GetHostCpus()); err != nil {
		return err
	}
	member, _ := x.t.members.get(host.GetId())
	after := edit(before)
	after.HostId, after.HostName = host.GetId(), member.GetName()
	after.Epoch++
	after.HostCpus = binding.GetHostCpus()
	after.Status = &novacronv1.VMStatus{Phase: novacronv1.VMPhase_VM_PHASE_SCHEDULED, UpdateTime: x.now}
	x.putVM(after)
	return nil
}

func (t *tables) fits(host *statev1.HostRecord, need *novacronv1.Resources) bool {
	used, _ := t.allocated(host.GetId())
	capacity := host.GetInfo().GetCapacity()
	return used.GetCpus()+need.GetCpus() <= capacity.GetCpus() &&
		used.GetMemoryMb()+need.GetMemoryMb() <= capacity.GetMemoryMb() &&
		used.GetDiskGb()+need.GetDiskGb() <= capacity.GetDiskGb()
}

func (x *txn) refuseVM(op *statev1.RefuseVM) (proto.Message, error) {
	before, err := x.findVM(op.GetVmId())
	if err != nil {
		return nil, err
	}
	if before.GetHostId() != "" || before.GetRevision() != op.GetVmRevision() {
		return nil, fmt.Errorf("%w: virtual machine %s changed since the plan", ErrStale, before.GetSpec().GetName())
	}
	after := edit(before)
	after.Status = &novacronv1.VMStatus{Phase: novacronv1.VMPhase_VM_PHASE_PENDING, Message: op.GetMessage(), UpdateTime: x.now}
	return x.putVM(after), nil
}

// observeVMs records what a host says of its machines. Only the present owner in the present epoch is heard.
func (x *txn) observeVMs(op *statev1.ObserveVMs) (proto.Message, error) {
	x.hear(op)
	for _, seen := range op.GetVms() {
		vm, ok := x.t.vms.get(seen.GetVmId())
		if !ok || vm.GetHostId() != op.GetHostId() || vm.GetEpoch() != seen.GetEpoch() ||
			seen.GetObservedGeneration() < vm.GetStatus().GetObservedGeneration() {
			continue
		}
		if seen.GetGone() && vm.GetDeleteTime() != nil {
			x.dropVM(vm)
			continue
		}
		if seen.GetGone() && vm.GetEvacuateTime() != nil {
			x.release(vm)
			continue
		}
		x.putVM(observed(vm, seen, x.now))
	}
	return nil, nil
}

func observed(before *novacronv1.VM, seen *statev1.VMObservation, now *timestamppb.Timestamp) *novacronv1.VM {
	after := edit(before)
	after.Status = &novacronv1.VMStatus{
		Phase: seen.GetPhase(), Message: seen.GetMessage(), Step: seen.GetStep(), ObservedGeneration: seen.GetObservedGeneration(), UpdateTime: now,
		Guest: seen.GetGuest(),
	}
	return settle(after)
}

// settle ends the operation once its outcome has been seen.
func settle(vm *novacronv1.VM) *novacronv1.VM {
	op, status := vm.GetOperation(), vm.GetStatus()
	if op.GetState() != novacronv1.OperationState_OPERATION_STATE_RUNNING || status.GetObservedGeneration() < op.GetGeneration() {
		return vm
	}
	switch {
	case status.GetPhase() == novacronv1.VMPhase_VM_PHASE_FAILED:
		op.State, op.Message = novacronv1.OperationState_OPERATION_STATE_FAILED, status.GetMessage()
	case vm.GetDeleteTime() == nil && status.GetPhase() == wanted(vm.GetDesiredPower()):
		op.State = novacronv1.OperationState_OPERATION_STATE_DONE
	}
	return vm
}

func wanted(power novacronv1.PowerState) novacronv1.VMPhase {
	switch power {
	case novacronv1.PowerState_POWER_STATE_STOPPED:
		return novacronv1.VMPhase_VM_PHASE_STOPPED
	case novacronv1.PowerState_POWER_STATE_PAUSED:
		return novacronv1.VMPhase_VM_PHASE_PAUSED
	case novacronv1.PowerState_POWER_STATE_RUNNING, novacronv1.PowerState_POWER_STATE_UNSPECIFIED:
	}
	return novacronv1.VMPhase_VM_PHASE_RUNNING
}
