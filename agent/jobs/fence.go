package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/collect"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb"
)

// errNoLease is a collection that is not begun: the host may have lost the source and not have heard of it yet.
var errNoLease = errors.New("no lease: no controller that leads has answered this host of late, so another host may have been given the source; it goes on when one answers")

// errNotStored is a collection that was for nothing.
var errNotStored = errors.New("what was collected could not be stored on the host: see the log of its agent")

// fenced is a collector that collects only under a lease: each collection begins under one and is broken off before the
// end of it. A host that was asleep past its lease finds out here.
type fenced struct {
	job   *job
	inner collect.MetricsCollector
	// began and err are those of the last collection.
	began time.Time
	err   error
}

var (
	_ collect.MetricsCollector = (*fenced)(nil)
	_ collect.Settler          = (*fenced)(nil)
)

// CollectMetrics notes how it went.
func (f *fenced) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	now := time.Now()
	until, ok := f.job.manager.leases.Until(f.job.name(), f.job.epoch(), now)
	end := until.Add(-guard)
	if !ok || !now.Before(end) {
		f.job.told.failed(errNoLease, now)
		return nil, errNoLease
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := f.watch(end, cancel)
	defer watch.Stop()
	f.began = now
	metrics, err := f.inner.CollectMetrics(ctx, query)
	if cause := context.Cause(ctx); errors.Is(cause, errNoLease) {
		err = errors.Join(err, cause)
	}
	if f.err = err; err == nil || !errors.Is(context.Cause(ctx), context.Canceled) { // a job that is stopped has not failed
		f.job.told.collected(len(metrics), err, time.Now())
	}
	return metrics, err
}

// watch breaks a collection off at the end of its lease, which may have been renewed by then.
func (f *fenced) watch(end time.Time, cancel context.CancelCauseFunc) *time.Timer {
	var timer *time.Timer
	var mu sync.Mutex
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(time.Until(end), func() {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		until, ok := f.job.manager.leases.Until(f.job.name(), f.job.epoch(), now)
		if next := until.Add(-guard); ok && now.Before(next) {
			timer.Reset(next.Sub(now))
			return
		}
		cancel(errNoLease)
	})
	return timer
}

// ListAvailableMetrics is the collector's.
func (f *fenced) ListAvailableMetrics(ctx context.Context) ([]collect.MetricDefinition, error) {
	return f.inner.ListAvailableMetrics(ctx)
}

// Settle passes on what became of the answer. What a collector has told that does not say how far it is is final once it is stored.
func (f *fenced) Settle(ctx context.Context, stored bool) error {
	var err error
	if settler, settles := f.inner.(collect.Settler); settles {
		err = settler.Settle(ctx, stored)
	}
	if !stored && f.err == nil {
		f.job.told.failed(errNotStored, time.Now())
	}
	teller, tells := f.inner.(collect.Progresser)
	switch {
	case tells:
		f.job.told.progressed(teller.Progress())
	case stored && err == nil:
		f.job.told.progressed(collect.Progress{Watermark: f.began})
	}
	return err
}

// telling is what there is to tell of a job.
type telling struct {
	mu                      sync.Mutex
	success, failure        time.Time
	message                 string
	series                  int
	forecastUnits, forecast float64
	watermark               time.Time
	pauses                  []collect.Pause
	spent                   collect.Spending
}

func (t *telling) failed(err error, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.message, t.failure = err.Error(), at
}

func (t *telling) collected(series int, err error, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.series = series
	if err != nil {
		t.message, t.failure = err.Error(), at
		return
	}
	t.message, t.success = "", at
}

func (t *telling) progressed(p collect.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forecastUnits, t.forecast, t.pauses, t.spent = p.ForecastUnits, p.ForecastCost, p.Pauses, p.Spent
	if p.Watermark.After(t.watermark) {
		t.watermark = p.Watermark
	}
}

func (t *telling) describe(o *agentv1.MetricJobObservation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.LastSuccessTime, o.LastErrorTime, o.LastError = stamp(t.success), stamp(t.failure), t.message
	o.Series, o.ForecastUnits, o.ForecastCost, o.Watermark = uint64(t.series), t.forecastUnits, t.forecast, stamp(t.watermark)
	if t.spent.Day != "" {
		o.Spent = &novacronv1.MetricSpending{Day: t.spent.Day, Units: uint64(max(0, t.spent.Units))}
	}
	for _, p := range t.pauses {
		o.Pauses = append(o.Pauses, &novacronv1.MetricPause{Account: p.Account, Api: p.API, UntilTime: stamp(p.Until)})
	}
}
