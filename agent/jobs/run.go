package jobs

import (
	"context"
	"time"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
)

// idleCheck is how often leases are looked at when nothing wakes the manager.
const idleCheck = time.Second

// Run starts and stops jobs until the context ends, then stops all of them and returns when the last collection has; one
// that hangs is not waited for longer than its deadline.
func (m *Manager) Run(ctx context.Context) {
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	for {
		if m.settle(ctx, time.Now()) {
			m.cfg.Changed()
		}
		m.clean(ctx)
		select {
		case <-ctx.Done():
			m.stopAll()
			return
		case <-m.wake:
		case <-tick.C:
		}
	}
}

// settle brings the jobs in line with what is wanted and leased. It tells whether there is something to report.
func (m *Manager) settle(ctx context.Context, now time.Time) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, j := range m.jobs {
		if want := m.wanted[name]; !m.mayRun(want, now) || want.GetEpoch() != j.epoch() || want.GetGeneration() != j.want.GetGeneration() {
			j.stop()
		}
		if j.over() {
			delete(m.jobs, name)
		}
	}
	for name, want := range m.wanted {
		if m.jobs[name] != nil {
			continue
		}
		switch {
		case want.GetEnding() && m.ended[name] != want.GetEpoch():
			m.ended[name] = want.GetEpoch()
			news = true
		case m.mayRun(want, now):
			m.jobs[name] = m.start(ctx, want)
		}
	}
	return news
}

// mayRun tells whether a source may be collected now: it is this host's, in an epoch that is not over, with a lease.
func (m *Manager) mayRun(want *agentv1.MetricJob, now time.Time) bool {
	if want == nil || want.GetEnding() || m.cfg.Runner == nil || m.ended[want.GetSpec().GetName()] == want.GetEpoch() {
		return false
	}
	until, ok := m.leases.Until(want.GetSpec().GetName(), want.GetEpoch(), now)
	return ok && now.Before(until.Add(-guard))
}

func (m *Manager) stopAll() {
	m.mu.Lock()
	var ending []*job
	for _, j := range m.jobs {
		j.stop()
		ending = append(ending, j)
	}
	m.mu.Unlock()
	for _, j := range ending {
		<-j.done
	}
}
