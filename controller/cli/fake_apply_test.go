package cli

import (
	"context"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// ApplyVM creates or changes as the cluster does.
func (f *fake) ApplyVM(ctx context.Context, req *connect.Request[pb.ApplyVMRequest]) (*connect.Response[pb.ApplyVMResponse], error) {
	r := req.Msg
	f.mu.Lock()
	record, err := f.find(r.GetSpec().GetProject(), r.GetSpec().GetName())
	f.mu.Unlock()
	if err != nil && r.GetDryRun() {
		return connect.NewResponse(&pb.ApplyVMResponse{Created: true}), nil
	}
	if err != nil {
		made, err := f.CreateVM(ctx, connect.NewRequest(&pb.CreateVMRequest{Spec: r.GetSpec(), RequestId: r.GetRequestId()}))
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(&pb.ApplyVMResponse{Vm: made.Msg.GetVm(), Created: true}), nil
	}
	stored := vm.Normalise(vm.FromProto(record.GetSpec()), vm.Defaults{})
	next := vm.Normalise(vm.Inherit(vm.FromProto(r.GetSpec()), stored), vm.Defaults{})
	changes, err := vm.Reshape(stored, next, record.GetStatus().GetPhase() == pb.VMPhase_VM_PHASE_RUNNING)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	answer := &pb.ApplyVMResponse{Vm: record}
	for _, c := range changes {
		answer.Changes = append(answer.Changes, &pb.VMChange{Path: c.Path, From: c.From, To: c.To, Effect: string(c.Effect)})
	}
	if !r.GetDryRun() && len(changes) > 0 {
		answer.Vm = f.reshape(record, next)
	}
	return connect.NewResponse(answer), nil
}

func (f *fake) reshape(record *pb.VM, next vm.Definition) *pb.VM {
	f.mu.Lock()
	defer f.mu.Unlock()
	record.Spec = vm.ToProto(next)
	record.Generation++
	record.Operation = operation(record.GetId(), "apply", record.GetGeneration())
	f.put(record, false)
	answer := f.vms[record.GetId()]
	record.Status = &pb.VMStatus{Phase: finalPhase(record), ObservedGeneration: record.GetGeneration()}
	f.put(record, false)
	return answer
}
