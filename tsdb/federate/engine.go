package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/query"
)

// Engine evaluates PromQL over a Fleet, and has the shards compute what Split takes out of an expression.
type Engine struct {
	inner    *query.Engine
	lookback time.Duration
}

var _ promql.QueryEngine = (*Engine)(nil)

// NewEngine pushes down before another engine evaluates, whose lookback the shards are told.
func NewEngine(inner *query.Engine, lookback time.Duration) *Engine {
	if lookback <= 0 {
		lookback = 5 * time.Minute
	}
	return &Engine{inner, lookback}
}

// NewInstantQuery prepares a query for one time. Over another Queryable than a Fleet nothing is pushed down.
func (e *Engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, at time.Time) (promql.Query, error) {
	times := Evaluation{Start: at.UnixMilli(), End: at.UnixMilli()}
	return e.prepare(ctx, q, opts, expr, times, func(ctx context.Context, q storage.Queryable, expr string) (promql.Query, error) {
		return e.inner.NewInstantQuery(ctx, q, opts, expr, at)
	})
}

// NewRangeQuery prepares a query for the times from start to end by step, as NewInstantQuery does.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, start, end time.Time, step time.Duration) (promql.Query, error) {
	times := Evaluation{Start: start.UnixMilli(), End: end.UnixMilli(), Step: step.Milliseconds()}
	return e.prepare(ctx, q, opts, expr, times, func(ctx context.Context, q storage.Queryable, expr string) (promql.Query, error) {
		return e.inner.NewRangeQuery(ctx, q, opts, expr, start, end, step)
	})
}

// asking prepares the text of a query.
type asking func(ctx context.Context, q storage.Queryable, expr string) (promql.Query, error)

func (e *Engine) prepare(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, times Evaluation, ask asking) (promql.Query, error) {
	fleet, is := q.(*Fleet)
	if !is {
		return ask(ctx, q, expr)
	}
	rest, parts, err := Split(expr)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return ask(ctx, q, expr)
	}
	times.Lookback = e.lookback
	if opts != nil && opts.LookbackDelta() > 0 {
		times.Lookback = opts.LookbackDelta()
	}
	s := &spread{Fleet: fleet, parts: parts, times: times}
	pushed, err := ask(ctx, s, rest)
	if err != nil {
		return nil, err
	}
	return &spreadQuery{Query: pushed, expr: expr, raw: func(ctx context.Context) (promql.Query, error) { return ask(ctx, fleet, expr) }}, nil
}

// spreadQuery asks for raw series where the answers of the shards cannot be merged.
type spreadQuery struct {
	promql.Query
	expr string
	raw  func(context.Context) (promql.Query, error)
}

// String is the expression that was asked.
func (q *spreadQuery) String() string { return q.expr }

func (q *spreadQuery) Exec(ctx context.Context) *promql.Result {
	result := q.Query.Exec(ctx)
	var again *errAgain
	if !errors.As(result.Err, &again) {
		return result
	}
	q.Query.Close()
	raw, err := q.raw(ctx)
	if err != nil {
		return &promql.Result{Err: err}
	}
	q.Query = raw
	return raw.Exec(ctx)
}

// spread is a fleet for one split query: selectors by PartLabel give the merged parts, which are asked for at once when
// the first is needed.
type spread struct {
	*Fleet
	parts []Part
	times Evaluation

	once     sync.Once
	rows     [][]Row
	warnings annotations.Annotations
	err      error
}

// Querier reads parts and raw series.
func (s *spread) Querier(minT, maxT int64) (storage.Querier, error) {
	raw, err := s.Fleet.Querier(minT, maxT)
	return &spreadQuerier{raw, s}, err
}

type spreadQuerier struct {
	storage.Querier
	spread *spread
}

func (q *spreadQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	at := slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == PartLabel })
	if at < 0 {
		return q.Querier.Select(ctx, sorted, hints, matchers...)
	}
	n, err := strconv.Atoi(matchers[at].Value)
	if err != nil || n < 0 || n >= len(q.spread.parts) {
		return storage.ErrSeriesSet(fmt.Errorf("the label %s is kept for parts of queries: leave %s out", PartLabel, matchers[at]))
	}
	s := q.spread
	s.once.Do(func() { s.err = s.ask(ctx) })
	if s.err != nil {
		return storage.ErrSeriesSet(s.err)
	}
	return newRowSet(s.rows[n], grid{s.times.Start, s.times.Step}, s.warnings)
}

// ask has each shard compute the parts that it may have series for, all in one call, and merges.
func (s *spread) ask(ctx context.Context) error {
	m := newMerger(s.parts, s.times.Steps(), s.opts.MaxCells)
	missing, err := each(ctx, s.opts, s.members(selectorsOf(s.parts)...), s.evaluate, m.take)
	var refused *RefusedError
	var limit *query.LimitError
	switch {
	case errors.As(err, &refused) && !errors.As(err, &limit):
		return &errAgain{err.Error()} // it says what is wrong when the whole is computed in one place
	case err != nil:
		return err
	case missing != nil:
		s.warnings = missing.warning()
	}
	s.rows, err = m.finish()
	s.warnings.Merge(m.infos)
	return err
}

func selectorsOf(parts []Part) (all [][]*labels.Matcher) {
	for _, p := range parts {
		all = append(all, p.Selectors...)
	}
	return all
}

// evaluate asks one shard for all parts.
func (s *spread) evaluate(ctx context.Context, m Member) (Partial, error) {
	e := s.times
	e.MaxCells = s.opts.MaxCells
	for _, p := range s.parts {
		e.Exprs = append(e.Exprs, p.Exprs...)
	}
	return m.Shard.Evaluate(ctx, e)
}
