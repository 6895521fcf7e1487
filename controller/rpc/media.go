package rpc

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

// AttachISO plans the definition with the medium and commits it.
func (s *vmService) AttachISO(ctx context.Context, r *connect.Request[novacronv1.AttachISORequest]) (*connect.Response[novacronv1.AttachISOResponse], error) {
	found, err := s.find(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	medium, err := s.medium(found, r.Msg)
	if err != nil {
		return nil, err
	}
	next, err := vm.WithMedium(vm.FromProto(found.GetSpec()), r.Msg.GetDrive(), medium, runs(found))
	if err != nil {
		return nil, undrivable(found, err)
	}
	changed, err := s.changeMedia(ctx, found, next, &statev1.ChangeVMMedia{Kind: "attach-iso", Force: r.Msg.GetForce()})
	return connect.NewResponse(&novacronv1.AttachISOResponse{Vm: changed}), err
}

// EjectISO plans the definition without the medium and commits it.
func (s *vmService) EjectISO(ctx context.Context, r *connect.Request[novacronv1.EjectISORequest]) (*connect.Response[novacronv1.EjectISOResponse], error) {
	found, err := s.find(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	next, err := vm.WithoutMedium(vm.FromProto(found.GetSpec()), r.Msg.GetDrive())
	if err != nil {
		return nil, undrivable(found, err)
	}
	changed, err := s.changeMedia(ctx, found, next, &statev1.ChangeVMMedia{Kind: "eject-iso", Force: r.Msg.GetForce()})
	return connect.NewResponse(&novacronv1.EjectISOResponse{Vm: changed}), err
}

// runs tells whether a machine may have a hypervisor process: where that is not known it counts as one that has.
func runs(record *novacronv1.VM) bool {
	switch record.GetStatus().GetPhase() {
	case novacronv1.VMPhase_VM_PHASE_PENDING, novacronv1.VMPhase_VM_PHASE_STOPPED:
		return false
	}
	return record.GetHostId() != ""
}

// undrivable says of which machine an error of its drives is.
func undrivable(record *novacronv1.VM, err error) error {
	if record.GetAdopted() {
		err = fmt.Errorf("%w: it was taken over, so that the cluster does not know its drives: use virsh change-media on host %s", err, record.GetHostName())
	}
	return fmt.Errorf("%w: virtual machine %s: %w", state.ErrRefused, record.GetSpec().GetName(), err)
}

// medium finds what shall lie in the drive.
func (s *vmService) medium(record *novacronv1.VM, r *novacronv1.AttachISORequest) (vm.Medium, error) {
	switch {
	case (r.GetImage() == "") == (r.GetVolume() == ""):
		return vm.Medium{}, invalid(errors.New("image, volume: exactly one of them says what shall lie in the drive"))
	case r.GetImage() != "":
		if _, ok := s.Store.View().Image(r.GetImage()); !ok {
			return vm.Medium{}, fmt.Errorf("%w: image: %q is not in the cluster: add it with «novacron image add %s FILE», or choose one of «novacron image list»",
				state.ErrNotFound, r.GetImage(), r.GetImage())
		}
		return vm.Medium{Image: r.GetImage()}, nil
	}
	return s.volumeMedium(record, r.GetVolume())
}

// volumeMedium takes a volume of the cluster that is on the machine's host and holds what a drive can read.
func (s *vmService) volumeMedium(record *novacronv1.VM, name string) (vm.Medium, error) {
	volume, err := (&storageService{s.Server}).findVolume(name, record.GetSpec().GetProject())
	if err != nil {
		return vm.Medium{}, err
	}
	spec := volume.GetSpec()
	switch {
	case spec.GetFormat() != vm.FormatRaw:
		return vm.Medium{}, fmt.Errorf("%w: volume: %s is %s: a drive reads raw ones: make one with «novacron volume upload»",
			state.ErrRefused, spec.GetName(), spec.GetFormat())
	case record.GetHostId() == "":
		return vm.Medium{}, fmt.Errorf("%w: volume: %s is on host %s, and virtual machine %s has no host yet: wait until it is placed, or use an image, which is everywhere",
			state.ErrRefused, spec.GetName(), volume.GetHostName(), record.GetSpec().GetName())
	case volume.GetHostId() != record.GetHostId():
		return vm.Medium{}, fmt.Errorf("%w: volume: %s is on host %s, virtual machine %s on %s: make one there, or use an image, which is everywhere",
			state.ErrRefused, spec.GetName(), volume.GetHostName(), record.GetSpec().GetName(), record.GetHostName())
	}
	return vm.Medium{Pool: spec.GetPool(), Source: state.StoredName(volume)}, nil
}

// changeMedia checks the machine as it would be, pins the images that it did not have, and commits.
func (s *vmService) changeMedia(ctx context.Context, record *novacronv1.VM, next vm.Definition, op *statev1.ChangeVMMedia) (*novacronv1.VM, error) {
	if err := vm.Validate(next); err != nil {
		return nil, invalid(err)
	}
	images, err := s.resolve(next)
	if err != nil {
		return nil, err
	}
	op.Id, op.OperationId, op.Generation = record.GetId(), s.NewID(), record.GetGeneration()
	op.Spec, op.Images = vm.ToProto(next), images
	return s.proposeVM(ctx, func(c *statev1.Command) { c.Op = &statev1.Command_ChangeVmMedia{ChangeVmMedia: op} })
}
