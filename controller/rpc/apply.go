package rpc

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

// ApplyVM creates the machine, or plans its change and commits that.
func (s *vmService) ApplyVM(ctx context.Context, r *connect.Request[novacronv1.ApplyVMRequest]) (*connect.Response[novacronv1.ApplyVMResponse], error) {
	given := vm.FromProto(r.Msg.GetSpec())
	project := given.Project
	if project == "" {
		project = vm.DefaultProject
	}
	record, there := s.Store.View().VM(given.Name, project)
	if !there || record.GetSpec().GetName() != given.Name {
		return s.applyNew(ctx, r.Msg)
	}
	if record.GetAdopted() {
		return nil, fmt.Errorf("%w: virtual machine %s was taken over, so that the cluster does not know its definition: change it with virsh on host %s, its labels with «novacron vm label»",
			state.ErrRefused, given.Name, record.GetHostName())
	}
	return s.applyChange(ctx, r.Msg, record, vm.Inherit(given, vm.FromProto(record.GetSpec())))
}

func (s *vmService) applyNew(ctx context.Context, r *novacronv1.ApplyVMRequest) (*connect.Response[novacronv1.ApplyVMResponse], error) {
	if !r.GetDryRun() {
		made, err := s.CreateVM(ctx, connect.NewRequest(&novacronv1.CreateVMRequest{Spec: r.GetSpec(), RequestId: r.GetRequestId()}))
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(&novacronv1.ApplyVMResponse{Vm: made.Msg.GetVm(), Created: true, Warnings: made.Msg.GetWarnings()}), nil
	}
	definition, err := s.define(ctx, r.GetSpec())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.ApplyVMResponse{Created: true, Warnings: warningsOf(definition)}), nil
}

func (s *vmService) applyChange(ctx context.Context, r *novacronv1.ApplyVMRequest, record *novacronv1.VM, given vm.Definition) (*connect.Response[novacronv1.ApplyVMResponse], error) {
	next, err := s.define(ctx, vm.ToProto(given))
	if err != nil {
		return nil, err
	}
	changes, err := vm.Reshape(vm.FromProto(record.GetSpec()), next, runs(record))
	if err != nil {
		return nil, invalid(err)
	}
	groups, err := s.connections(next)
	if err != nil {
		return nil, err
	}
	answer := &novacronv1.ApplyVMResponse{Vm: record, Warnings: warningsOf(next)}
	op := &statev1.ReshapeVM{Id: record.GetId(), Generation: record.GetGeneration(), Spec: vm.ToProto(next), SecurityGroups: groups}
	for _, c := range changes {
		answer.Changes = append(answer.Changes, &novacronv1.VMChange{Path: c.Path, From: c.From, To: c.To, Effect: string(c.Effect)})
		op.Stopped = op.Stopped || c.Effect == vm.Stopped
	}
	if r.GetDryRun() || len(changes) == 0 {
		return connect.NewResponse(answer), nil
	}
	answer.Vm, err = s.proposeVM(ctx, func(c *statev1.Command) {
		op.OperationId = s.NewID()
		c.Op = &statev1.Command_ReshapeVm{ReshapeVm: op}
	})
	return connect.NewResponse(answer), err
}
