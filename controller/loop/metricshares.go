package loop

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/novacron/novacron/controller/state"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

const (
	sharesCheck = time.Second
	// divideEvery is how often shares are divided anew at most, as long as hosts and limit are the same.
	divideEvery = time.Minute
	// shareSilence is how old what a host told of its series may be.
	shareSilence = DownAfter
)

// MetricShares divides the cluster's limit of series among the hosts. Shares are state: they stay when there is no leader.
//
// What hosts hold never comes to more than the limit. A host that gets less may go by what it had until it has heard of it,
// and goes on with the series that it has then; so that is what it holds, and another share grows only out of what nobody
// holds. A host says with each report up to which revision it has heard. So hosts together have no more series than the
// limit, or than they had when they heard of it: see PlanShares for what it takes.
type MetricShares struct {
	Store  *state.Store
	Log    Proposer
	Now    func() time.Time
	Logger *slog.Logger

	mu   sync.Mutex
	told map[string]usage
}

// usage is what a host told of its series.
type usage struct {
	series, revision uint64
	at               time.Time
}

// Tell takes note of what a host reports; nil says nothing.
func (m *MetricShares) Tell(hostID string, told *agentv1.MetricUsage, at time.Time) {
	if told == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told == nil {
		m.told = map[string]usage{}
	}
	m.told[hostID] = usage{told.GetSeries(), told.GetRevision(), at}
}

// Active is how many series a host told that it has, of late.
func (m *MetricShares) Active(hostID string) (uint64, bool) {
	u, ok := m.heard(m.Now())[hostID]
	return u.series, ok
}

// heard is what hosts told of late.
func (m *MetricShares) heard(now time.Time) map[string]usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.told, func(_ string, u usage) bool { return now.Sub(u.at) > shareSilence })
	return maps.Clone(m.told)
}

// Loop looks once a second.
func (m *MetricShares) Loop() Loop {
	return Loop{Name: "metric-shares", Run: func(ctx context.Context) error {
		d := &division{}
		return every(ctx, sharesCheck, func(ctx context.Context) error { return m.check(ctx, d) })
	}}
}

func (m *MetricShares) check(ctx context.Context, d *division) error {
	now := m.Now()
	record, _ := m.Store.View().MetricLimits()
	if record.GetLimits().GetClusterSeries() == 0 {
		return nil
	}
	hosts := shareHosts(m.Store.View(), record, m.heard(now), d.young(now))
	d.see(record.GetLimits().GetClusterSeries(), hosts, now)
	next := PlanShares(record.GetLimits().GetClusterSeries(), hosts, d.targets)
	if slices.EqualFunc(record.GetShares(), next, func(a, b *novacronv1.MetricShare) bool {
		return a.GetHostId() == b.GetHostId() && a.GetSeries() == b.GetSeries() && a.GetHeld() == b.GetHeld()
	}) {
		return nil
	}
	err := commit(ctx, m.Log, "loop/metric-shares", now, func(c *statev1.Command) {
		c.Op = &statev1.Command_ShareMetricSeries{ShareMetricSeries: &statev1.ShareMetricSeries{Revision: record.GetRevision(), Shares: next}}
	})
	if errors.Is(err, state.ErrRefused) || errors.Is(err, state.ErrInvalid) {
		m.Logger.Error("shares of the cluster's series were refused: they stay as they are", "error", err)
		return nil
	}
	return err
}
