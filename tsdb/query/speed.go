package query

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/novacron/novacron/tsdb/query/fast"
)

// Path is how a prepared query is evaluated.
type Path struct {
	// Fast tells that package fast evaluates it, in one pass over the series; else PromQL's own evaluator does.
	Fast bool
	// Why says why it is not fast.
	Why string
	// Expr is what is evaluated: the query, with windows in place of raw samples where that changes no answer.
	Expr string
}

// PathOf tells the path of a query that an Engine has prepared; false for any other. After Exec it is the path that was
// taken.
func PathOf(q promql.Query) (Path, bool) {
	limited, is := q.(*limitedQuery)
	if !is {
		return Path{}, false
	}
	p := Path{Expr: limited.Query.String()}
	switch inner := limited.Query.(type) {
	case *fastQuery:
		p.Why = inner.declined
	case *slowQuery:
		p.Why = inner.why
	}
	p.Fast = p.Why == ""
	return p, true
}

// Evaluated is how many queries an engine has evaluated since it was made, by path: those of package fast, those of
// PromQL's evaluator, and of the latter those that began fast and met what only that evaluates, as native histograms.
type Evaluated struct{ Fast, PromQL, FellBack int64 }

// Evaluated counts what the engine has evaluated.
func (e *Engine) Evaluated() Evaluated {
	back := e.counts.fellBack.Load()
	return Evaluated{Fast: e.counts.fast.Load() - back, PromQL: e.counts.slow.Load() + back, FellBack: back}
}

// slowQuery is one that package fast does not evaluate.
type slowQuery struct {
	promql.Query
	engine *Engine
	why    string
}

func (q *slowQuery) Exec(ctx context.Context) *promql.Result {
	q.engine.counts.slow.Add(1)
	return q.Query.Exec(ctx)
}

// fastQuery is a query of which package fast knows the shape.
type fastQuery struct {
	// Query is PromQL's: it has the statement and the statistics, and evaluates what turns out not to be for package fast.
	promql.Query
	engine *Engine
	plan   *fast.Plan
	source *source
	cancel atomic.Pointer[context.CancelFunc]
	// asRows has the answer be given as rows.
	asRows bool
	rows   []StepRow
	// declined says why PromQL had to evaluate after all.
	declined string
}

// speed makes a query fast where that is possible. It reads from the source, as PromQL's query does.
func (e *Engine) speed(q promql.Query, src *source, opts promql.QueryOpts) promql.Query {
	stmt, is := q.Statement().(*parser.EvalStmt)
	if !is {
		return q
	}
	if e.opts.NoFast {
		return &slowQuery{q, e, "it is switched off"}
	}
	if o, is := opts.(interface{ UseStartTimestamps() *bool }); is && o.UseStartTimestamps() != nil {
		return &slowQuery{q, e, "start times are chosen by the query"}
	}
	plan, why := fast.Compile(stmt)
	if plan == nil {
		return &slowQuery{q, e, why}
	}
	return &fastQuery{Query: q, engine: e, plan: plan, source: src}
}

// Exec evaluates the query. Like PromQL's it waits for its turn, is kept in the active log and bounded in time.
func (q *fastQuery) Exec(ctx context.Context) *promql.Result {
	q.engine.counts.fast.Add(1)
	result, kept := q.exec(ctx)
	var declined *fast.DeclinedError
	if !errors.As(result.Err, &declined) {
		return result
	}
	q.declined = declined.Why
	q.engine.counts.fellBack.Add(1)
	q.source.kept.Store(kept)
	q.source.budget.restart()
	defer func() {
		if kept := q.source.kept.Swap(nil); kept != nil { // nobody took it
			_ = kept.Querier.Close()
		}
	}()
	return q.Query.Exec(ctx)
}

// Cancel ends a query that runs.
func (q *fastQuery) Cancel() {
	q.Query.Cancel()
	if cancel := q.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

func (q *fastQuery) exec(ctx context.Context) (*promql.Result, *keptQuerier) {
	ctx, cancel := context.WithTimeout(ctx, q.engine.limits.Timeout)
	defer cancel()
	q.cancel.Store(&cancel)
	statistics := q.Stats()
	total, ctx := statistics.Timers.GetSpanTimer(ctx, stats.ExecTotalTime)
	defer total.Finish()
	waited, _ := statistics.Timers.GetSpanTimer(ctx, stats.ExecQueueTime)
	slot, err := q.engine.active.Insert(ctx, q.String())
	waited.Finish()
	if err != nil {
		return &promql.Result{Err: err}, nil
	}
	defer q.engine.active.Delete(slot)
	evaluated, ctx := statistics.Timers.GetSpanTimer(ctx, stats.EvalTotalTime)
	defer evaluated.Finish()
	value, notes, kept, err := q.evaluate(ctx, statistics)
	return &promql.Result{Value: value, Warnings: notes, Err: err}, kept
}

// evaluate runs the plan. The querier is left open where PromQL has to evaluate, and is to go on with it.
func (q *fastQuery) evaluate(ctx context.Context, statistics *stats.Statistics) (value parser.Value, notes annotations.Annotations, kept *keptQuerier, err error) {
	preparing, _ := statistics.Timers.GetSpanTimer(ctx, stats.QueryPreparationTime)
	querier, err := q.source.Queryable.Querier(q.plan.Bounds())
	preparing.Finish()
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if kept == nil {
			_ = querier.Close()
		}
	}()
	inner, ctx := statistics.Timers.GetSpanTimer(ctx, stats.InnerEvalTime)
	defer inner.Finish()
	defer q.recovered(&err)
	series, notes, err := q.plan.Select(ctx, querier, q.source.budget)
	if err != nil {
		return nil, notes, nil, err
	}
	environment := fast.Environment{Meter: q.source.budget, MaxSamples: int(q.engine.limits.Bytes / sampleBytes), Statistics: statistics.Samples}
	var more annotations.Annotations
	if q.asRows {
		q.rows, more, err = q.plan.RunRows(ctx, series, environment)
	} else {
		value, more, err = q.plan.Run(ctx, series, environment)
	}
	if errors.As(err, new(*fast.DeclinedError)) {
		kept = &keptQuerier{querier, series, notes}
	}
	return value, notes.Merge(more), kept, err
}

// StepRow is one series of an answer by step, with Absent where it has no value.
type StepRow = fast.Row

// Absent is what rows by step have where there is no value; its bits are those of value.StaleNaN.
var Absent = fast.Absent

// ExecRows evaluates a query that an Engine has prepared. Where it is fast the answer comes as rows, of half the size, and
// the result has no value; else rows is nil and the result has the answer.
func ExecRows(ctx context.Context, q promql.Query) (rows []StepRow, result *promql.Result) {
	limited, is := q.(*limitedQuery)
	if !is {
		return nil, q.Exec(ctx)
	}
	limited.asRows = true
	result = limited.Exec(ctx)
	if last, is := limited.Query.(*fastQuery); is && result.Err == nil && last.declined == "" {
		rows = last.rows
	}
	return rows, result
}

// recovered makes an error of a panic, as PromQL's evaluator does: of the storage, or of a function's odd argument.
func (q *fastQuery) recovered(err *error) {
	switch why := recover().(type) {
	case nil:
	case runtime.Error:
		stack := make([]byte, 64<<10)
		stack = stack[:runtime.Stack(stack, false)]
		q.engine.opts.Logger.Error("a query panicked", "query", q.String(), "error", why, "stack", string(stack))
		*err = fmt.Errorf("unexpected error: %w", why)
	case error:
		*err = why
	default:
		*err = fmt.Errorf("%v", why)
	}
}

// keptQuerier has series that were found already.
type keptQuerier struct {
	storage.Querier
	series []storage.Series
	notes  annotations.Annotations
}

// Select gives the series. There is one selector alone in a query that was to be fast.
func (k *keptQuerier) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	return &keptSet{rest: k.series, notes: k.notes}
}

type keptSet struct {
	now   storage.Series
	rest  []storage.Series
	notes annotations.Annotations
}

func (s *keptSet) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.now, s.rest = s.rest[0], s.rest[1:]
	return true
}

func (s *keptSet) At() storage.Series                { return s.now }
func (s *keptSet) Err() error                        { return nil }
func (s *keptSet) Warnings() annotations.Annotations { return s.notes }
