package federate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/query"
)

const second = int64(1000)

// members is a directory that does not change.
type members []Member

func (m members) Members() []Member { return m }

// world is the same series in one store and scattered over shards.
type world struct {
	whole  engine.Engine
	shards []engine.Engine
	fleet  *Fleet
	alone  *query.Engine
	engine *Engine
}

func newWorld(t testing.TB, shards int) *world {
	t.Helper()
	open := func() *query.Engine {
		q, err := query.New(query.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, q.Close()) })
		return q
	}
	w := &world{whole: memory.Open(memory.Options{}), alone: open()}
	var all members
	for i := range shards {
		store := memory.Open(memory.Options{})
		w.shards = append(w.shards, store)
		name := fmt.Sprintf("h%d", i)
		all = append(all, Member{name, Local{Host: name, Store: store, Query: open()}})
	}
	w.fleet = NewFleet(all, Options{})
	w.engine = NewEngine(open(), 0)
	return w
}

// series is one series of a world: floats, or histograms where there are any.
type series struct {
	lset       labels.Labels
	times      []int64
	values     []float64
	histograms []*histogram.FloatHistogram
}

// add puts a series into the whole and into one shard.
func (w *world) add(t require.TestingT, shard int, s series) {
	for _, store := range []engine.Engine{w.whole, w.shards[shard]} {
		ref, err := store.Ref(s.lset)
		require.NoError(t, err)
		var b engine.Batch
		for i, at := range s.times {
			if s.histograms != nil {
				b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: ref, T: at, Float: s.histograms[i].Copy()})
			} else {
				b.Samples = append(b.Samples, engine.Sample{Ref: ref, T: at, V: s.values[i]})
			}
		}
		done, err := store.Append(context.Background(), b)
		require.NoError(t, err)
		require.Empty(t, done.Refused)
	}
}

func (w *world) ask(t require.TestingT, e promql.QueryEngine, q storage.Queryable, expr string, times query.Range) *promql.Result {
	if h, is := t.(interface{ Helper() }); is {
		h.Helper()
	}
	var prepared promql.Query
	var err error
	if times.Step == 0 {
		prepared, err = e.NewInstantQuery(context.Background(), q, nil, expr, times.Start)
	} else {
		prepared, err = e.NewRangeQuery(context.Background(), q, nil, expr, times.Start, times.End, times.Step)
	}
	require.NoError(t, err, expr)
	return prepared.Exec(context.Background())
}

// compare asks the whole and the fleet.
func (w *world) compare(t require.TestingT, expr string, times query.Range) {
	want := w.ask(t, w.alone, query.NewQueryable(w.whole), expr, times)
	got := w.ask(t, w.engine, w.fleet, expr, times)
	if want.Err != nil {
		require.Error(t, got.Err, "%s: one store says %v", expr, want.Err)
		return
	}
	require.NoError(t, got.Err, expr)
	same(t, expr, rowsByLabels(want.Value), rowsByLabels(got.Value))
	wantWarnings, wantInfos := want.Warnings.AsStrings("", 0, 0)
	gotWarnings, gotInfos := got.Warnings.AsStrings("", 0, 0)
	require.ElementsMatch(t, wantWarnings, gotWarnings, expr)
	require.ElementsMatch(t, wantInfos, gotInfos, expr)
}

func rowsByLabels(v any) map[string][]query.Point {
	var a query.Answer
	switch v := v.(type) {
	case promql.Vector:
		a.Value = v
	case promql.Matrix:
		a.Value = v
	case promql.Scalar:
		a.Value = v
	}
	all := map[string][]query.Point{}
	for _, row := range a.Rows() {
		all[row.Labels.String()] = row.Points
	}
	return all
}

func same(t require.TestingT, expr string, want, got map[string][]query.Point) {
	require.Len(t, got, len(want), "%s: want %v\ngot %v", expr, want, got)
	for lset, points := range want {
		require.Len(t, got[lset], len(points), "%s: series %s: want %v\ngot %v", expr, lset, points, got[lset])
		for i, p := range points {
			q := got[lset][i]
			require.Equal(t, p.T, q.T, "%s: series %s", expr, lset)
			require.Equal(t, p.H == nil, q.H == nil, "%s: series %s", expr, lset)
			if p.H != nil {
				near(t, expr, p.H.Count, q.H.Count)
				near(t, expr, p.H.Sum, q.H.Sum)
				require.Len(t, q.H.PositiveBuckets, len(p.H.PositiveBuckets), expr)
				continue
			}
			near(t, expr+" of "+lset, p.V, q.V)
		}
	}
}

func near(t require.TestingT, what string, want, got float64) {
	if math.IsNaN(want) && math.IsNaN(got) || want == got {
		return
	}
	require.LessOrEqual(t, math.Abs(want-got), 1e-9*max(1, math.Abs(want)), "%s: %v, want %v", what, got, want)
}

// anySeries draws the series of a world, with few values of labels so that they meet in groups.
func anySeries(r *rapid.T, n int) (lset labels.Labels, s series) {
	name := rapid.SampledFrom([]string{"c_total", "g", "h", "mixed", "u"}).Draw(r, "name")
	lset = labels.FromStrings("__name__", name, "i", fmt.Sprint(n), "job", rapid.SampledFrom([]string{"a", "b"}).Draw(r, "job"), "zone", rapid.SampledFrom([]string{"", "z1", "z2"}).Draw(r, "zone"))
	from, until := rapid.IntRange(0, 30).Draw(r, "from"), rapid.IntRange(10, 80).Draw(r, "until")
	total := 0.0
	histograms := name == "h" || name == "mixed" && rapid.Bool().Draw(r, "histograms")
	for k := from; k < until; k++ {
		v := rapid.SampledFrom([]float64{0, 1, 2.5, 1000, 0.1, 7}).Draw(r, "v")
		if name == "g" && rapid.IntRange(0, 20).Draw(r, "odd") == 0 {
			v = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), absent, -3}).Draw(r, "odd value")
		}
		switch total += v; name {
		case "c_total":
			v = total
		case "u":
			v += float64(n) / 1000
		}
		s.times = append(s.times, int64(k)*15*second+int64(n%7)*100)
		if histograms {
			s.histograms = append(s.histograms, &histogram.FloatHistogram{
				Schema: 1, Count: total, Sum: total * 2, PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{total},
			})
		} else {
			s.values = append(s.values, v)
		}
	}
	s.lset = lset
	return lset, s
}

// anyExpr draws an expression that gives series.
func anyExpr(r *rapid.T, depth int) string {
	vector := func() string { return anyExpr(r, depth-1) }
	selector := rapid.SampledFrom([]string{`c_total`, `g`, `h`, `mixed`, `{job="a"}`, `g{zone=~"z.*"}`, `c_total offset 1m`, `g @ 600`, `nothing`}).Draw(r, "selector")
	if depth <= 0 {
		return selector
	}
	span := rapid.SampledFrom([]string{"[1m]", "[5m]", "[2m] offset 30s", "[3m:30s]"}).Draw(r, "span")
	by := rapid.SampledFrom([]string{"", " by (job)", " by (zone, job)", " without (i)", " by (nothing)"}).Draw(r, "by")
	switch rapid.IntRange(0, 9).Draw(r, "kind") {
	case 0:
		return selector
	case 1, 2:
		f := rapid.SampledFrom([]string{"rate", "increase", "avg_over_time", "max_over_time", "count_over_time", "last_over_time", "delta", "irate", "changes", "stddev_over_time"}).Draw(r, "f")
		return f + "(" + rapid.SampledFrom([]string{"c_total", "g", "h", `{job="b"}`}).Draw(r, "range of") + span + ")"
	case 3, 4, 5:
		agg := rapid.SampledFrom([]string{"sum", "min", "max", "count", "avg", "group", "stddev"}).Draw(r, "agg")
		return agg + by + "(" + vector() + ")"
	case 6:
		if rapid.Bool().Draw(r, "quantile") {
			return "quantile" + by + "(" + rapid.SampledFrom([]string{"0.5", "0", "1", "(0.9)", "-1", "1.5", "NaN"}).Draw(r, "q") + ", " + vector() + ")"
		}
		// Which of equal values is among the first is nobody's promise: no two of u are equal.
		agg := rapid.SampledFrom([]string{"topk", "bottomk"}).Draw(r, "agg")
		return agg + by + "(" + rapid.SampledFrom([]string{"1", "2"}).Draw(r, "k") + ", " + rapid.SampledFrom([]string{"u", "u * -2", "max_over_time(u[2m])", "(u)"}).Draw(r, "of") + ")"
	case 7:
		op := rapid.SampledFrom([]string{" * 2", " > 1", " + 3", " == bool 1", " / 0"}).Draw(r, "op")
		return "(" + vector() + ")" + op
	case 8:
		op := rapid.SampledFrom([]string{" + on (job, zone, i) ", " and ", " or ", " unless on (job) ", " / ignoring (x) "}).Draw(r, "op")
		return "(" + vector() + ")" + op + "(" + vector() + ")"
	}
	return rapid.SampledFrom([]string{"abs", "ceil", "sort", "-", "histogram_count", "absent", "timestamp", "scalar", "max_over_time"}).Draw(r, "f") + "(" + vector() + ")"
}

// TestAnswersAreThoseOfOneStore asks random questions about random series, in one store and scattered.
func TestAnswersAreThoseOfOneStore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, rapid.IntRange(1, 4).Draw(r, "shards"))
		if rapid.Bool().Draw(r, "guess") { // bounds that are often wrong
			w.fleet.opts.narrowFrom, w.fleet.opts.sample, w.fleet.opts.deviations = 1, 2, 0.1
			w.fleet.opts.leadFrom, w.fleet.opts.firstsFrom = 1, 1
		}
		if rapid.Bool().Draw(r, "known") {
			w.fleet.directory = knowing{w.fleet.directory, 10}
		}
		if rapid.Bool().Draw(r, "relayed") {
			w.fleet.opts.RelayFrom, w.fleet.directory = 1, cutAfter(w.fleet.directory, rapid.IntRange(0, 2).Draw(r, "told"))
		}
		for n := range rapid.IntRange(1, 10).Draw(r, "series") {
			_, s := anySeries(r, n)
			w.add(r, rapid.IntRange(0, len(w.shards)-1).Draw(r, "shard"), s)
		}
		times := query.Range{Start: time.UnixMilli(600 * second)}
		if rapid.Bool().Draw(r, "range") {
			times.End, times.Step = time.UnixMilli(1300*second), rapid.SampledFrom([]time.Duration{15 * time.Second, time.Minute, 7 * time.Minute}).Draw(r, "step")
		}
		for range 10 {
			expr := anyExpr(r, rapid.IntRange(0, 3).Draw(r, "depth"))
			if _, _, err := Split(expr); err != nil {
				continue // not PromQL, as scalar(…) > 1 without bool
			}
			w.compare(r, expr, times)
		}
	})
}

// TestSeriesOnTwoShardsCountOnce moves a series from one host to another.
func TestSeriesOnTwoShardsCountOnce(t *testing.T) {
	w := newWorld(t, 2)
	lset := labels.FromStrings("__name__", "c_total", "vm_id", "1")
	for i := range int64(40) {
		w.add(t, int(i/20), series{lset: lset, times: []int64{i * 15 * second}, values: []float64{float64(i)}})
	}
	for _, expr := range []string{`c_total`, `sum(rate(c_total[5m]))`, `count(c_total)`, `avg(c_total)`} {
		w.compare(t, expr, query.Range{Start: time.UnixMilli(290 * second), End: time.UnixMilli(600 * second), Step: 15 * time.Second})
	}
}

// TestHistogramsAreSummedOnTheShards scatters native histograms.
func TestHistogramsAreSummedOnTheShards(t *testing.T) {
	w := newWorld(t, 3)
	for n := range 9 {
		s := series{lset: labels.FromStrings("__name__", "h", "i", fmt.Sprint(n))}
		for i := range int64(40) {
			v := float64(i * int64(n+1))
			s.times = append(s.times, i*15*second)
			s.histograms = append(s.histograms, &histogram.FloatHistogram{Schema: 1, Count: v, Sum: v, PositiveSpans: []histogram.Span{{Offset: int32(n), Length: 1}}, PositiveBuckets: []float64{v}})
		}
		w.add(t, n%3, s)
	}
	times := query.Range{Start: time.UnixMilli(300 * second), End: time.UnixMilli(600 * second), Step: time.Minute}
	for _, expr := range []string{`histogram_quantile(0.9, sum(rate(h[2m])))`, `sum(rate(h[2m]))`, `avg(h)`, `count(h)`, `max(h)`} {
		w.compare(t, expr, times)
	}
	asked := &counting{members: w.fleet.directory.Members()}
	w.fleet.directory = asked
	w.compare(t, `histogram_quantile(0.9, sum(rate(h[2m])))`, times)
	assert.EqualValues(t, 3, asked.evaluated.Load())
	assert.Zero(t, asked.selected.Load(), "the shards sum their histograms")
}

// counting counts what the members of a directory are asked for.
type counting struct {
	members             []Member
	evaluated, selected atomic.Int32
}

func (c *counting) Members() []Member { return c.counted(c.members) }

func (c *counting) counted(members []Member) []Member {
	all := slices.Clone(members)
	for i := range all {
		all[i].Shard = countedShard{all[i].Shard, c}
	}
	return all
}

type countedShard struct {
	Shard
	*counting
}

func (s countedShard) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	s.evaluated.Add(1)
	return s.Shard.Evaluate(ctx, e)
}

func (s countedShard) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	s.selected.Add(1)
	return s.Shard.Select(ctx, sel)
}

func (s countedShard) Estimate(ctx context.Context, e Estimation) ([]engine.Estimate, error) {
	return s.Shard.(Estimator).Estimate(ctx, e)
}

// ranking counts the values that the members of a directory give by rank, and those of rows.
type ranking struct {
	members      []Member
	values, rows atomic.Int64
	// before is called before each question, with it.
	before func(Evaluation)
}

func (r *ranking) Members() []Member {
	all := slices.Clone(r.members)
	for i := range all {
		all[i].Shard = rankingShard{all[i].Shard, r}
	}
	return all
}

type rankingShard struct {
	Shard
	*ranking
}

func (s rankingShard) Evaluate(ctx context.Context, e Evaluation) (Partial, error) {
	if s.before != nil {
		s.before(e)
	}
	p, err := s.Shard.Evaluate(ctx, e)
	for _, of := range p.Ranked {
		for _, piece := range of {
			s.values.Add(int64(len(piece.Values)))
		}
	}
	for _, of := range p.Rows {
		for _, row := range of {
			for _, v := range row.Values {
				if there(v) {
					s.rows.Add(1)
				}
			}
		}
	}
	return p, err
}
