package cli

import (
	"context"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
)

// PlanDrain tells of three machines, until the host has been drained: then those that go have gone.
func (f *fake) PlanDrain(_ context.Context, req *connect.Request[pb.PlanDrainRequest]) (*connect.Response[pb.PlanDrainResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	steps := []*pb.DrainStep{
		{VmName: "cache", Project: "default", Policy: "migrate", Action: pb.DrainAction_DRAIN_ACTION_MOVE, ToHost: "kvm-2", UnderWay: f.draining > 0, Why: "it is stopped here, then made anew there"},
		{VmName: "batch", Project: "default", Policy: "stop", Action: pb.DrainAction_DRAIN_ACTION_STOP, Why: "it is stopped and stays on the host"},
		{VmName: "db", Project: "default", Policy: "migrate", Action: pb.DrainAction_DRAIN_ACTION_STAY, Why: "its root disk lies in pool default there, and no other host reaches that"},
	}
	if f.draining > 0 {
		if f.draining++; f.draining > 2 {
			steps = steps[2:]
		}
	}
	return connect.NewResponse(&pb.PlanDrainResponse{Steps: steps}), nil
}

func (f *fake) DrainHost(ctx context.Context, req *connect.Request[pb.DrainHostRequest]) (*connect.Response[pb.DrainHostResponse], error) {
	f.mu.Lock()
	f.draining = 1
	if req.Msg.Cancel {
		f.draining = 0
	}
	f.mu.Unlock()
	plan, err := f.PlanDrain(ctx, connect.NewRequest(&pb.PlanDrainRequest{Host: req.Msg.Host}))
	return connect.NewResponse(&pb.DrainHostResponse{Steps: plan.Msg.Steps, Host: &pb.Host{Name: req.Msg.Host}}), err
}
