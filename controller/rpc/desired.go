package rpc

import (
	"context"
	"errors"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/placing"
	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// revocationMemory is how long agents are told of a removed node: longer than a node's certificate lives.
const revocationMemory = pki.MaxNodeTTL + time.Hour

type desiredService struct{ *Server }

var _ agentv1connect.DesiredServiceHandler = (*desiredService)(nil)

// Watch sends the calling host its desired set whenever the intent in it changes, and heartbeats between. It begins with a
// set that is as new as the call: an agent that has just started knows no better, and would bring back what was deleted.
func (s *desiredService) Watch(ctx context.Context, _ *connect.Request[agentv1.WatchRequest], stream *connect.ServerStream[agentv1.WatchResponse]) error {
	hostID := callerOf(ctx).NodeID
	if err := s.Fresh(ctx); err != nil {
		return err
	}
	cursor, baseline, err := s.sendDesired(stream, hostID)
	for pulse := newPulse(); err == nil; {
		var changes []state.Change
		var next state.Cursor
		changes, next, err = s.next(ctx, cursor, pulse)
		switch {
		case errors.Is(err, state.ErrCompacted), err == nil && (concerns(changes, hostID) || ofHosts(changes) && baselineFor(s.Store.View(), hostID) != baseline):
			next, baseline, err = s.sendDesired(stream, hostID)
			err = pulse.beat(err)
		case err == nil && pulse.due():
			err = pulse.beat(stream.Send(&agentv1.WatchResponse{Revision: next.Revision()}))
		}
		cursor = next
	}
	return err
}

func (s *desiredService) sendDesired(stream *connect.ServerStream[agentv1.WatchResponse], hostID string) (state.Cursor, string, error) {
	view := s.Store.View()
	set := &agentv1.DesiredSet{CpuBaseline: baselineFor(view, hostID)}
	for vm := range view.VMsOf(hostID) {
		set.Vms = append(set.Vms, asOrdered(vm))
	}
	for volume := range view.VolumesOf(hostID) {
		set.Volumes = append(set.Volumes, volume)
	}
	var agents []string
	for _, member := range view.Members() {
		switch {
		case member.GetRole() == novacronv1.Role_ROLE_CONTROLLER:
			set.Controllers = append(set.Controllers, member.GetApiAddress())
		case member.GetId() != hostID:
			agents = append(agents, member.GetApiAddress())
		}
	}
	set.BlobSources = slices.Concat(set.GetControllers(), agents) // controllers hold every image: they come first
	set.RevokedNodes = view.RevokedSince(s.Now().Add(-revocationMemory))
	set.Networks = networksFor(view, hostID)
	set.Metrics = s.metricsFor(view, hostID)
	set.MetricForwards = s.forwardsFor(view)
	return view.Cursor(), set.GetCpuBaseline(), stream.Send(&agentv1.WatchResponse{Desired: set, Revision: view.Revision()})
}

// baselineFor is the processor model for machines of a host that may move to others.
func baselineFor(view state.View, hostID string) string {
	host, _ := view.Host(hostID)
	return placing.CPUBaselines(view)[host.GetInfo().GetArch()]
}

// ofHosts tells whether a host has changed, which may change what all have in common.
func ofHosts(changes []state.Change) bool {
	return slices.ContainsFunc(changes, func(change state.Change) bool {
		_, is := change.Record().(*statev1.HostRecord)
		return is
	})
}

// concerns tells whether changes alter what a host shall do. What the host itself reported does not.
func concerns(changes []state.Change, hostID string) bool {
	for _, change := range changes {
		if concernsNetworks(change, hostID) || concernsMetrics(change, hostID) {
			return true
		}
		switch change.Record().(type) {
		case *novacronv1.Member:
			return true
		case *novacronv1.VM:
			before, _ := change.Before.(*novacronv1.VM)
			after, _ := change.After.(*novacronv1.VM)
			if intentOf(before, hostID) != intentOf(after, hostID) {
				return true
			}
		case *novacronv1.Volume:
			before, _ := change.Before.(*novacronv1.Volume)
			after, _ := change.After.(*novacronv1.Volume)
			if volumeIntent(before, hostID) != volumeIntent(after, hostID) {
				return true
			}
		}
	}
	return false
}

type intent struct {
	owned             bool
	epoch, generation uint64
}

func intentOf(vm *novacronv1.VM, hostID string) intent {
	if vm.GetHostId() != hostID {
		return intent{}
	}
	return intent{owned: true, epoch: vm.GetEpoch(), generation: vm.GetGeneration()}
}

// Report takes a heartbeat and commits what is new in it, and nothing when nothing is.
func (s *desiredService) Report(ctx context.Context, r *connect.Request[agentv1.ReportRequest]) (*connect.Response[agentv1.ReportResponse], error) {
	hostID := callerOf(ctx).NodeID
	s.Beats.Beat(hostID, s.Now())
	s.Series.Tell(hostID, r.Msg.GetMetricUsage(), s.Now())
	view := s.Store.View()
	if err := s.reportHost(ctx, view, hostID, r.Msg.GetInfo()); err != nil {
		return nil, err
	}
	if err := s.reportVMs(ctx, view, hostID, r.Msg); err != nil {
		return nil, err
	}
	if err := s.reportVolumes(ctx, view, hostID, r.Msg.GetVolumes()); err != nil {
		return nil, err
	}
	if err := s.reportMetricJobs(ctx, view, hostID, r.Msg.GetMetricJobs()); err != nil {
		return nil, err
	}
	s.reportForwards(view, hostID, r.Msg.GetMetricForwards())
	leases, err := s.leases(ctx, hostID)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&agentv1.ReportResponse{Interval: durationpb.New(reportInterval), MetricLeases: leases}), nil
}

func (s *desiredService) reportHost(ctx context.Context, view state.View, hostID string, info *novacronv1.HostInfo) error {
	known, ok := view.Host(hostID)
	if ok && known.GetState() == novacronv1.HostState_HOST_STATE_UP && proto.Equal(known.GetInfo(), info) {
		return nil
	}
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_ObserveHost{ObserveHost: &statev1.ObserveHost{Id: hostID, State: novacronv1.HostState_HOST_STATE_UP, Info: info}}
	})
	return err
}

func (s *desiredService) reportVMs(ctx context.Context, view state.View, hostID string, report *agentv1.ReportRequest) error {
	news := &statev1.ObserveVMs{HostId: hostID}
	for _, o := range report.GetVms() {
		known, ok := view.VM(o.GetVmId(), "")
		o.Phase = phaseFor(known, o.GetPhase())
		if ok && known.GetHostId() == hostID && isNews(known, o) {
			news.Vms = append(news.Vms, &statev1.VMObservation{
				VmId: o.GetVmId(), Epoch: o.GetEpoch(), ObservedGeneration: o.GetObservedGeneration(),
				Phase: o.GetPhase(), Message: o.GetMessage(), Step: o.GetStep(), Gone: o.GetGone(), Guest: o.GetGuest(),
			})
		}
	}
	for _, e := range report.GetEvents() {
		news.Events = append(news.Events, &statev1.HypervisorEvent{
			VmId: e.GetVmId(), Kind: e.GetKind(), Time: e.GetTime(), Sequence: e.GetSequence(), BootId: report.GetBootId(),
		})
	}
	if len(news.GetVms()) == 0 && len(news.GetEvents()) == 0 {
		return nil
	}
	_, err := s.propose(ctx, func(c *statev1.Command) { c.Op = &statev1.Command_ObserveVms{ObserveVms: news} })
	return err
}

// isNews tells whether an observation changes anything: one of another epoch or of an older generation is not heard.
func isNews(known *novacronv1.VM, o *agentv1.VMObservation) bool {
	status := known.GetStatus()
	if o.GetEpoch() != known.GetEpoch() || o.GetObservedGeneration() < status.GetObservedGeneration() {
		return false
	}
	return o.GetGone() || status.GetPhase() != o.GetPhase() || status.GetMessage() != o.GetMessage() ||
		!proto.Equal(status.GetGuest(), o.GetGuest()) || status.GetStep() != o.GetStep() || status.GetObservedGeneration() < o.GetObservedGeneration()
}
