package rpc

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/placing"
	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// PlanDrain plans as the leader would, as things are now.
func (s *hostService) PlanDrain(_ context.Context, r *connect.Request[novacronv1.PlanDrainRequest]) (*connect.Response[novacronv1.PlanDrainResponse], error) {
	view := s.Store.View()
	host, err := hostIn(view, r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.PlanDrainResponse{Steps: placing.Drain(view, host.GetId()), Host: host}), nil
}

// DrainHost commits the wish; a loop of the leader carries it out.
func (s *hostService) DrainHost(ctx context.Context, r *connect.Request[novacronv1.DrainHostRequest]) (*connect.Response[novacronv1.DrainHostResponse], error) {
	host, err := hostIn(s.Store.View(), r.Msg.GetHost())
	if err != nil {
		return nil, err
	}
	if _, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_SetHostDraining{SetHostDraining: &statev1.SetHostDraining{HostId: host.GetId(), Draining: !r.Msg.GetCancel()}}
	}); err != nil {
		return nil, err
	}
	view := s.Store.View()
	if host, err = hostIn(view, host.GetId()); err != nil {
		return nil, err
	}
	answer := &novacronv1.DrainHostResponse{Host: host}
	if !r.Msg.GetCancel() {
		answer.Steps = placing.Drain(view, host.GetId())
	}
	return connect.NewResponse(answer), nil
}

func hostIn(view state.View, idOrName string) (*novacronv1.Host, error) {
	host, ok := view.Host(idOrName)
	if !ok {
		return nil, fmt.Errorf("%w: host %q: see «novacron host list»", state.ErrNotFound, idOrName)
	}
	return host, nil
}

// asOrdered is a machine as its host is told of it. One that is to leave is removed there like one that is deleted, as long
// as nothing of it exists there alone.
func asOrdered(machine *novacronv1.VM) *novacronv1.VM {
	if machine.GetEvacuateTime() == nil || state.Bound(machine) != "" {
		return machine
	}
	ordered := proto.CloneOf(machine)
	ordered.DeleteTime = machine.GetEvacuateTime()
	return ordered
}

// phaseFor takes a host's word for a machine that leaves it: it is deleted there, and only there.
func phaseFor(known *novacronv1.VM, phase novacronv1.VMPhase) novacronv1.VMPhase {
	if known.GetEvacuateTime() != nil && known.GetDeleteTime() == nil && phase == novacronv1.VMPhase_VM_PHASE_DELETING {
		return novacronv1.VMPhase_VM_PHASE_STOPPING
	}
	return phase
}
