package federate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

func TestEqualPartsAreOne(t *testing.T) {
	for expr, want := range map[string]struct {
		rest  string
		parts int
	}{
		`a / a`:                                   {`{__part__="0"} / {__part__="0"}`, 1},
		`a{x="1",y="2"} - (a{y="2",x="1"})`:       {`{__part__="0"} - {__part__="0"}`, 1},
		`sum by (i, j) (a) / sum(a) by (j, i)`:    {`{__part__="0"} / {__part__="0"}`, 1},
		`sum(a) / sum(b) + sum(a)`:                {`{__part__="0"} / {__part__="1"} + {__part__="0"}`, 2},
		`topk(2, a) or topk(2, a)`:                {`topk(2, {__part__="0"}) or topk(2, {__part__="0"})`, 1},
		`sum(a) / avg(a)`:                         {`{__part__="0"} / {__part__="1"}`, 2},
		`rate(a[5m]) > 2 * stddev(rate(a[300s]))`: {`{__part__="0"} > 2 * stddev({__part__="0"})`, 1},
	} {
		rest, parts, err := Split(expr)
		require.NoError(t, err)
		assert.Equal(t, want.rest, rest)
		assert.Len(t, parts, want.parts, expr)
	}
}

// TestEqualSelectorsAreReadOnce reads raw series, which no shard can compute with.
func TestEqualSelectorsAreReadOnce(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 4 {
		w.add(t, i%2, series{lset: labels.FromStrings("__name__", "g", "i", fmt.Sprint(i)), times: []int64{580_000, 600_000}, values: []float64{1, float64(i)}})
	}
	asked := &counting{members: w.fleet.directory.Members()}
	w.fleet.directory = asked
	at := query.Range{Start: time.UnixMilli(600_000)}
	w.compare(t, `max_over_time(sum(g)[1m:30s]) / max_over_time(count(g{})[1m:30s])`, at)
	assert.EqualValues(t, 2, asked.selected.Load(), "once on each of the shards")
	w.compare(t, `max_over_time(sum(g)[1m:30s]) / max_over_time(sum(g{i="1"})[1m:30s])`, at)
	assert.EqualValues(t, 6, asked.selected.Load())
	w.compare(t, `sum(g) / sum(g)`, at)
	assert.EqualValues(t, 2, asked.evaluated.Load())
}

func TestExplain(t *testing.T) {
	p := newPast(t, 3)
	for i := range 6 {
		p.write(t, i%2, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i)), 2*time.Hour, 0, func(int64) float64 { return 1 })
	}
	p.fleet = NewFleet(pruning{p.directory, "h2"}, Options{})
	q := Questions{Engine: p.cached, Fleet: p.fleet}
	e, err := q.Explain(context.Background(), `quantile(0.5, g) / avg(g) + absent(g)`, hour(p))
	require.NoError(t, err)
	assert.Equal(t, Explanation{
		Expr: `quantile(0.5, g) / avg(g) + absent(g)`, Controller: `{__part__="0"} / {__part__="1"} + absent(g)`, Steps: 61,
		Parts: []ExplainedPart{
			{Exprs: []string{"g"}, Merge: Quantile, Tiers: map[string]int{"raw": 2}},
			{Exprs: []string{"sum(g)", "count(g)"}, Merge: Average, Tiers: map[string]int{"raw": 2}},
		},
		Raw: []string{`{__name__="g"}`}, Asked: []string{"h0", "h1"}, Pruned: []string{"h2"},
		Series: []SelectorEstimate{{`{__name__="g"}`, engine.Estimate{Least: 6, Likely: 6}}}, Cache: CacheUse{Steps: 61},
		Evaluator: "PromQL: an operator between two vectors, or without one",
	}, e)
	assert.Zero(t, p.directory.evaluated.Load()+p.directory.selected.Load(), "nothing is read")

	p.ask(t, p.cached, `sum(g)`, hour(p))
	e, err = q.Explain(context.Background(), `sum( g )`, hour(p))
	require.NoError(t, err)
	assert.Equal(t, CacheUse{Steps: 61, Known: 36}, e.Cache)
	assert.Equal(t, "fast", e.Evaluator)
	e, err = q.Explain(context.Background(), `sum(g)`, query.Range{Start: p.now})
	require.NoError(t, err)
	assert.Equal(t, CacheUse{Steps: 1, Not: oneTime}, e.Cache)
	_, err = q.Explain(context.Background(), `sum(`, query.Range{Start: p.now})
	require.Error(t, err)
	wide := query.Range{Start: p.now.Truncate(time.Hour).Add(-24 * time.Hour), End: p.now, Step: time.Hour}
	e, err = q.Explain(context.Background(), `max_over_time(g[2h]) + rate(g[7m])`, wide)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"1h:max": 2}, e.Parts[0].Tiers)
	assert.Equal(t, map[string]int{"raw": 2}, e.Parts[1].Tiers)
}

// TestExplainCountsRelays where hosts compute and are many enough.
func TestExplainCountsRelays(t *testing.T) {
	p := newPast(t, 4)
	directory := cutAfter(members(p.directory.members), 2)
	for from, want := range map[int]int{-1: 0, 4: 2, 5: 0} {
		q := Questions{Engine: p.cached, Fleet: NewFleet(directory, Options{RelayFrom: from})}
		e, err := q.Explain(context.Background(), `sum(g)`, hour(p))
		require.NoError(t, err)
		assert.Equal(t, want, e.Relays, from)
		e, err = q.Explain(context.Background(), `absent(g)`, hour(p))
		require.NoError(t, err)
		assert.Zero(t, e.Relays, "raw series come from each host itself")
	}
}

// TestExplainTellsWhoIsSilent: series of a host that does not count them are missing from the estimate.
func TestExplainTellsWhoIsSilent(t *testing.T) {
	p := newPast(t, 2)
	for i := range 2 {
		p.write(t, i, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i)), 2*time.Hour, 0, func(int64) float64 { return 1 })
	}
	p.directory.members[1].Shard = uncounted{p.directory.members[1].Shard}
	q := Questions{Engine: p.cached, Fleet: p.fleet}
	e, err := q.Explain(context.Background(), `sum(g)`, hour(p))
	require.NoError(t, err)
	assert.Equal(t, []SelectorEstimate{{`{__name__="g"}`, engine.Estimate{Least: 1, Likely: 1}}}, e.Series)
	require.Len(t, e.Warnings, 1)
	assert.Contains(t, e.Warnings[0], "there are more series than estimated: 1 of 2 hosts did not answer")
	assert.Contains(t, e.Warnings[0], "h1")
}

// uncounted is a shard that does not count its series.
type uncounted struct{ Shard }

func (uncounted) Estimate(context.Context, Estimation) ([]engine.Estimate, error) {
	return nil, errCannotCount
}

// pruning is a directory that knows of a host without series.
type pruning struct {
	*telling
	without string
}

func (d pruning) MayHave(m Member, _ []*labels.Matcher) bool { return m.Name != d.without }

func TestAnalyze(t *testing.T) {
	p := newPast(t, 2)
	for i := range 4 {
		p.write(t, i%2, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i)), 2*time.Hour, 0, func(int64) float64 { return 1 })
	}
	q := Questions{Engine: p.cached, Fleet: p.fleet}
	for round, known := range []int{0, 36} {
		answer, a, err := Analyze(context.Background(), func(ctx context.Context) (query.Answer, error) { return q.Range(ctx, `sum(g)`, hour(p), false) })
		require.NoError(t, err)
		assert.Len(t, answer.Rows(), 1)
		assert.Equal(t, CacheUse{Steps: 61, Known: known}, a.Cache)
		assert.Equal(t, 1, a.Series)
		assert.Positive(t, a.Peak)
		assert.LessOrEqual(t, a.Controller, a.Elapsed)
		require.Len(t, a.Hosts, 2)
		for i, h := range a.Hosts {
			assert.Equal(t, fmt.Sprintf("h%d", i), h.Name)
			assert.Equal(t, 1, h.Calls, round)
			assert.EqualValues(t, 2, h.Series)
			assert.EqualValues(t, 2*(61-known), h.Samples)
			assert.Positive(t, h.Elapsed)
		}
	}
	_, a, err := Analyze(context.Background(), func(ctx context.Context) (query.Answer, error) {
		return q.Instant(ctx, `count(g) / 0 - sum(g) + sum(-g)`, p.now, false)
	})
	require.NoError(t, err)
	assert.Equal(t, CacheUse{Steps: 1, Not: oneTime}, a.Cache)
	_, a, err = Analyze(context.Background(), func(ctx context.Context) (query.Answer, error) { return q.Instant(ctx, `sum(`, p.now, false) })
	require.Error(t, err)
	assert.Empty(t, a.Hosts)
}

// slowShard fails or is silent before it answers.
type slowShard struct {
	Shard
	calls atomic.Int32
	first func(ctx context.Context) error
}

func (s *slowShard) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	if s.calls.Add(1) == 1 {
		if err := s.first(ctx); err != nil {
			return Partial{}, err
		}
	}
	return Partial{Rows: make([][]Row, len(e.Exprs))}, nil
}

func TestRetriesAndHedgesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := query.New(query.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, inner.Close()) }()
		silent := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		fleet := NewFleet(members{
			{"failing", &slowShard{first: func(context.Context) error { return errors.New("no luck") }}},
			{"silent", &slowShard{first: silent}}, {"well", &slowShard{first: func(context.Context) error { return nil }}},
		}, Options{})
		q := Questions{Engine: NewEngine(inner, 0), Fleet: fleet}
		_, a, err := Analyze(t.Context(), func(ctx context.Context) (query.Answer, error) { return q.Instant(ctx, `sum(g)`, time.Now(), true) })
		require.NoError(t, err)
		assert.Equal(t, []HostTrace{
			{Name: "failing", Calls: 2, Retries: 1, Error: "no luck"}, {Name: "silent", Calls: 2, Hedges: 1, Elapsed: 2 * time.Second}, {Name: "well", Calls: 1},
		}, a.Hosts)
		assert.Equal(t, 2*time.Second, a.Elapsed)
		assert.Zero(t, a.Controller, "all of it was waiting")
	})
}

// TestWhatBreaksALimitIsRefusedUnread counts series in place of reading them.
func TestWhatBreaksALimitIsRefusedUnread(t *testing.T) {
	p := newPast(t, 2)
	for i := range 40 {
		p.write(t, i%2, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i)), time.Hour, 0, func(int64) float64 { return 1 })
	}
	few, err := query.New(query.Options{Limits: query.Limits{Series: 30}})
	require.NoError(t, err)
	defer func() { require.NoError(t, few.Close()) }()
	narrow := p.fleet
	p.fleet = NewFleet(p.directory, Options{MaxCells: 1000})
	for _, test := range []struct {
		expr  string
		e     *Engine
		fleet *Fleet
		says  string
	}{
		{`g`, p.plain, p.fleet, "query limit bytes: the query reached 2440 values (40 series at 61 times) by the indexes of the hosts, before any was read, allowed are 1000 values: aggregate"},
		{`g{i=~"1."}`, p.plain, p.fleet, ""},
		{`stddev(g)`, p.plain, p.fleet, "2440 values"},
		{`sum(g)`, p.plain, p.fleet, ""},
		{`absent(g)`, NewEngine(few, 0), narrow, "query limit series: the query reached 40 by the indexes of the hosts"},
		{`absent(g{i="1"})`, NewEngine(few, 0), narrow, ""},
		{`g > 5`, NewEngine(few, 0), narrow, ""},
	} {
		before := p.directory.evaluated.Load() + p.directory.selected.Load()
		prepared, err := test.e.NewRangeQuery(context.Background(), storage.Queryable(test.fleet), nil, test.expr, hour(p).Start, hour(p).End, time.Minute)
		require.NoError(t, err)
		err = prepared.Exec(context.Background()).Err
		if test.says == "" {
			require.NoError(t, err, test.expr)
			continue
		}
		var limit *query.LimitError
		require.ErrorAs(t, err, &limit, test.expr)
		assert.Contains(t, err.Error(), test.says)
		assert.Equal(t, before, p.directory.evaluated.Load()+p.directory.selected.Load(), test.expr)
	}
}

// TestEachSelectorCountsForItsOwnTime has series that are gone, and others that have come.
func TestEachSelectorCountsForItsOwnTime(t *testing.T) {
	p := newPast(t, 2)
	for i := range 80 {
		oldest, newest := 7*time.Hour, 5*time.Hour
		if i%2 == 0 {
			oldest, newest = 2*time.Hour, time.Duration(0)
		}
		p.write(t, i/2%2, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i), "gen", fmt.Sprint(i%2)), oldest, newest, func(int64) float64 { return 1 })
	}
	few, err := query.New(query.Options{Limits: query.Limits{Series: 100}})
	require.NoError(t, err)
	defer func() { require.NoError(t, few.Close()) }()
	ask := func(e *Engine, fleet *Fleet, expr string) error {
		prepared, err := e.NewRangeQuery(t.Context(), fleet, nil, expr, hour(p).Start, hour(p).End, time.Minute)
		require.NoError(t, err)
		return prepared.Exec(t.Context()).Err
	}
	old := p.now.Add(-6 * time.Hour).Unix()
	for _, expr := range []string{`g - g offset 5h`, fmt.Sprintf(`g / on () group_left () sum(g @ %d)`, old), fmt.Sprintf(`g unless on () (g @ %d)`, old), `absent(g) or absent(g offset 5h)`, `g and g @ end()`} {
		require.NoError(t, ask(NewEngine(few, 0), p.fleet, expr), "40 series now, and 40 then: %s", expr)
		require.NoError(t, ask(p.plain, NewFleet(p.directory, Options{MaxCells: 130 * 61}), expr), expr) // half of it for labels
	}
	require.ErrorContains(t, ask(NewEngine(few, 0), p.fleet, `g - g offset 5h + g offset 1m`), "query limit series: the query reached 120 by the indexes")
	require.ErrorContains(t, ask(p.plain, NewFleet(p.directory, Options{MaxCells: 70 * 61}), `g - g offset 5h`), "4880 values (80 series at 61 times) by the indexes")
}

var _ Knower = tracedDirectory{}
