package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/federate/normal"
	"github.com/novacron/novacron/tsdb/query"
)

// settle is how old the times of an answer are that is kept. The clocks of shards may be off by as much as it is more
// than what they call settled.
const settle = engine.SettledAfter + 5*time.Minute

// cachedQuery takes from the cache what is known of its answer, and evaluates the rest. Nothing is prepared, or waits for
// its turn, before that.
type cachedQuery struct {
	expr      string
	statement parser.Statement
	cache     *cache.Cache
	now       func() time.Time
	fleet     *Fleet
	key       cache.Key
	reach     normal.Reach
	limits    query.Limits
	// start to end are its times; end is the last of them. Both are milliseconds.
	start, end int64
	// piece prepares the question for some of its times.
	piece func(ctx context.Context, start, end int64) (promql.Query, error)
	stats *stats.Statistics
	// whole is what evaluated all of it; nil where the cache knew some.
	whole promql.Query

	mu     sync.Mutex
	cancel context.CancelFunc // ends Exec
}

// cachedQuery puts the cache before a range query.
func (e *Engine) cachedQuery(statement parser.Statement, fleet *Fleet, p *planned, piece func(ctx context.Context, start, end int64) (promql.Query, error)) *cachedQuery {
	times := p.times
	return &cachedQuery{
		statement: statement, cache: e.cache, now: e.now, fleet: fleet, reach: p.reach, limits: e.inner.Limits(), start: times.Start, end: times.last(), piece: piece,
		key:   keyOf(p),
		stats: &stats.Statistics{Timers: stats.NewQueryTimers(), Samples: stats.NewQuerySamples(false)},
	}
}

// keyOf is the question of a plan, whenever it begins and ends.
func keyOf(p *planned) cache.Key {
	key := cache.Key{Expr: p.expr, Step: p.times.Step, Lookback: p.times.Lookback.Milliseconds()}
	if key.Step > 0 {
		key.Phase = modulo(p.times.Start, key.Step)
	}
	return key
}

// oneTime is why a query for a single time is not cached: its answer is of no use to another.
const oneTime = "it has one time only"

// noCache is why others are not.
const noCache = "there is none for this query"

func modulo(a, n int64) int64 { return ((a % n) + n) % n }

// settled is the last time of the query that does not change any more, and why there is none.
func (q *cachedQuery) settled() (last int64, not string) {
	until := q.now().Add(-settle).UnixMilli()
	switch {
	case q.reach.Whole != "":
		return 0, q.reach.Whole
	case len(q.reach.Selectors) == 0:
		return 0, "it reads no series"
	case q.start == q.end:
		return 0, oneTime
	case q.reach.Fixed && q.reach.FixedUntil > until:
		return 0, "@ names a time that still changes"
	}
	if until -= q.reach.Ahead; until < q.start {
		return 0, fmt.Sprintf("all of it is younger than %s, and still changes", tsdb.Duration(settle))
	}
	return min(q.end, until-modulo(until-q.start, q.key.Step)), ""
}

// state is that of the shards that have a say, and why it cannot be told.
func (q *cachedQuery) state(ctx context.Context) (s cache.State, not string) {
	knower, knows := q.fleet.directory.(Knower)
	if !knows {
		return s, "nothing is known of the shards"
	}
	known := knower.Known(ctx, q.fleet.directory.Members())
	var all []cache.Member
	for _, m := range q.fleet.members(q.reach.Selectors...) {
		of := known[m.Name]
		if of.Revision.Epoch == 0 {
			return s, fmt.Sprintf("host %s does not tell what has changed", m.Name)
		}
		// Where a tier begins within what is read, pieces would choose other tiers than the whole.
		for _, since := range of.Revision.Since {
			if since > q.start-q.reach.Back && since <= q.end+q.reach.Ahead {
				return s, fmt.Sprintf("the range reaches over the retention of host %s", m.Name)
			}
		}
		all = append(all, cache.Member{Name: m.Name, Revision: of.Revision})
	}
	return cache.StateOf(all), ""
}

// Exec evaluates what the cache does not have, all of it within the time of one query.
func (q *cachedQuery) Exec(ctx context.Context) *promql.Result {
	timed, cancel := context.WithTimeout(ctx, q.limits.Timeout)
	defer cancel()
	q.mu.Lock()
	q.cancel = cancel
	q.mu.Unlock()
	result := q.exec(timed)
	if result.Err != nil && !errors.As(result.Err, new(*query.LimitError)) && ctx.Err() == nil && errors.Is(timed.Err(), context.DeadlineExceeded) {
		return &promql.Result{Err: lateError(q.limits)}
	}
	return result
}

func (q *cachedQuery) exec(ctx context.Context) *promql.Result {
	use := CacheUse{Steps: int((q.end-q.start)/q.key.Step) + 1}
	defer func() { traceOf(ctx).used(use) }()
	last, not := q.settled()
	var state cache.State
	if not == "" {
		state, not = q.state(ctx)
	}
	if use.Not = not; not != "" {
		return q.execWhole(ctx)
	}
	found := q.cache.Get(q.key, state, q.start, q.end)
	for _, x := range found {
		use.Known += int((x.To-x.From)/q.key.Step) + 1
	}
	if len(found) == 0 {
		result := q.execWhole(ctx)
		q.keep(state, result, cache.Span{From: q.start, To: min(q.end, last)})
		return result
	}
	return q.fill(ctx, state, found, last)
}

func (q *cachedQuery) execWhole(ctx context.Context) *promql.Result {
	whole, err := q.piece(ctx, q.start, q.end)
	if err != nil {
		return &promql.Result{Err: err}
	}
	q.whole = whole
	return whole.Exec(ctx)
}

// fill evaluates what is between extents, and puts all together, in order of time.
func (q *cachedQuery) fill(ctx context.Context, state cache.State, found []cache.Extent, last int64) *promql.Result {
	timer := q.stats.Timers.GetTimer(stats.ExecTotalTime).Start()
	defer timer.Stop()
	notes, all := annotations.Annotations{}, newStitched(q.most())
	gaps := cache.Gaps(found, q.start, q.end, q.key.Step)
	known := slices.DeleteFunc(found, func(x cache.Extent) bool { // some are asked again where there are many gaps
		return slices.ContainsFunc(gaps, func(gap cache.Span) bool { return gap.From <= x.From && x.To <= gap.To })
	})
	for from := q.start; from <= q.end; {
		if len(known) > 0 && known[0].From == from {
			if err := all.extent(known[0], q.key.Step); err != nil {
				return &promql.Result{Err: err}
			}
			from, known = known[0].To+q.key.Step, known[1:]
			continue
		}
		gap := gaps[0]
		warnings, err := q.evaluate(ctx, state, gap, last, all)
		if err != nil {
			return &promql.Result{Err: err}
		}
		notes.Merge(warnings)
		from, gaps = gap.To+q.key.Step, gaps[1:]
	}
	return &promql.Result{Value: all.finish(), Warnings: notes}
}

// most bounds the values of an answer: as many as PromQL, or the merger of the shards' answers, would hold.
func (q *cachedQuery) most() int { return min(q.fleet.opts.MaxCells, int(q.limits.Bytes/pointBytes)) }

// evaluate asks for a gap. Queries for a single time choose tiers by other rules: one has two times at least.
func (q *cachedQuery) evaluate(ctx context.Context, state cache.State, gap cache.Span, last int64, into *stitched) (annotations.Annotations, error) {
	asked := gap
	if asked.From == asked.To {
		if asked.From > q.start {
			asked.From -= q.key.Step
		} else {
			asked.To += q.key.Step
		}
	}
	piece, err := q.piece(ctx, asked.From, asked.To)
	if err != nil {
		return nil, err
	}
	defer piece.Close()
	result := piece.Exec(ctx)
	if read := piece.Stats().Samples; read != nil {
		q.stats.Samples.TotalSamples += read.TotalSamples
		q.stats.Samples.PeakSamples = max(q.stats.Samples.PeakSamples, read.PeakSamples)
	}
	if result.Err != nil {
		return nil, result.Err
	}
	rows, err := result.Matrix()
	if err == nil {
		err = into.matrix(rows, gap)
	}
	asked.To = min(asked.To, last)
	q.keep(state, result, asked)
	return result.Warnings, err
}

// keep puts a part of an answer into the cache. One of which there is something to say is not kept, nor one that is too
// large, of which no rows are made.
func (q *cachedQuery) keep(state cache.State, result *promql.Result, part cache.Span) {
	rows, is := result.Value.(promql.Matrix)
	if result.Err != nil || !is || len(result.Warnings) > 0 || part.From > part.To {
		return
	}
	var some []promql.Series
	for _, s := range rows {
		if s = within(s, part); len(s.Floats)+len(s.Histograms) > 0 {
			some = append(some, s)
		}
	}
	times := Evaluation{Start: part.From, End: part.To, Step: q.key.Step}
	if !q.cache.Fits(len(some), times.Steps()) {
		return
	}
	x := cache.Extent{From: part.From, To: part.To}
	for _, s := range some {
		x.Rows = append(x.Rows, cache.Row(rowOf(s, times)))
	}
	q.cache.Put(q.key, state, x)
}

// Statement is what was asked.
func (q *cachedQuery) Statement() parser.Statement { return q.statement }

// String is the expression that was asked.
func (q *cachedQuery) String() string { return q.expr }

// Cancel ends Exec, whatever of it is running.
func (q *cachedQuery) Cancel() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cancel != nil {
		q.cancel()
	}
}

// Close gives the values of the answer back.
func (q *cachedQuery) Close() {
	if q.whole != nil {
		q.whole.Close()
	}
}

// Stats are those of the pieces, where there were any.
func (q *cachedQuery) Stats() *stats.Statistics {
	if q.whole != nil {
		return q.whole.Stats()
	}
	return q.stats
}
