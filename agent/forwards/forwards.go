// Package forwards has what this host stores sent on to where the cluster wants it, and tells how that goes.
package forwards

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/forward"
)

// again is how often a forward that could not be set up is tried again.
const again = time.Minute

// Config is what a manager needs.
type Config struct {
	// Set forwards; nil means that this host cannot.
	Set    *forward.Set
	Logger *slog.Logger
}

// Manager brings the forwards of this host in line with those of the cluster. Its methods are safe for concurrent use.
type Manager struct {
	cfg  Config
	wake chan struct{}

	mu       sync.Mutex
	revision uint64
	wanted   []*agentv1.MetricForwardJob
	told     bool

	// links are how remotes are reached, by the name of the forward; settling is held where they are used.
	settling sync.Mutex
	links    map[string]*link
}

// New knows of no forwards yet; those that the host had go on queueing.
func New(cfg Config) *Manager {
	return &Manager{cfg: cfg, wake: make(chan struct{}, 1), links: map[string]*link{}}
}

// Desired takes what all the forwards are. Sets come in order; nil says nothing.
func (m *Manager) Desired(revision uint64, all *agentv1.MetricForwards) {
	if all == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision < m.revision {
		return
	}
	m.revision, m.wanted, m.told = revision, all.GetForwards(), true
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run sets the forwards up until the context ends.
func (m *Manager) Run(ctx context.Context) {
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		m.settle()
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-tick.C:
		}
	}
}

func (m *Manager) settle() {
	m.mu.Lock()
	wanted, told := m.wanted, m.told
	m.mu.Unlock()
	if m.cfg.Set == nil || !told {
		return
	}
	m.settling.Lock()
	defer m.settling.Unlock()
	before := m.links
	m.links = make(map[string]*link, len(wanted))
	targets := make([]forward.Target, len(wanted))
	for i, one := range wanted {
		name := one.GetSpec().GetName()
		var err error
		if m.links[name], err = before[name].renew(one); err != nil {
			delete(m.links, name)
		}
		targets[i] = targetOf(one, m.links[name], err)
	}
	m.cfg.Set.Configure(targets)
	for name, old := range before { // nobody sends by it any more
		if m.links[name] != old {
			old.transport.CloseIdleConnections()
		}
	}
}

// Observations are how the forwards of this host go.
func (m *Manager) Observations() (all []*agentv1.MetricForwardObservation) {
	m.mu.Lock()
	wanted := m.wanted
	m.mu.Unlock()
	states := map[string]forward.Status{}
	if m.cfg.Set != nil {
		for _, one := range m.cfg.Set.Statuses() {
			states[one.Name] = one
		}
	}
	for _, one := range wanted {
		o := &agentv1.MetricForwardObservation{Forward: one.GetSpec().GetName(), Id: one.GetId(), Status: &novacronv1.MetricForwardHost{}}
		if state, is := states[o.GetForward()]; is && state.ID == one.GetId() {
			o.Status = describe(state)
		}
		if m.cfg.Set == nil {
			o.Status.LastError = "this host cannot forward: it keeps no metrics, or its folder of queues cannot be used: see the log of its agent"
		}
		all = append(all, o)
	}
	return all
}

func describe(s forward.Status) *novacronv1.MetricForwardHost {
	o := &novacronv1.MetricForwardHost{
		ObservedGeneration: s.Generation, PendingSamples: uint64(s.Pending), QueueBytes: uint64(s.QueueBytes), Lag: durationpb.New(s.Lag),
		SentSamples: uint64(s.Sent), SentBytes: uint64(s.Bytes), RetriedRequests: uint64(s.Retried), Shards: uint32(s.Shards), Protocol: uint32(s.Protocol),
		LastSuccessTime: stamp(s.Success), LastErrorTime: stamp(s.Failure), LastError: forward.Clean(s.Error), DroppedSamples: map[string]uint64{},
	}
	for reason, n := range s.Dropped {
		o.DroppedSamples[reason] = uint64(n)
	}
	return o
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// targetOf is what the set works by. One that cannot be sent to says why, and is queued for.
func targetOf(want *agentv1.MetricForwardJob, by *link, err error) forward.Target {
	spec := want.GetSpec()
	target := forward.Target{
		Name: spec.GetName(), ID: want.GetId(), Generation: want.GetGeneration(), URL: spec.GetUrl(), Match: spec.GetMatch(),
		External: spec.GetLabels(), Protocol: int(spec.GetProtocol()), Headers: spec.GetHeaders(),
		QueueBytes: int64(spec.GetQueueBytes()), QueueAge: spec.GetQueueAge().AsDuration(), Problem: want.GetSecretProblem(),
	}
	if err != nil && target.Problem == "" {
		target.Problem = fmt.Sprintf("metric forward %s: %v", spec.GetName(), err)
	}
	if by != nil {
		target.Transport, target.Authorise = by.transport, by.authorise
	}
	return target
}
