package cli

import (
	"context"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// AttachISO changes the definition as the cluster does.
func (f *fake) AttachISO(_ context.Context, req *connect.Request[pb.AttachISORequest]) (*connect.Response[pb.AttachISOResponse], error) {
	r := req.Msg
	changed, err := f.changeMedia(r.GetProject(), r.GetVm(), "attach-iso", func(def vm.Definition, runs bool) (vm.Definition, error) {
		medium := vm.Medium{Image: r.GetImage()}
		if r.GetVolume() != "" {
			medium = vm.Medium{Pool: "default", Source: "nc-vol-" + r.GetVolume() + ".raw"}
		}
		return vm.WithMedium(def, r.GetDrive(), medium, runs)
	})
	return connect.NewResponse(&pb.AttachISOResponse{Vm: changed}), err
}

// EjectISO is the reverse.
func (f *fake) EjectISO(_ context.Context, req *connect.Request[pb.EjectISORequest]) (*connect.Response[pb.EjectISOResponse], error) {
	r := req.Msg
	changed, err := f.changeMedia(r.GetProject(), r.GetVm(), "eject-iso", func(def vm.Definition, _ bool) (vm.Definition, error) {
		return vm.WithoutMedium(def, r.GetDrive())
	})
	return connect.NewResponse(&pb.EjectISOResponse{Vm: changed}), err
}

func (f *fake) changeMedia(project, name, kind string, plan func(vm.Definition, bool) (vm.Definition, error)) (*pb.VM, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	record, err := f.find(project, name)
	if err != nil {
		return nil, err
	}
	definition := vm.Normalise(vm.FromProto(record.GetSpec()), vm.Defaults{})
	next, err := plan(definition, record.GetStatus().GetPhase() == pb.VMPhase_VM_PHASE_RUNNING)
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	record.Spec = vm.ToProto(next)
	record.Generation++
	record.Operation = operation(record.GetId(), kind, record.GetGeneration())
	f.put(record, false)
	answer := f.vms[record.GetId()]
	record.Status = &pb.VMStatus{Phase: finalPhase(record), ObservedGeneration: record.GetGeneration()}
	f.put(record, false)
	return answer, nil
}
