package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// adoptVM records a machine where it is. Room is not asked for: it takes what it takes already.
func (x *txn) adoptVM(op *statev1.AdoptVM) (proto.Message, error) {
	if err := x.creatable(&statev1.CreateVM{Id: op.GetId(), Spec: op.GetSpec()}); err != nil {
		return nil, err
	}
	if _, ok := x.t.hosts.get(op.GetHostId()); !ok {
		return nil, fmt.Errorf("%w: host %q", ErrNotFound, op.GetHostId())
	}
	for _, mac := range op.GetMacs() {
		if other, taken := x.t.vmByMAC.get(mac); taken {
			return nil, fmt.Errorf("%w: the domain's MAC address %s belongs to virtual machine %s: give the domain another first", ErrExists, mac, x.t.nameOf(other))
		}
	}
	member, _ := x.t.members.get(op.GetHostId())
	return x.putVM(&novacronv1.VM{
		Id: op.GetId(), Spec: op.GetSpec(), Generation: 1, Epoch: 1, DesiredPower: op.GetPower(), CreateTime: x.now, Adopted: true,
		AdoptedMacs: op.GetMacs(),
		HostId:      op.GetHostId(), HostName: member.GetName(),
		Status:    &novacronv1.VMStatus{Phase: novacronv1.VMPhase_VM_PHASE_SCHEDULED, UpdateTime: x.now},
		Operation: x.operation(op.GetOperationId(), "adopt", 1),
	}), nil
}
