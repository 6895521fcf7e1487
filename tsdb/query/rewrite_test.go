package query_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/query"
)

const (
	second = int64(1000)
	fiveM  = 300 * second
	hour   = 3600 * second
)

func TestRewrite(t *testing.T) {
	hourly := query.Plan{Start: 100 * hour, End: 200 * hour, Step: hour, Lookback: fiveM}
	fives := query.Plan{Start: 100*hour + fiveM, End: 200 * hour, Step: 3 * fiveM, Lookback: fiveM}
	once := query.Plan{Start: 100 * hour, End: 100 * hour, Lookback: fiveM}
	odd := query.Plan{Start: 100*hour + second, End: 200 * hour, Step: hour, Lookback: fiveM}
	long := hourly
	long.Lookback = 2 * hour
	expired := odd // raw goes back to hour 150, five minutes to hour 50
	expired.Tiers.Since = [3]int64{150 * hour, 50 * hour, 0}
	young := hourly // hours are there since hour 150 alone
	young.Tiers.Since = [3]int64{0, 0, 150 * hour}
	for _, test := range []struct {
		plan       query.Plan
		expr, want string // no want: stays as it is
	}{
		{hourly, `min_over_time(x[1h])`, `min_over_time(x{__tier__="1h:min"}[1h])`},
		{hourly, `max_over_time(x{a="b"}[2h])`, `max_over_time(x{__tier__="1h:max",a="b"}[2h])`},
		{hourly, `count_over_time(x[1h])`, `sum_over_time(x{__tier__="1h:count"}[1h])`},
		{hourly, `sum_over_time(x[1h])`, `sum_over_time(x{__tier__="1h:sum"}[1h])`},
		{hourly, `avg_over_time(x[1h])`, `(sum_over_time(x{__tier__="1h:sum"}[1h]) / sum_over_time(x{__tier__="1h:count"}[1h]))`},
		{hourly, `last_over_time(x[1h])`, `last_over_time(x{__tier__="1h:last"}[1h])`},
		{hourly, `present_over_time(x[1h])`, `present_over_time(x{__tier__="1h:last"}[1h])`},
		{hourly, `sum by (a) (rate(x[1h])) > 3`, `sum by (a) (rate(x{__tier__="1h:counter"}[1h])) > 3`},
		{hourly, `increase(x[6h] offset 1d)`, `increase(x{__tier__="1h:counter"}[6h] offset 1d)`},
		{hourly, `rate(x[5m])`, `rate(x{__tier__="5m:counter"}[5m])`},
		{hourly, `-(x + on (a) y)`, `-(x{__tier__="5m:last"} + on (a) y{__tier__="5m:last"})`},
		{long, `x`, `x{__tier__="1h:last"}`},
		{long, `histogram_quantile(0.9, x)`, `histogram_quantile(0.9, x{__tier__="1h:last"})`},
		{hourly, `topk(scalar(x), y)`, `topk(scalar(x{__tier__="5m:last"}), y{__tier__="5m:last"})`},
		{fives, `rate(x[1h])`, `rate(x{__tier__="5m:counter"}[1h])`},
		{once, `avg_over_time(x[1h])`, `(sum_over_time(x{__tier__="1h:sum"}[1h]) / sum_over_time(x{__tier__="1h:count"}[1h]))`},
		{young, `max_over_time(x[1h])`, `max_over_time(x{__tier__="5m:max"}[1h])`},
		{expired, `max_over_time(x[1h])`, `max_over_time(x{__tier__="5m:max"}[1h])`},
		{expired, `max_over_time(x[60h])`, `max_over_time(x{__tier__="1h:max"}[2d12h])`},

		{expired, `max_over_time(x[1m])`, ``}, // no window fits in
		{odd, `max_over_time(x[1h])`, ``},
		{hourly, `max_over_time(x[7m])`, ``},
		{hourly, `max_over_time(x[1h] offset 1s)`, ``},
		{fives, `x offset 1m`, ``},
		{hourly, `irate(x[1h]) + delta(x[1h]) + changes(x[1h]) + quantile_over_time(0.5, x[1h])`, ``},
		{hourly, `max_over_time(x[1h] @ 3600) + (x @ end())`, ``},
		{hourly, `max_over_time(rate(x[5m])[1h:5m])`, ``},
		{hourly, `absent(x) + absent_over_time(x[1h]) + timestamp(x)`, ``},
		{hourly, `rate(x[1h] smoothed)`, ``},
		{hourly, `max_over_time(x[30m+30m])`, ``},
		{hourly, `sum by (__name__) (avg_over_time(x[1h]))`, ``},
		{hourly, `avg_over_time({__name__=~"x|y"}[1h])`, ``},
		{hourly, `x{__tier__="raw"} + max_over_time(y[1h])`, ``},
		{hourly, `time() + 3`, ``},
	} {
		t.Run(test.expr, func(t *testing.T) {
			got, changed, err := query.Rewrite(test.expr, test.plan)
			require.NoError(t, err)
			assert.Equal(t, test.want != "", changed)
			if test.want == "" {
				test.want = test.expr
			}
			assert.Equal(t, test.want, got)
		})
	}
	_, _, err := query.Rewrite(`sum(`, hourly)
	require.Error(t, err)
}

// tiered answers a query from raw samples and by windows.
func tiered(t testing.TB) (raw, windows *query.Engine) {
	t.Helper()
	return open(t, query.Options{}), open(t, query.Options{Tiers: func() query.Tiers { return query.Tiers{Since: [3]int64{-hour * 24, -hour * 24, -hour * 24}} }})
}

// shape is the data of one case: series with a sample each 15 s, jittered by less than half of that.
type shape struct {
	series, hours int
	jitter, gap   int64 // a gap is left out of each hour, in samples
	integers      bool
}

// fill makes gauges g and counters c, which begin again now and then.
func (s shape) fill(t testing.TB, r *rapid.T) query.Queryable {
	t.Helper()
	e := memory.Open(memory.Options{})
	for i := range s.series {
		gauge, err := e.Ref(labels.FromStrings("__name__", "g", "i", fmt.Sprint(i), "half", fmt.Sprint(i%2)))
		require.NoError(t, err)
		counter, err := e.Ref(labels.FromStrings("__name__", "c", "i", fmt.Sprint(i), "half", fmt.Sprint(i%2)))
		require.NoError(t, err)
		seed := rapid.Uint64().Draw(r, "seed")
		random := func(n uint64) uint64 { // splitmix64
			seed += 0x9e3779b97f4a7c15
			z := (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			return (z ^ z>>31) % n
		}
		var b engine.Batch
		total := 1000.0
		for n := range int64(s.hours) * 240 {
			if in := n % 240; s.gap > 0 && in >= 100 && in < 100+s.gap {
				continue
			}
			at := n*15*second + 7*second + int64(random(uint64(s.jitter+1)))
			v := float64(int64(random(20_000)) - 10_000)
			if !s.integers {
				v /= 7
			}
			if random(500) == 0 {
				v = math.NaN()
			}
			if total += float64(random(50)); random(300) == 0 {
				total = 1000 + float64(random(9))
			}
			b.Samples = append(b.Samples, engine.Sample{Ref: gauge, T: at, V: v}, engine.Sample{Ref: counter, T: at, V: total})
		}
		_, err = e.Append(t.Context(), b)
		require.NoError(t, err)
	}
	return query.NewQueryable(e)
}

// TestRewrittenAnswersAreTheSame compares answers of windows with those of raw samples.
func TestRewrittenAnswersAreTheSame(t *testing.T) {
	raw, windows := tiered(t)
	exact := []string{
		`min_over_time(g[%s])`, `max_over_time(g[%s] offset 1h)`, `count_over_time(g[%s])`, `last_over_time(g[%s])`, `present_over_time(c[%s])`,
		`sum by (half) (count_over_time(c[%s]))`, `g + max_over_time(g[%s])`, `topk(1, min_over_time(g[%s]))`,
	}
	near := []string{`sum_over_time(g[%s])`, `avg_over_time(g[%s])`, `max(avg_over_time(c[%s] offset 2h)) - 3`, `avg by (half) (sum_over_time(c[%s]))`}
	counters := []string{`increase(c[%s])`, `rate(c[%s])`, `sum by (half) (rate(c[%s] offset 1h))`}
	rapid.Check(t, func(r *rapid.T) {
		s := shape{
			series: rapid.IntRange(1, 3).Draw(r, "series"), hours: rapid.IntRange(6, 14).Draw(r, "hours"),
			jitter: rapid.Int64Range(0, 900).Draw(r, "jitter"), gap: max(0, rapid.Int64Range(-90, 90).Draw(r, "gap")), integers: rapid.Bool().Draw(r, "integers"),
		}
		store := s.fill(t, r)
		step := rapid.SampledFrom([]time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour}).Draw(r, "step")
		span := rapid.SampledFrom([]string{"5m", "10m", "1h", "2h", "3h"}).Draw(r, "span")
		times := query.Range{Start: time.UnixMilli(4 * hour), End: time.UnixMilli(6 * hour), Step: step}
		compare := func(exprs []string, tolerance float64) {
			expr := fmt.Sprintf(rapid.SampledFrom(exprs).Draw(r, "expr"), span)
			want, err := raw.Range(t.Context(), store, expr, times)
			require.NoError(r, err)
			got, err := windows.Range(t.Context(), store, expr, times)
			require.NoError(r, err)
			require.Less(r, got.Stats.Samples, want.Stats.Samples, "windows were read")
			sameMatrix(r, want.Value.(promql.Matrix), got.Value.(promql.Matrix), tolerance)
		}
		compare(exact, 0)
		compare(near, 1e-9)
		if s.gap == 0 { // with samples up to both ends of each range
			compare(counters, 1e-9)
		}
	})
}

func sameMatrix(t require.TestingT, want, got promql.Matrix, tolerance float64) {
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].Metric.String(), got[i].Metric.String())
		require.Len(t, got[i].Floats, len(want[i].Floats))
		for j, w := range want[i].Floats {
			g := got[i].Floats[j]
			require.Equal(t, w.T, g.T)
			if math.IsNaN(w.F) && math.IsNaN(g.F) {
				continue
			}
			require.LessOrEqual(t, math.Abs(w.F-g.F), tolerance*max(1, math.Abs(w.F)), "%v and %v at %d of %s", w.F, g.F, w.T, want[i].Metric)
		}
	}
}

// TestHistogramsAreAskedRaw asks windows for what they do not have of histograms.
func TestHistogramsAreAskedRaw(t *testing.T) {
	e := memory.Open(memory.Options{})
	ref, err := e.Ref(labels.FromStrings("__name__", "h"))
	require.NoError(t, err)
	var b engine.Batch
	for i := range int64(8 * 240) {
		h := &histogram.Histogram{Schema: 1, Count: uint64(i), Sum: float64(i), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{i}}
		b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: ref, T: i * 15 * second, Int: h})
	}
	_, err = e.Append(t.Context(), b)
	require.NoError(t, err)
	raw, windows := tiered(t)
	times := query.Range{Start: time.UnixMilli(4 * hour), End: time.UnixMilli(6 * hour), Step: time.Hour}
	for _, expr := range []string{`count_over_time(h[1h])`, `rate(h[1h])`, `sum_over_time(h[2h])`, `last_over_time(h[1h])`, `h`} {
		want, err := raw.Range(t.Context(), query.NewQueryable(e), expr, times)
		require.NoError(t, err)
		got, err := windows.Range(t.Context(), query.NewQueryable(e), expr, times)
		require.NoError(t, err)
		assert.Equal(t, want.Value.String(), got.Value.String(), expr)
	}
	_, err = raw.Range(t.Context(), query.NewQueryable(e), `rate(h{__tier__="1h:counter"}[1h])`, times)
	require.ErrorIs(t, err, query.ErrHistogramWindows)
}
