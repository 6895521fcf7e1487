package federate

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/query"
)

// telling is a directory that asks its shards what they know at once.
type telling struct {
	members []Member
	counting
	// broken is what those tell that are no stores; since is where tiers begin, if anywhere.
	broken Known
	since  int64
}

func (d *telling) Members() []Member { return d.counted(d.members) }

func (d *telling) Known(_ context.Context, members []Member) map[string]Known {
	all := map[string]Known{}
	for _, m := range members {
		local, is := m.Shard.(countedShard).Shard.(Local)
		if !is {
			all[m.Name] = d.broken
			continue
		}
		store := local.Store.(*memory.Engine)
		known := Known{Revision: store.Revision(), Series: store.MostSeries()}
		if d.since != 0 {
			known.Revision.Since[0] = d.since
		}
		all[m.Name] = known
	}
	return all
}

// past is a few shards with a clock, and two engines over them: one with a cache.
type past struct {
	now           time.Time
	stores        []*memory.Engine
	directory     *telling
	fleet         *Fleet
	cache         *cache.Cache
	plain, cached *Engine
}

func newPast(t testing.TB, shards int) *past {
	t.Helper()
	open := func() *query.Engine {
		q, err := query.New(query.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, q.Close()) })
		return q
	}
	p := &past{now: time.UnixMilli(100_000 * second), cache: cache.New(0), directory: &telling{}}
	clock := func() time.Time { return p.now }
	for i := range shards {
		store := memory.Open(memory.Options{Now: clock})
		p.stores = append(p.stores, store)
		name := fmt.Sprintf("h%d", i)
		p.directory.members = append(p.directory.members, Member{name, Local{Host: name, Store: store, Query: open()}})
	}
	p.fleet = NewFleet(p.directory, Options{})
	p.plain = NewEngine(open(), 0)
	p.cached = p.plain.WithCache(p.cache, clock)
	return p
}

// write stores samples each 15 s between two ages.
func (p *past) write(t require.TestingT, shard int, lset labels.Labels, oldest, newest time.Duration, value func(i int64) float64) {
	ref, err := p.stores[shard].Ref(lset)
	require.NoError(t, err)
	var b engine.Batch
	for at := p.now.Add(-oldest).UnixMilli(); at <= p.now.Add(-newest).UnixMilli(); at += 15 * second {
		b.Samples = append(b.Samples, engine.Sample{Ref: ref, T: at, V: value(at / second)})
	}
	done, err := p.stores[shard].Append(context.Background(), b)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
}

func (p *past) ask(t require.TestingT, e *Engine, expr string, r query.Range) *promql.Result {
	prepared, err := e.NewRangeQuery(context.Background(), p.fleet, nil, expr, r.Start, r.End, r.Step)
	require.NoError(t, err, expr)
	return prepared.Exec(context.Background())
}

// compare asks with the cache and without.
func (p *past) compare(t require.TestingT, expr string, r query.Range) {
	want, got := p.ask(t, p.plain, expr, r), p.ask(t, p.cached, expr, r)
	if want.Err != nil {
		require.Error(t, got.Err, "%s: without the cache %v", expr, want.Err)
		return
	}
	require.NoError(t, got.Err, expr)
	same(t, fmt.Sprintf("%s at %v", expr, r), rowsByLabels(want.Value), rowsByLabels(got.Value))
	wantWarnings, wantInfos := want.Warnings.AsStrings(expr, 0, 0)
	gotWarnings, gotInfos := got.Warnings.AsStrings(expr, 0, 0)
	require.ElementsMatch(t, wantWarnings, gotWarnings, expr)
	require.ElementsMatch(t, wantInfos, gotInfos, expr)
}

// anyTimedExpr draws expressions of which some hang on when they are asked.
func anyTimedExpr(r *rapid.T) string {
	if rapid.IntRange(0, 2).Draw(r, "timed") > 0 {
		return anyExpr(r, rapid.IntRange(0, 2).Draw(r, "depth"))
	}
	return rapid.SampledFrom([]string{
		`c_total offset -10m`, `sum(g @ end())`, `g @ start()`, `sum_over_time(g[5m] @ end())`, `max_over_time(sum(g)[10m:1m])`, `avg_over_time(g[10m:2m] offset -3m)`,
		`last_over_time(g[5m:1m] @ 99000)`, `g @ 99000`, `max(g @ 95000) + time()`, `sum(c_total) + range()`, `vector(1)`, `g smoothed`, `increase(c_total[3m] smoothed)`,
		`increase(c_total[3m] anchored)`, `limitk(2, g)`, `count_values("v", g)`, `sum(g) / sum(g)`, `last_over_time(g[step()])`, `absent(g{job="x"})`, `scalar(sum(g))`,
	}).Draw(r, "expr")
}

// TestCachedAnswersAreThoseWithout asks random questions while samples come, come late, and go.
func TestCachedAnswersAreThoseWithout(t *testing.T) {
	known := uint64(0)
	rapid.Check(t, func(r *rapid.T) {
		p := newPast(t, rapid.IntRange(1, 3).Draw(r, "shards"))
		lsets := []labels.Labels{
			labels.FromStrings("__name__", "c_total", "i", "1", "job", "a", "zone", "z1"), labels.FromStrings("__name__", "c_total", "i", "2", "job", "b", "zone", "z2"),
			labels.FromStrings("__name__", "g", "i", "1", "job", "a", "zone", "z1"), labels.FromStrings("__name__", "g", "i", "2", "job", "a"),
			labels.FromStrings("__name__", "g", "i", "3", "job", "b"), labels.FromStrings("__name__", "u", "i", "4", "job", "b"),
		}
		shardOf := func(i int) int { return i % len(p.stores) }
		for i, lset := range lsets {
			p.write(r, shardOf(i), lset, 90*time.Minute, 0, func(at int64) float64 { return float64(at * int64(i+1) % 1000) })
		}
		exprs := []string{anyTimedExpr(r), anyTimedExpr(r), anyTimedExpr(r)}
		step := rapid.SampledFrom([]time.Duration{15 * time.Second, time.Minute, 7 * time.Minute}).Draw(r, "step")
		for range rapid.IntRange(3, 12).Draw(r, "turns") {
			i := rapid.IntRange(0, len(lsets)-1).Draw(r, "series")
			switch rapid.IntRange(0, 5).Draw(r, "event") {
			case 0: // time goes on
				by := rapid.SampledFrom([]time.Duration{time.Minute, 15 * time.Minute}).Draw(r, "by")
				p.now = p.now.Add(by)
				p.write(r, shardOf(i), lsets[i], by, 0, func(at int64) float64 { return float64(at % 500) })
			case 1: // late samples
				age := time.Duration(rapid.IntRange(1, 80).Draw(r, "age")) * time.Minute
				p.write(r, shardOf(i), lsets[i], age, age-time.Minute, func(int64) float64 { return 7777 })
			case 2:
				from, length := rapid.Int64Range(0, 5400).Draw(r, "from"), rapid.Int64Range(0, 900).Draw(r, "length")
				begin := p.now.Unix() - from
				require.NoError(r, p.stores[shardOf(i)].Delete(context.Background(), begin*second, (begin+length)*second, labels.MustNewMatcher(labels.MatchEqual, "job", "a")))
			}
			start := p.now.Add(-time.Duration(rapid.IntRange(0, 90).Draw(r, "start")) * time.Minute).Truncate(step)
			end := start.Add(time.Duration(rapid.IntRange(0, 100).Draw(r, "length")) * time.Minute)
			for _, expr := range exprs {
				if _, _, err := Split(expr); err == nil {
					p.compare(r, expr, query.Range{Start: start, End: end, Step: step})
				}
			}
		}
		known += p.cache.Stats().Hits
	})
	assert.Positive(t, known, "the cache was of no use at all")
}

func hour(p *past) query.Range {
	end := p.now.Truncate(time.Minute)
	return query.Range{Start: end.Add(-time.Hour), End: end, Step: time.Minute}
}

func TestOnlyWhatStillChangesIsAskedAgain(t *testing.T) {
	p := newPast(t, 2)
	g := labels.FromStrings("__name__", "g")
	p.write(t, 0, g, 2*time.Hour, 0, func(at int64) float64 { return float64(at) })
	p.compare(t, `sum(g)`, hour(p))
	before := p.cache.Stats()
	assert.EqualValues(t, 0, before.Hits)
	p.compare(t, `sum( g{} )`, hour(p))
	after := p.cache.Stats()
	assert.EqualValues(t, 36, after.Hits, "61 times, 25 of them too young")
	assert.EqualValues(t, 25, after.Misses-before.Misses)

	t.Run("young samples change nothing", func(t *testing.T) {
		p.write(t, 0, g, time.Minute, 0, func(int64) float64 { return 5 })
		p.compare(t, `sum(g)`, hour(p))
		assert.EqualValues(t, 72, p.cache.Stats().Hits)
	})
	t.Run("late samples outdate", func(t *testing.T) {
		p.write(t, 1, labels.FromStrings("__name__", "g", "i", "2"), 50*time.Minute, 49*time.Minute, func(int64) float64 { return 5 })
		p.compare(t, `sum(g)`, hour(p))
		assert.EqualValues(t, 72, p.cache.Stats().Hits)
		assert.EqualValues(t, 1, p.cache.Stats().Outdated)
	})
}

// explained is what a query with the cache says of it.
func (p *past) explained(t *testing.T, expr string, r query.Range) (CacheUse, *promql.Result) {
	t.Helper()
	trace := &Trace{}
	ctx := WithTrace(context.Background(), trace)
	prepared, err := p.cached.NewRangeQuery(ctx, p.fleet, nil, expr, r.Start, r.End, r.Step)
	require.NoError(t, err)
	result := prepared.Exec(ctx)
	require.NoError(t, result.Err)
	return trace.Cache(), result
}

func TestAnswersWithoutSomeHostAreNotKept(t *testing.T) {
	p := newPast(t, 2)
	p.write(t, 0, labels.FromStrings("__name__", "g"), 2*time.Hour, 0, func(int64) float64 { return 1 })
	p.directory.members = append(p.directory.members, Member{"h2", brokenShard{}})
	for range 2 {
		use, result := p.explained(t, `sum(g)`, hour(p))
		assert.Equal(t, "host h2 does not tell what has changed", use.Not)
		assert.Len(t, result.Warnings, 1)
	}
	p.directory.broken = Known{Revision: engine.Revision{Epoch: 1}}
	for range 2 {
		use, result := p.explained(t, `sum(g)`, hour(p))
		assert.Equal(t, CacheUse{Steps: 61}, use)
		assert.Len(t, result.Warnings, 1)
	}
	assert.Zero(t, p.cache.Stats().Entries)
}

// brokenShard answers nothing.
type brokenShard struct{ Shard }

var errBroken = errors.New("broken")

func (brokenShard) Evaluate(context.Context, Evaluation) (Partial, error) {
	return Partial{}, errBroken
}

func TestWhyTheCacheIsNotUsed(t *testing.T) {
	p := newPast(t, 1)
	p.write(t, 0, labels.FromStrings("__name__", "g"), 2*time.Hour, 0, func(int64) float64 { return 1 })
	for expr, not := range map[string]string{
		`g @ end()`:                         "@ start() and @ end() hang on the range",
		`sum(g) + range()`:                  "range() hangs on the range",
		`max_over_time(g[step()])`:          "it computes durations",
		`vector(1)`:                         "it reads no series",
		fmt.Sprintf("g @ %d", p.now.Unix()): "@ names a time that still changes",
		`g offset -1h`:                      "all of it is younger than 25m, and still changes",
	} {
		use, _ := p.explained(t, expr, hour(p))
		assert.Equal(t, not, use.Not, expr)
	}
	once := hour(p)
	once.End = once.Start
	use, _ := p.explained(t, `g`, once)
	assert.Equal(t, "it has one time only", use.Not)
	p.directory.since = p.now.Add(-30 * time.Minute).UnixMilli()
	use, _ = p.explained(t, `g`, hour(p))
	assert.Equal(t, "the range reaches over the retention of host h0", use.Not)
}

// TestWhatReadsAheadWaitsForIt has samples come that a query for older times reads.
func TestWhatReadsAheadWaitsForIt(t *testing.T) {
	p := newPast(t, 1)
	g := labels.FromStrings("__name__", "g")
	p.write(t, 0, g, 2*time.Hour, 10*time.Minute, func(int64) float64 { return 1 })
	exprs := []string{`g offset -20m`, `sum_over_time(g[5m] offset -20m)`, `max_over_time(g[10m:1m] offset -24m)`}
	for _, expr := range exprs {
		p.compare(t, expr, hour(p))
	}
	p.write(t, 0, g, 19*time.Minute, 0, func(int64) float64 { return 2 })
	for _, expr := range exprs {
		p.compare(t, expr, hour(p))
	}
	assert.Positive(t, p.cache.Stats().Hits)
}
