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

	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/query"
)

// Engine evaluates PromQL over a Fleet, and has the shards compute what Split takes out of an expression.
type Engine struct {
	inner    *query.Engine
	lookback time.Duration
	cache    *cache.Cache // nil: there is none
	// sharing is there where a cache is.
	sharing *sharing
	now     func() time.Time
}

var _ promql.QueryEngine = (*Engine)(nil)

// NewEngine pushes down before another engine evaluates, whose lookback the shards are told.
func NewEngine(inner *query.Engine, lookback time.Duration) *Engine {
	if lookback <= 0 {
		lookback = 5 * time.Minute
	}
	return &Engine{inner: inner, lookback: lookback, now: time.Now}
}

// WithCache is the same engine, which keeps answers to range queries for times that do not change any more, by a clock;
// nil is the machine's. It needs a Fleet whose directory is a Knower. What is asked by many at one time is evaluated once.
func (e *Engine) WithCache(c *cache.Cache, now func() time.Time) *Engine {
	next := *e
	next.sharing = &sharing{}
	if next.cache = c; now != nil {
		next.now = now
	}
	return &next
}

// NewInstantQuery prepares a query for one time. Over another Queryable than a Fleet nothing is pushed down.
func (e *Engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, at time.Time) (promql.Query, error) {
	traceOf(ctx).used(CacheUse{Steps: 1, Not: oneTime})
	ask := func(ctx context.Context, q storage.Queryable, expr string) (promql.Query, error) {
		return e.inner.NewInstantQuery(ctx, q, opts, expr, at)
	}
	fleet, is := q.(*Fleet)
	if !is {
		return ask(ctx, q, expr)
	}
	p, err := plan(expr, e.times(opts, at, at, 0))
	if err != nil {
		return nil, err
	}
	open := func(ctx context.Context) (promql.Query, error) { return e.prepare(ctx, fleet, expr, p, ask) }
	if e.shares(ctx, opts) {
		return e.shared(fleet, expr, p, p.statement(at, at, 0), open), nil
	}
	return open(ctx)
}

// NewRangeQuery prepares a query for the times from start to end by step, as NewInstantQuery does. One that the cache may
// know is prepared when it is evaluated.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, start, end time.Time, step time.Duration) (promql.Query, error) {
	times := e.times(opts, start, end, step)
	ask := func(start, end time.Time) asking {
		return func(ctx context.Context, q storage.Queryable, expr string) (promql.Query, error) {
			return e.inner.NewRangeQuery(ctx, q, opts, expr, start, end, step)
		}
	}
	fleet, is := q.(*Fleet)
	if !is {
		traceOf(ctx).used(CacheUse{Steps: times.Steps(), Not: noCache})
		return ask(start, end)(ctx, q, expr)
	}
	p, err := plan(expr, times)
	if err != nil {
		return nil, err
	}
	statement := p.statement(start, end, step)
	open := func(ctx context.Context) (promql.Query, error) {
		not := noCache
		if e.cache != nil && times.Step > 0 && (opts == nil || !opts.EnablePerStepStats()) && p.ranged() {
			cached := e.cachedQuery(statement, fleet, p, func(ctx context.Context, start, end int64) (promql.Query, error) {
				return e.prepare(ctx, fleet, expr, p.between(start, end), ask(time.UnixMilli(start), time.UnixMilli(end)))
			})
			cached.expr = expr
			if _, not = cached.settled(); not == "" {
				return cached, nil
			}
		}
		traceOf(ctx).used(CacheUse{Steps: times.Steps(), Not: not})
		return e.prepare(ctx, fleet, expr, p, ask(start, end))
	}
	if times.Step > 0 && p.ranged() && e.shares(ctx, opts) {
		return e.shared(fleet, expr, p, statement, open), nil
	}
	return open(ctx)
}

// times are those of a query.
func (e *Engine) times(opts promql.QueryOpts, start, end time.Time, step time.Duration) Evaluation {
	times := Evaluation{Start: start.UnixMilli(), End: end.UnixMilli(), Step: step.Milliseconds(), Lookback: e.lookback}
	if opts != nil && opts.LookbackDelta() > 0 {
		times.Lookback = opts.LookbackDelta()
	}
	return times
}

// asking prepares the text of a query.
type asking func(ctx context.Context, q storage.Queryable, expr string) (promql.Query, error)

// prepare has the shards asked for the parts of a plan, or for raw series where it has none.
func (e *Engine) prepare(ctx context.Context, fleet *Fleet, expr string, p *planned, ask asking) (promql.Query, error) {
	fleet = fleet.traced(ctx)
	var err error
	raw := func(ctx context.Context) (promql.Query, error) { return ask(ctx, readOnce{fleet}, expr) }
	query := &spreadQuery{expr: expr, raw: raw, admit: func(ctx context.Context) error { return fleet.admit(ctx, p, e.inner.Limits()) }}
	if len(p.parts) == 0 {
		query.Query, err = raw(ctx)
	} else {
		query.Query, err = ask(ctx, &spread{Fleet: fleet, parts: p.parts, times: p.times}, p.rest)
	}
	if err != nil {
		return nil, err
	}
	return query, nil
}

// spreadQuery refuses what would break a limit, and asks for raw series where the answers of the shards cannot be merged.
type spreadQuery struct {
	promql.Query
	expr  string
	admit func(context.Context) error
	raw   func(context.Context) (promql.Query, error)
}

// String is the expression that was asked.
func (q *spreadQuery) String() string { return q.expr }

func (q *spreadQuery) Exec(ctx context.Context) *promql.Result {
	if err := q.admit(ctx); err != nil {
		return &promql.Result{Err: err}
	}
	result := q.Query.Exec(ctx)
	var again *errAgain
	if !errors.As(result.Err, &again) {
		return result
	}
	traceOf(ctx).fellBack(again.why)
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

	once sync.Once
	// series is about how many each member has, by its name; of those that do not tell there is none.
	series   map[string]int64
	rows     [][]Row
	warnings annotations.Annotations
	err      error
}

// Querier reads parts and raw series.
func (s *spread) Querier(minT, maxT int64) (storage.Querier, error) {
	raw, err := readOnce{s.Fleet}.Querier(minT, maxT)
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

// ask has each shard compute the parts that it may have series for, all in one call, and merges. Where bounds were too
// narrow it does so again: all of an answer is of one round, in which each shard was asked once.
func (s *spread) ask(ctx context.Context) error {
	ranks, err := s.pilot(ctx)
	if err != nil {
		return err
	}
	const guesses = 2
	for round := 0; ; round++ {
		missed, err := s.round(ctx, ranks)
		if err != nil || missed == nil {
			return err
		}
		if round < guesses {
			ranks = slices.Clone(ranks)
			for i, of := range missed {
				if of != nil { // else the part may look for no rank
					ranks[i] = ranks[i].widened(of)
				}
			}
		} else {
			ranks = ranksOf(s.parts) // samples arrive faster than bounds can be found
		}
	}
}

// round asks all shards once. It tells which values were out of bounds.
func (s *spread) round(ctx context.Context, ranks []*Ranks) (missed [][]miss, err error) {
	m := newMerger(s.parts, ranks, s.times.Steps(), s.opts)
	missing, err := eachRelayed(ctx, s.Fleet, s.members(selectorsOf(s.parts)...), s.evaluation(ranks), m.take)
	var refused *RefusedError
	var limit *query.LimitError
	switch {
	case errors.As(err, &refused) && !errors.As(err, &limit):
		return nil, &errAgain{err.Error()} // it says what is wrong when the whole is computed in one place
	case err != nil:
		return nil, err
	}
	s.warnings = nil
	if missing != nil {
		s.warnings = missing.warning()
	}
	s.rows, err = m.finish()
	s.warnings.Merge(m.infos)
	return m.missed(), err
}

func selectorsOf(parts []Part) (all [][]*labels.Matcher) {
	for _, p := range parts {
		all = append(all, p.Selectors...)
	}
	return all
}

// evaluation asks for all parts.
func (s *spread) evaluation(ranks []*Ranks) Evaluation {
	e := s.times
	e.MaxCells = s.opts.MaxCells
	for i, p := range s.parts {
		exprs := p.Exprs
		if ranks != nil && ranks[i] != nil {
			e.Ranks = append(slices.Grow(e.Ranks, 1), make([]*Ranks, len(e.Exprs)-len(e.Ranks))...)
			e.Ranks = append(e.Ranks, ranks[i])
			if expr := ranks[i].expr; expr != "" {
				exprs = []string{expr}
			}
		}
		e.Exprs = append(e.Exprs, exprs...)
	}
	return e
}
