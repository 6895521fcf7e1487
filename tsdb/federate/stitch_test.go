package federate

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/query"
)

// TestLimitsHoldForAllPiecesTogether asks for a range each part of which is within the limits.
func TestLimitsHoldForAllPiecesTogether(t *testing.T) {
	p := newPast(t, 2)
	for i := range 40 {
		p.write(t, i%2, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i)), 2*time.Hour, 0, func(int64) float64 { return 1 })
	}
	p.fleet = NewFleet(p.directory, Options{MaxCells: 2200})
	whole := hour(p)
	for _, expr := range []string{`g`, `max_over_time(sum by (i) (g)[2m:1m])`} {
		for _, length := range []time.Duration{20 * time.Minute, 40 * time.Minute} {
			part := whole
			part.End = part.Start.Add(length)
			require.NoError(t, p.ask(t, p.cached, expr, part).Err)
		}
		known := p.cache.Stats().Hits
		err := p.ask(t, p.cached, expr, whole).Err
		var limit *query.LimitError
		require.ErrorAs(t, err, &limit, expr)
		assert.Equal(t, "bytes", limit.Limit)
		assert.Contains(t, err.Error(), "values of the cache and the hosts, allowed are 2200 values: aggregate")
		assert.EqualValues(t, 36, p.cache.Stats().Hits-known, "of 41 times that were asked before, those that are settled")
	}
}

// sparse is an answer of many series with one value each, all at other times.
func sparse(rows int, step int64) (all promql.Matrix) {
	for i := range rows {
		all = append(all, promql.Series{Metric: labels.FromStrings("i", fmt.Sprint(i)), Floats: []promql.FPoint{{T: int64(i%2880) * step, F: 1}}})
	}
	return all
}

// TestSeriesThatComeAndGoTakeWhatTheyHave puts an answer together that would take 460 MB with a value for each step.
func TestSeriesThatComeAndGoTakeWhatTheyHave(t *testing.T) {
	const step = 15 * second
	rows := sparse(20_000, step)
	q := &cachedQuery{cache: cache.New(0), key: cache.Key{Step: step}}
	all := newStitched(1 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	q.keep(cache.State{}, &promql.Result{Value: rows}, cache.Span{From: 0, To: 2879 * step})
	require.NoError(t, all.matrix(rows, cache.Span{From: 0, To: 2879 * step}))
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(50<<20))
	assert.Zero(t, q.cache.Stats().Entries)
	assert.Equal(t, 20_000, all.values)
	assert.Len(t, all.finish(), 20_000)
}

// stalling is a directory whose shards wait before they compute.
type stalling struct {
	*telling
	wait    atomic.Int64 // nanoseconds
	entered chan struct{}
}

func (d *stalling) Members() []Member {
	all := d.telling.Members()
	for i := range all {
		all[i].Shard = stalledShard{all[i].Shard, d}
	}
	return all
}

func (d *stalling) Known(ctx context.Context, members []Member) map[string]Known {
	own := make([]Member, len(members))
	for i, m := range members {
		own[i] = Member{m.Name, m.Shard.(stalledShard).Shard}
	}
	return d.telling.Known(ctx, own)
}

type stalledShard struct {
	Shard
	of *stalling
}

func (s stalledShard) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	if wait := s.of.wait.Load(); wait > 0 {
		select {
		case s.of.entered <- struct{}{}:
		default:
		}
		select {
		case <-time.After(time.Duration(wait)):
		case <-ctx.Done():
			return Partial{}, ctx.Err()
		}
	}
	return s.Shard.Evaluate(ctx, e)
}

// stalled is a past whose cache knows some of the middle of an hour, and whose shards stall from then on.
func stalled(t *testing.T, limits query.Limits, wait time.Duration) (*past, *stalling, *query.Engine) {
	p := newPast(t, 1)
	p.write(t, 0, labels.FromStrings("__name__", "g"), 2*time.Hour, 0, func(at int64) float64 { return float64(at) })
	d := &stalling{telling: p.directory, entered: make(chan struct{}, 1)}
	p.fleet = NewFleet(d, Options{})
	inner, err := query.New(query.Options{Limits: limits})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, inner.Close()) })
	p.cached = NewEngine(inner, 0).WithCache(p.cache, func() time.Time { return p.now })
	require.NoError(t, p.ask(t, p.cached, `sum(g)`, middle(p)).Err)
	d.wait.Store(int64(wait))
	return p, d, inner
}

func middle(p *past) query.Range {
	r := hour(p)
	return query.Range{Start: r.Start.Add(10 * time.Minute), End: r.Start.Add(20 * time.Minute), Step: r.Step}
}

func TestCancelEndsAPiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d, _ := stalled(t, query.Limits{}, time.Hour)
		r := hour(p)
		prepared, err := p.cached.NewRangeQuery(t.Context(), p.fleet, nil, `sum(g)`, r.Start, r.End, r.Step)
		require.NoError(t, err)
		assert.Equal(t, `sum(g)`, prepared.String())
		assert.Equal(t, `sum(g)`, prepared.Statement().(*parser.EvalStmt).Expr.String())
		defer prepared.Close()
		done := make(chan error)
		go func() { done <- prepared.Exec(t.Context()).Err }()
		<-d.entered
		began := time.Now()
		prepared.Cancel()
		require.Error(t, <-done)
		assert.Zero(t, time.Since(began))
	})
}

// TestAllPiecesHaveTheTimeOfOneQuery has two gaps, either of which would be answered in time.
func TestAllPiecesHaveTheTimeOfOneQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := stalled(t, query.Limits{Timeout: time.Second}, 700*time.Millisecond)
		began := time.Now()
		err := p.ask(t, p.cached, `sum(g)`, hour(p)).Err
		var limit *query.LimitError
		require.ErrorAs(t, err, &limit)
		assert.Equal(t, "timeout", limit.Limit)
		assert.Equal(t, time.Second, time.Since(began))
	})
}

// blocked is a Queryable that is evaluated until it is left.
type blocked struct{ entered, leave chan struct{} }

func (b blocked) Querier(int64, int64) (storage.Querier, error) {
	close(b.entered)
	<-b.leave
	return nil, errBroken
}

// TestWhatIsKnownNeedsNoTurn asks for known times while the only query that may run does.
func TestWhatIsKnownNeedsNoTurn(t *testing.T) {
	p, d, inner := stalled(t, query.Limits{Concurrent: 1}, 0)
	b := blocked{make(chan struct{}), make(chan struct{})}
	running, err := inner.NewInstantQuery(t.Context(), b, nil, `x`, p.now)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		running.Exec(t.Context())
		close(done)
	}()
	<-b.entered
	before := d.evaluated.Load()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := middle(p)
	prepared, err := p.cached.NewRangeQuery(ctx, p.fleet, nil, `sum(g)`, r.Start, r.End, r.Step)
	require.NoError(t, err)
	result := prepared.Exec(ctx)
	require.NoError(t, result.Err)
	assert.Len(t, result.Value.(promql.Matrix)[0].Floats, 11)
	assert.Equal(t, before, d.evaluated.Load())
	close(b.leave)
	<-done
}
