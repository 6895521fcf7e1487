package rpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
)

type vmService struct{ *Server }

var _ novacronv1connect.VMServiceHandler = (*vmService)(nil)

const maxRequestID = 64

// CreateVM fills in and checks the definition, once, and commits the intent.
func (s *vmService) CreateVM(ctx context.Context, r *connect.Request[novacronv1.CreateVMRequest]) (*connect.Response[novacronv1.CreateVMResponse], error) {
	if n := len(r.Msg.GetRequestId()); n > maxRequestID {
		return nil, invalid(fmt.Errorf("request_id: %d characters, at most %d", n, maxRequestID))
	}
	if r.Msg.GetGenerateName() {
		return s.createNamed(ctx, r.Msg)
	}
	definition, err := s.define(ctx, r.Msg.GetSpec())
	if err != nil {
		return nil, err
	}
	images, err := s.resolve(definition)
	if err != nil {
		return nil, err
	}
	groups, err := s.connections(definition)
	if err != nil {
		return nil, err
	}
	power := novacronv1.PowerState_POWER_STATE_RUNNING
	if r.Msg.GetStopped() {
		power = novacronv1.PowerState_POWER_STATE_STOPPED
	}
	created, err := s.proposeVM(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_CreateVm{CreateVm: &statev1.CreateVM{
			Id: definition.UUID, Spec: vm.ToProto(definition), RequestId: r.Msg.GetRequestId(), OperationId: s.NewID(), Power: power, Images: images,
			SecurityGroups: groups,
		}}
	})
	return connect.NewResponse(&novacronv1.CreateVMResponse{Vm: created, Warnings: warningsOf(definition)}), err
}

// define gives the definition as it is kept: complete, without a fault, and with nothing that the caller may not ask for. The
// secrets of one that was shown without them are those of the machine that has its name.
func (s *vmService) define(ctx context.Context, spec *novacronv1.VMSpec) (vm.Definition, error) {
	given := vm.FromProto(spec)
	definition := vm.Normalise(given, s.defaults(s.Store.View()))
	if err := vm.Validate(definition); err != nil {
		return vm.Definition{}, invalid(err)
	}
	stored, _ := s.Store.View().VM(definition.Name, definition.Project)
	definition, err := vm.RestoreSecrets(definition, vm.FromProto(stored.GetSpec()))
	if err != nil {
		return vm.Definition{}, invalid(err)
	}
	return definition, s.checkHostAccess(ctx, definition)
}

// resolve pins the images that a definition names to their present content.
func (s *vmService) resolve(definition vm.Definition) ([]*novacronv1.ImageRef, error) {
	view := s.Store.View()
	names := definition.ImageNames()
	refs := map[string]*novacronv1.ImageRef{}
	var missing []error
	for _, path := range slices.Sorted(maps.Keys(names)) {
		image, ok := view.Image(names[path])
		if !ok {
			missing = append(missing, fmt.Errorf("%s: image %q is not in the cluster: add it with «novacron image add %s FILE», or choose one of «novacron image list»", path, names[path], names[path]))
			continue
		}
		refs[image.GetName()] = &novacronv1.ImageRef{Name: image.GetName(), Sha256: image.GetSha256(), Format: image.GetFormat(), SizeBytes: image.GetSizeBytes()}
	}
	if len(missing) > 0 {
		return nil, connect.NewError(connect.CodeNotFound, errors.Join(missing...))
	}
	ordered := make([]*novacronv1.ImageRef, 0, len(refs))
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		ordered = append(ordered, refs[name])
	}
	return ordered, nil
}

func (s *vmService) proposeVM(ctx context.Context, op func(*statev1.Command)) (*novacronv1.VM, error) {
	value, err := s.propose(ctx, op)
	if err != nil {
		return nil, err
	}
	return value.(*novacronv1.VM), nil
}

func (s *vmService) GetVM(_ context.Context, r *connect.Request[novacronv1.GetVMRequest]) (*connect.Response[novacronv1.GetVMResponse], error) {
	found, err := s.find(r.Msg.GetVm(), r.Msg.GetProject())
	return connect.NewResponse(&novacronv1.GetVMResponse{Vm: found}), err
}

func (s *vmService) find(idOrName, project string) (*novacronv1.VM, error) {
	if project == "" {
		project = vm.DefaultProject
	}
	found, ok := s.Store.View().VM(idOrName, project)
	if !ok {
		return nil, fmt.Errorf("%w: virtual machine %q in project %s: see «novacron vm list»", state.ErrNotFound, idOrName, project)
	}
	return found, nil
}

func (s *vmService) SetVMPower(ctx context.Context, r *connect.Request[novacronv1.SetVMPowerRequest]) (*connect.Response[novacronv1.SetVMPowerResponse], error) {
	if r.Msg.GetPower() == novacronv1.PowerState_POWER_STATE_UNSPECIFIED {
		return nil, invalid(errors.New("power: must be POWER_STATE_RUNNING, POWER_STATE_PAUSED or POWER_STATE_STOPPED"))
	}
	found, err := s.find(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	changed, err := s.proposeVM(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_SetVmPower{SetVmPower: &statev1.SetVMPower{
			Id: found.GetId(), Power: r.Msg.GetPower(), OperationId: s.NewID(), Force: r.Msg.GetForce(),
		}}
	})
	return connect.NewResponse(&novacronv1.SetVMPowerResponse{Vm: changed}), err
}

func (s *vmService) DeleteVM(ctx context.Context, r *connect.Request[novacronv1.DeleteVMRequest]) (*connect.Response[novacronv1.DeleteVMResponse], error) {
	found, err := s.find(r.Msg.GetVm(), r.Msg.GetProject())
	if err != nil {
		return nil, err
	}
	deleted, err := s.proposeVM(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteVm{DeleteVm: &statev1.DeleteVM{Id: found.GetId(), OperationId: s.NewID(), Force: r.Msg.GetForce()}}
	})
	return connect.NewResponse(&novacronv1.DeleteVMResponse{Vm: deleted}), err
}
