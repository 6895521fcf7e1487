package rpc

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// forwardReports are how the hosts said that forwards go, by host and forward: what hosts tell with every report is not
// replicated. Hosts report to the leader, so a new one knows after one report of each.
type forwardReports struct {
	mu     sync.Mutex
	byHost map[string]map[string]*agentv1.MetricForwardObservation
}

const (
	// maxHostForwards bounds what is kept of one host's report; there are fewer forwards.
	maxHostForwards = 32
	// maxReasons bounds the reasons for dropping that are kept; there are fewer.
	maxReasons = 16
)

// take keeps what a host says, in the place of what it said before.
func (f *forwardReports) take(host *novacronv1.Member, seen []*agentv1.MetricForwardObservation, now time.Time) {
	kept := map[string]*agentv1.MetricForwardObservation{}
	for _, o := range seen[:min(len(seen), maxHostForwards)] {
		one := proto.CloneOf(o)
		if one.GetStatus() == nil || len(one.GetStatus().GetDroppedSamples()) > maxReasons {
			continue
		}
		one.Status.HostId, one.Status.HostName, one.Status.UpdateTime = host.GetId(), host.GetName(), timestamppb.New(now)
		one.Status.LastError = clip(one.GetStatus().GetLastError())
		kept[one.GetForward()] = one
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byHost == nil {
		f.byHost = map[string]map[string]*agentv1.MetricForwardObservation{}
	}
	f.byHost[host.GetId()] = kept
}

// of are the hosts that have told of a forward, by name; hosts that are members no more are forgotten.
func (f *forwardReports) of(forward *novacronv1.MetricForward, view state.View) (hosts []*novacronv1.MetricForwardHost) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.byHost, func(id string, _ map[string]*agentv1.MetricForwardObservation) bool {
		_, is := view.Member(id)
		return !is
	})
	for _, told := range f.byHost {
		if one := told[forward.GetSpec().GetName()]; one != nil && one.GetId() == forward.GetId() {
			hosts = append(hosts, one.GetStatus())
		}
	}
	slices.SortFunc(hosts, func(a, b *novacronv1.MetricForwardHost) int { return cmp.Compare(a.GetHostName(), b.GetHostName()) })
	return hosts
}

// withHosts is a forward with how it goes.
func (s *Server) withHosts(forward *novacronv1.MetricForward) *novacronv1.MetricForward {
	told := proto.CloneOf(forward)
	told.Hosts = s.forwards.of(forward, s.Store.View())
	return told
}

// reportForwards keeps what a host says of its forwards.
func (s *desiredService) reportForwards(view state.View, hostID string, seen []*agentv1.MetricForwardObservation) {
	if host, ok := view.Member(hostID); ok {
		s.forwards.take(host, seen, s.Now())
	}
}

// forwardsFor is what every host shall send on. Secrets are in it, in plain; this stream ends at the host's certificate.
func (s *desiredService) forwardsFor(view state.View) *agentv1.MetricForwards {
	all := &agentv1.MetricForwards{}
	for _, record := range view.MetricForwards("") {
		forward := record.GetForward()
		job := &agentv1.MetricForwardJob{Spec: forward.GetSpec(), Generation: forward.GetGeneration(), Id: forward.GetId()}
		if record.GetSecret() != nil {
			s.unsealForward(job, record)
		}
		all.Forwards = append(all.Forwards, job)
	}
	return all
}

func (s *desiredService) unsealForward(job *agentv1.MetricForwardJob, record *statev1.MetricForwardRecord) {
	secret, err := s.openForwardSecret(record)
	if err != nil {
		job.SecretProblem = err.Error()
		s.Logger.Error("the secret of a metric forward cannot be given to the hosts", "forward", job.GetSpec().GetName(), "error", err)
		return
	}
	job.Secret = secret
}
