package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/novacron/novacron/tsdb"
)

// Job is a collector at work.
type Job struct {
	// Name says which collector it is, Target of what: the labels of its own metrics. Together they are unique.
	Name, Target string
	Collector    MetricsCollector
	Interval     time.Duration
	// Deadline bounds a collection; 0 means the interval. A collection that goes on when the next is due is not joined
	// by it.
	Deadline time.Duration
	Limits   Limits
	// Meter is what the collector counts its requests in; nil where it counts none.
	Meter *Meter
	// Ended, when set, is called once the job has been stopped and nothing of it is under way any more.
	Ended func()
}

// RunnerConfig is what a runner needs.
type RunnerConfig struct {
	Sink     Sink
	Registry *Registry
	// Labels are those of the collectors' own metrics besides collector and target.
	Labels map[string]string
	Logger *slog.Logger
}

// Runner has collectors collect at round times and hands what they yield to the sink. Each job runs by itself: one that
// hangs keeps no other waiting.
type Runner struct {
	cfg   RunnerConfig
	loops sync.WaitGroup

	mu   sync.Mutex
	held map[string]bool
}

// NewRunner has no jobs yet.
func NewRunner(cfg RunnerConfig) *Runner { return &Runner{cfg: cfg, held: map[string]bool{}} }

// Start begins a job, which goes on until the context ends or stop is called. The same job cannot be begun again before
// its last collection has returned.
func (r *Runner) Start(ctx context.Context, job Job) (stop func(), err error) {
	if job.Interval < time.Second {
		return nil, fmt.Errorf("collector %s of %s: interval %v; at least 1s", job.Name, job.Target, job.Interval)
	}
	if job.Deadline == 0 {
		job.Deadline = job.Interval
	}
	if job.Meter == nil {
		job.Meter = NewMeter()
	}
	key := job.Name + "/" + job.Target
	if !r.hold(key) {
		return nil, fmt.Errorf("collector %s of %s is at work already, or its last collection has not returned yet; try again later", job.Name, job.Target)
	}
	ctx, stop = context.WithCancel(ctx)
	w := &worker{Job: job, runner: r, idle: make(chan struct{}, 1), complained: map[string]bool{}}
	w.labels = map[string]string{"collector": job.Name, "target": job.Target}
	maps.Copy(w.labels, r.cfg.Labels)
	w.logger = r.cfg.Logger.With("collector", job.Name, "target", job.Target)
	w.idle <- struct{}{}
	r.loops.Go(func() {
		w.run(ctx, offsetOf(key, job.Interval))
		go func() {
			<-w.idle
			r.release(key)
			if job.Ended != nil {
				job.Ended()
			}
		}()
	})
	return stop, nil
}

// Wait returns when the loops of all jobs have ended; a collection that hangs is not waited for.
func (r *Runner) Wait() { r.loops.Wait() }

func (r *Runner) hold(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[key] {
		return false
	}
	r.held[key] = true
	return true
}

func (r *Runner) release(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, key)
}

// worker is a job with its state.
type worker struct {
	Job
	runner *Runner
	labels map[string]string
	logger *slog.Logger
	// idle holds a token while no collection is in flight.
	idle chan struct{}
	// complained are the refusals that were logged, failing the last error.
	complained map[string]bool
	failing    string
}

func (w *worker) run(ctx context.Context, offset time.Duration) {
	tick := nextTick(time.Now(), w.Interval, offset)
	for {
		timer := time.NewTimer(time.Until(tick))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		w.once(ctx)
		next := nextTick(time.Now(), w.Interval, offset)
		w.Meter.skipped(int(next.Sub(tick)/w.Interval) - 1)
		tick = next
	}
}

// once collects and stores, unless the collection before is still at it.
func (w *worker) once(ctx context.Context) {
	select {
	case <-w.idle:
	default:
		w.Meter.skipped(1)
		w.failed(errors.New("the collection before has not returned yet"))
		w.Meter.collected(false, time.Now(), 0, 0)
		_ = w.store(ctx, nil)
		return
	}
	began := time.Now()
	got, returned := w.collect(ctx)
	if ctx.Err() != nil && got.err != nil && len(got.metrics) == 0 {
		w.end(ctx, returned, false)
		return // the agent ends, the source is not to blame
	}
	w.Meter.collected(got.err == nil, time.Now(), time.Since(began), len(got.metrics))
	storeErr := w.store(ctx, got.metrics)
	w.failed(errors.Join(got.err, storeErr))
	w.end(ctx, returned, storeErr == nil)
}

// answer is what a collection came to.
type answer struct {
	metrics []Metric
	err     error
}

// grace is how long after its deadline a collection may still give the part of the answer that it has.
const grace = 500 * time.Millisecond

// collect waits for the collector until the deadline. One that does not return by then goes on by itself: what it yields
// is dropped, and the next collection is not begun before.
func (w *worker) collect(ctx context.Context) (a answer, returned bool) {
	ctx, cancel := context.WithTimeout(ctx, w.Deadline)
	done := make(chan answer, 1)
	go func() {
		defer cancel()
		done <- safely(ctx, w.Collector)
	}()
	patience := time.NewTimer(w.Deadline + grace)
	defer patience.Stop()
	select {
	case a := <-done:
		return a, true
	case <-patience.C:
	}
	go func() {
		<-done
		w.end(context.WithoutCancel(ctx), true, false)
	}()
	return answer{err: fmt.Errorf("not done after %v: what it yields is dropped; raise the deadline or select fewer metrics", w.Deadline)}, false
}

// safely collects; a collector that panics has failed, and the others go on.
func safely(ctx context.Context, c MetricsCollector) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{err: fmt.Errorf("the collector has a bug: %v\n%s", p, debug.Stack())}
		}
	}()
	metrics, err := c.CollectMetrics(ctx, tsdb.MetricsQuery{})
	return answer{metrics, err}
}

// store hands the sink what the registry allows, and how collecting goes.
func (w *worker) store(ctx context.Context, metrics []Metric) error {
	admitted, refused := w.runner.cfg.Registry.Admit(metrics, w.Limits)
	collected := len(admitted)
	admitted = append(admitted, w.self()...)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.Deadline)
	defer cancel()
	err := w.runner.cfg.Sink.StoreMetrics(ctx, admitted)
	byReason := refusals(refused, err)
	w.Meter.Refused(byReason)
	w.complain(refused, err)
	var some *tsdb.RefusedError
	if err != nil && !errors.As(err, &some) {
		return fmt.Errorf("store %d metrics: %w", len(admitted), err)
	}
	for _, n := range refusals(nil, err) {
		collected -= n
	}
	w.Meter.Stored(max(0, collected))
	return nil
}

// self are the job's own metrics, as the registry has them.
func (w *worker) self() []Metric {
	admitted, _ := w.runner.cfg.Registry.Admit(w.Meter.metrics(time.Now(), w.labels), Limits{})
	return admitted
}

// end tells the collector what became of its answer and lets the next collection begin.
func (w *worker) end(ctx context.Context, returned, stored bool) {
	if !returned {
		return // it is told when it returns
	}
	if settler, ok := w.Collector.(Settler); ok {
		if err := settler.Settle(context.WithoutCancel(ctx), stored); err != nil {
			w.logger.Warn("the state of a collector was not kept; what it counts is counted again from what was kept before", "error", err)
		}
	}
	w.idle <- struct{}{}
}

// failed logs an error when it begins, changes and ends.
func (w *worker) failed(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == w.failing {
		return
	}
	w.failing = text
	if err != nil {
		w.logger.Warn("metrics could not be collected", "error", err)
	} else {
		w.logger.Info("metrics are collected again")
	}
}

// complain logs the first refusal of each reason.
func (w *worker) complain(refused []*Refusal, stored error) {
	for _, one := range refused {
		if !w.complained[string(one.Reason)] {
			w.complained[string(one.Reason)] = true
			w.logger.Warn("metrics are refused; the first of this reason is logged, all are counted", "reason", one.Reason, "detail", one.Detail)
		}
	}
	var some *tsdb.RefusedError
	if errors.As(stored, &some) && !w.complained["sink"] {
		w.complained["sink"] = true
		w.logger.Warn("the shard refuses metrics; the first is logged, all are counted", "error", stored)
	}
}
