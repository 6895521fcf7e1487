package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/metric"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	// guard is how long before the end of its lease a job stops: a collection is broken off in that time.
	guard = 2 * time.Second
	// openTimeout bounds the making of a collector; one that cannot be made is tried again after openPause.
	openTimeout = 30 * time.Second
	openPause   = 15 * time.Second
	// maxDeadline bounds one collection, however long the interval is.
	maxDeadline = 5 * time.Minute
)

// job is one source at work in one epoch and one generation.
type job struct {
	manager *Manager
	want    *agentv1.MetricJob
	told    *telling
	stop    context.CancelFunc
	// done is closed once nothing of it is under way any more.
	done   chan struct{}
	logger *slog.Logger
}

func (j *job) name() string  { return j.want.GetSpec().GetName() }
func (j *job) epoch() uint64 { return j.want.GetEpoch() }

func (j *job) over() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// start needs the lock of the manager.
func (m *Manager) start(ctx context.Context, want *agentv1.MetricJob) *job {
	ctx, cancel := context.WithCancel(ctx)
	j := &job{manager: m, want: want, told: &telling{}, stop: cancel, done: make(chan struct{})}
	j.told.pauses = pausesOf(want.GetPauses())
	j.told.spent = collect.Spending{Day: want.GetSpent().GetDay(), Units: int(min(want.GetSpent().GetUnits(), math.MaxInt))}
	j.told.watermark = want.GetWatermark().AsTime()
	if want.GetWatermark() == nil {
		j.told.watermark = time.Time{}
	}
	j.logger = m.cfg.Logger.With("source", j.name(), "epoch", j.epoch())
	go func() {
		defer m.wakeUp() // after done is closed
		defer close(j.done)
		j.run(ctx)
	}()
	return j
}

func pausesOf(told []*novacronv1.MetricPause) (pauses []collect.Pause) {
	for _, p := range told {
		pauses = append(pauses, collect.Pause{Account: p.GetAccount(), API: p.GetApi(), Until: p.GetUntilTime().AsTime()})
	}
	return pauses
}

// run makes the collector, again and again while it cannot be made, and has it collect until the job is stopped.
func (j *job) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := j.work(ctx)
		if ctx.Err() != nil {
			return
		}
		j.told.failed(err, time.Now())
		j.logger.Warn("a metric source cannot be collected from; it is tried again", "error", err, "pause", openPause)
		j.manager.cfg.Changed()
		rest := time.NewTimer(openPause)
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
		rest.Stop()
	}
}

// work collects until the context ends, or gives why it cannot.
func (j *job) work(ctx context.Context) error {
	meter := collect.NewMeter()
	opened, err := j.open(ctx, meter)
	if err != nil {
		return err
	}
	if opened.Close != nil {
		defer func() {
			if err := opened.Close(); err != nil {
				j.logger.Warn("a collector was not closed in order", "error", err)
			}
		}()
	}
	ended := make(chan struct{})
	every := j.want.GetSpec().GetInterval().AsDuration()
	_, err = j.manager.cfg.Runner.Start(ctx, collect.Job{
		Name: metric.KindOf(j.want.GetSpec()), Target: j.name(), Collector: &fenced{job: j, inner: opened.Collector},
		Interval: every, Deadline: min(every, maxDeadline), Limits: opened.Limits, Meter: meter, Ended: func() { close(ended) },
	})
	if err != nil {
		return err
	}
	j.logger.Info("collecting from a metric source", "interval", every)
	<-ended // which the end of the context brings about
	j.logger.Info("stopped collecting from a metric source")
	return nil
}

func (j *job) open(ctx context.Context, meter *collect.Meter) (Opened, error) {
	dir, err := stateFolder(j.manager.cfg.Dir, j.name(), j.epoch(), j.want.GetContinuedEpoch())
	if err != nil {
		return Opened{}, err
	}
	secret, err := secretOf(j.want)
	if err != nil {
		return Opened{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	opened, err := j.manager.cfg.Open(ctx, Source{Spec: j.want.GetSpec(), Secret: secret, From: j.told.watermark, Pauses: j.told.pauses, Spent: j.told.spent, Dir: dir, Meter: meter})
	if err != nil {
		return Opened{}, fmt.Errorf("metric source %s: %w", j.name(), err)
	}
	return opened, nil
}
