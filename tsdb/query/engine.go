package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// Options make an Engine.
type Options struct {
	Limits Limits
	// Lookback is how old the value of an instant selector may be; 0 means 5 min.
	Lookback time.Duration
	// ActiveLog is the file that tells after a crash which queries were running; empty for none.
	ActiveLog string
	// Tiers, if there is one, has queries read windows in place of raw samples where the answer stays the same; see
	// Rewrite. It is asked for each query.
	Tiers func() Tiers
	// NoFast has PromQL's own evaluator evaluate everything, for tests and measurements beside it.
	NoFast bool
	// Logger is told of queries that were running when the process died; nil tells nobody.
	Logger *slog.Logger
}

// Engine evaluates PromQL. It is made by New and closed with Close.
type Engine struct {
	opts   Options
	limits Limits
	promql *promql.Engine
	active *activeLog
	counts struct{ fast, slow, fellBack atomic.Int64 }
}

var _ promql.QueryEngine = (*Engine)(nil)

// New makes an engine. Queries that were running when the process last died are told to the logger, and by Unfinished.
func New(opts Options) (*Engine, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Lookback <= 0 {
		opts.Lookback = 5 * time.Minute
	}
	e := &Engine{opts: opts, limits: opts.Limits.withDefaults()}
	var err error
	if e.active, err = openActiveLog(opts.ActiveLog, e.limits.Concurrent, time.Now); err != nil {
		return nil, err
	}
	for _, q := range e.active.unfinished {
		opts.Logger.Warn("a query was running when the process died", "query", q.Query, "started", q.Started)
	}
	e.promql = promql.NewEngine(promql.EngineOpts{
		Logger: opts.Logger, Timeout: e.limits.Timeout, MaxSamples: int(e.limits.Bytes / sampleBytes),
		ActiveQueryTracker: e.active, LookbackDelta: opts.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, EnableDelayedNameRemoval: true, EnablePerStepStats: true,
		UseStartTimestamps: true, Parser: parser.NewParser(ParserOptions()),
	})
	return e, nil
}

// Unfinished are the queries that were running when the process last died.
func (e *Engine) Unfinished() []Running { return e.active.unfinished }

// Close ends the engine; no query may be running.
func (e *Engine) Close() error { return e.promql.Close() } // closes the active log too

// NewInstantQuery prepares a query for one time. It satisfies promql.QueryEngine.
func (e *Engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, at time.Time) (promql.Query, error) {
	return e.prepare(ctx, expr, Range{Start: at, End: at}, opts, q, func(ctx context.Context, src *source, expr string) (promql.Query, error) {
		return e.promql.NewInstantQuery(ctx, src, opts, expr, at)
	})
}

// NewRangeQuery prepares a query for the times from start to end by step. It satisfies promql.QueryEngine.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, start, end time.Time, step time.Duration) (promql.Query, error) {
	return e.prepare(ctx, expr, Range{start, end, step}, opts, q, func(ctx context.Context, src *source, expr string) (promql.Query, error) {
		return e.promql.NewRangeQuery(ctx, src, opts, expr, start, end, step)
	})
}

// asking prepares the text of a query with PromQL.
type asking func(ctx context.Context, src *source, expr string) (promql.Query, error)

// prepare makes a query that keeps the limits and, where that changes no answer, reads windows.
func (e *Engine) prepare(ctx context.Context, expr string, r Range, opts promql.QueryOpts, from storage.Queryable, ask asking) (promql.Query, error) {
	q := &limitedQuery{engine: e, budget: &budget{limits: e.limits}}
	wait := func(ctx context.Context, expr string) (promql.Query, error) {
		ctx, cancel := context.WithTimeout(ctx, e.limits.Timeout) // for its turn; PromQL bounds just the evaluation
		defer cancel()
		src := &source{Queryable: from, budget: q.budget}
		asked, err := ask(ctx, src, expr)
		if err != nil {
			return nil, err
		}
		return e.speed(asked, src, opts), nil
	}
	text := expr
	if e.opts.Tiers != nil {
		windows, changed, err := Rewrite(expr, e.plan(r, opts))
		if err != nil {
			return nil, err
		}
		if text = windows; changed {
			q.raw = func(ctx context.Context) (promql.Query, error) { return wait(ctx, expr) }
		}
	}
	var err error
	if q.Query, err = wait(ctx, text); err != nil {
		return nil, err
	}
	return q, nil
}

// plan is when a query is evaluated.
func (e *Engine) plan(r Range, opts promql.QueryOpts) Plan {
	lookback := e.opts.Lookback
	if opts != nil && opts.LookbackDelta() > 0 {
		lookback = opts.LookbackDelta()
	}
	return Plan{r.Start.UnixMilli(), r.End.UnixMilli(), r.Step.Milliseconds(), lookback.Milliseconds(), e.opts.Tiers()}
}

// limitedQuery explains why it was ended, and asks for raw samples where windows cannot answer.
type limitedQuery struct {
	promql.Query
	engine *Engine
	budget *budget
	raw    func(context.Context) (promql.Query, error) // nil: the query reads raw samples
	// asRows has the answer be given as rows where the query is fast.
	asRows bool
}

func (q *limitedQuery) Exec(ctx context.Context) *promql.Result {
	result := q.run(ctx)
	if q.raw != nil && errors.Is(result.Err, ErrHistogramWindows) {
		q.Query.Close()
		again, err := q.raw(ctx)
		if err != nil {
			return &promql.Result{Err: q.engine.explain(ctx, err, q.budget)}
		}
		q.Query = again
		result = q.run(ctx)
	}
	result.Err = q.engine.explain(ctx, result.Err, q.budget)
	return result
}

func (q *limitedQuery) run(ctx context.Context) *promql.Result {
	if f, is := q.Query.(*fastQuery); is {
		f.asRows = q.asRows
	}
	return q.Query.Exec(ctx)
}

// explain makes of PromQL's errors about limits those that name the limit. That the caller's own time is up is no limit.
func (e *Engine) explain(ctx context.Context, err error, b *budget) error {
	var known *LimitError
	var many promql.ErrTooManySamples
	var late promql.ErrQueryTimeout
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case b.broken.Load() != nil:
		return b.broken.Load()
	case errors.As(err, &many):
		return &LimitError{"bytes", "more", fmt.Sprintf("%d (%d samples at one time)", e.limits.Bytes, e.limits.Bytes/sampleBytes),
			"ask for less time, fewer series or a longer step, or raise the limit"}
	case ctx.Err() == nil && (errors.As(err, &late) || errors.Is(err, context.DeadlineExceeded)):
		return &LimitError{"timeout", "more", e.limits.Timeout.String(), "ask for less time or fewer series, or raise the limit"}
	}
	return err
}

// Stats say what a query took.
type Stats struct {
	// Samples and Series were read from the store; Peak is how many samples were held at one time.
	Samples, Series, Peak int64
	// Elapsed is the time of the whole query, waiting for its turn included.
	Elapsed time.Duration
}

// Answer is what a query came to. Value is a promql.Scalar, promql.String, promql.Vector or promql.Matrix.
type Answer struct {
	Value parser.Value
	// Warnings say why the answer may be wrong, Infos what may be meant otherwise.
	Warnings, Infos []string
	Stats           Stats
}

// Range is the times of a range query: from Start to End, both inclusive, by Step.
type Range struct {
	Start, End time.Time
	Step       time.Duration
}

// MaxSteps bounds the points of each series of an answer, as Prometheus does.
const MaxSteps = 11_000

// Check refuses a range without times, or with too many.
func (r Range) Check() error {
	switch {
	case r.Step <= 0:
		return fmt.Errorf("the step is %s: it must be above zero", r.Step)
	case r.End.Before(r.Start):
		return fmt.Errorf("the range ends (%s) before it starts (%s)", r.End.Format(time.RFC3339), r.Start.Format(time.RFC3339))
	case r.End.Sub(r.Start)/r.Step >= MaxSteps:
		return &LimitError{"steps", fmt.Sprint(int64(r.End.Sub(r.Start)/r.Step) + 1), fmt.Sprint(MaxSteps), "ask for less time or a longer step"}
	}
	return nil
}

// Instant evaluates an expression at one time.
func (e *Engine) Instant(ctx context.Context, q storage.Queryable, expr string, at time.Time) (Answer, error) {
	started := time.Now()
	query, err := e.NewInstantQuery(ctx, q, nil, expr, at)
	if err != nil {
		return Answer{}, err
	}
	return Run(ctx, query, started)
}

// Range evaluates an expression at many times.
func (e *Engine) Range(ctx context.Context, q storage.Queryable, expr string, r Range) (Answer, error) {
	started := time.Now()
	if err := r.Check(); err != nil {
		return Answer{}, err
	}
	query, err := e.NewRangeQuery(ctx, q, nil, expr, r.Start, r.End, r.Step)
	if err != nil {
		return Answer{}, err
	}
	return Run(ctx, query, started)
}

// Run evaluates what was prepared. It does not close the query: that would take the values of the answer away.
func Run(ctx context.Context, query promql.Query, started time.Time) (Answer, error) {
	result := query.Exec(ctx)
	a := Answer{Value: result.Value, Stats: Stats{Elapsed: time.Since(started)}}
	a.Warnings, a.Infos = texts(result.Warnings, query.String())
	if samples := query.Stats().Samples; samples != nil {
		a.Stats.Peak = int64(samples.PeakSamples)
	}
	if limited, is := query.(*limitedQuery); is {
		a.Stats.Samples, a.Stats.Series = limited.budget.samples.Load(), limited.budget.series.Load()
	}
	return a, result.Err
}

func texts(all annotations.Annotations, expr string) (warnings, infos []string) {
	return all.AsStrings(expr, 0, 0)
}
