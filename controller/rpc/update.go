package rpc

import (
	"context"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

// UpdateVM checks the machine as it would be, and commits the change.
func (s *vmService) UpdateVM(ctx context.Context, r *connect.Request[novacronv1.UpdateVMRequest]) (*connect.Response[novacronv1.UpdateVMResponse], error) {
	found, err := s.find(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	if err := checkUpdate(found, r.Msg); err != nil {
		return nil, invalid(err)
	}
	changed, err := s.proposeVM(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_UpdateVm{UpdateVm: &statev1.UpdateVM{
			Id: found.GetId(), OperationId: s.NewID(), Name: r.Msg.GetName(),
			SetLabels: r.Msg.GetSetLabels(), RemoveLabels: r.Msg.GetRemoveLabels(),
			SetAnnotations: r.Msg.GetSetAnnotations(), RemoveAnnotations: r.Msg.GetRemoveAnnotations(),
		}}
	})
	return connect.NewResponse(&novacronv1.UpdateVMResponse{Vm: changed}), err
}

func checkUpdate(record *novacronv1.VM, r *novacronv1.UpdateVMRequest) error {
	definition := vm.FromProto(record.GetSpec())
	if r.GetName() != "" {
		definition.Name = r.GetName()
	}
	definition.Labels = state.Edited(definition.Labels, r.GetSetLabels(), r.GetRemoveLabels())
	definition.Annotations = state.Edited(definition.Annotations, r.GetSetAnnotations(), r.GetRemoveAnnotations())
	return vm.Validate(definition)
}
