package enginetest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
)

// raw is a sample as it was written, or as a window shows it.
type raw struct {
	t int64
	v float64
}

// windowsOf groups samples in order of time by the end of their window, stale markers aside.
func windowsOf(samples []raw, window int64) (ends []int64, groups map[int64][]raw) {
	groups = map[int64][]raw{}
	for _, s := range samples {
		if value.IsStaleNaN(s.v) {
			continue
		}
		end := s.t
		for end%window != 0 {
			end += (window - end%window) % window
		}
		if len(groups[end]) == 0 {
			ends = append(ends, end)
		}
		groups[end] = append(groups[end], s)
	}
	return ends, groups
}

// shown is what a column but the counter shows of a window.
func shown(c engine.Column, group []raw) float64 {
	least, most, sum := math.Inf(1), math.Inf(-1), 0.0
	for _, s := range group {
		least, most, sum = min(least, s.v), max(most, s.v), sum+s.v
	}
	return map[engine.Column]float64{
		engine.ColumnLast: group[len(group)-1].v, engine.ColumnCount: float64(len(group)), engine.ColumnSum: sum,
		engine.ColumnMin: least, engine.ColumnMax: most,
	}[c]
}

// risen is the increase of a counter from one sample to a later one.
func risen(samples []raw, from, to int64) (sum float64) {
	var last *raw
	for i, s := range samples {
		if value.IsStaleNaN(s.v) || s.t < from || s.t > to {
			continue
		}
		if last != nil {
			if sum += s.v; s.v >= last.v {
				sum -= last.v
			}
		}
		last = &samples[i]
	}
	return sum
}

// series asks for the only series of an answer; nothing where it is not in it.
func series(t testing.TB, e engine.Engine, s engine.Selection) (found []raw) {
	t.Helper()
	set, err := e.Select(t.Context(), s)
	require.NoError(t, err)
	defer func() { require.NoError(t, set.Close()) }()
	for set.Next() {
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			require.Equal(t, chunkenc.ValFloat, kind)
			at, v := it.At()
			found = append(found, raw{at, v})
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	return found
}

// RunWindows runs the part of the contract that is about windows.
func RunWindows(t *testing.T, target Target) {
	t.Run("columns", func(t *testing.T) { testColumns(t, target) })
	t.Run("histograms", func(t *testing.T) { testHistogramWindows(t, target) })
	t.Run("many series", func(t *testing.T) { testManyWindows(t, target) })
}

// testColumns writes a counter that begins again at times, with gaps, in any order, and asks for every column of
// every tier in random bounds.
func testColumns(t *testing.T, target Target) {
	rapid.Check(t, func(r *rapid.T) {
		e := target.Open(t)
		defer func() { _ = e.Close() }()
		at, v := target.Start+rapid.Int64Range(0, 3_600_000).Draw(r, "start"), 0.0
		var samples []raw
		for range rapid.IntRange(1, 80).Draw(r, "samples") {
			if v += float64(rapid.IntRange(0, 100).Draw(r, "rise")); rapid.IntRange(0, 9).Draw(r, "reset") == 0 {
				v = float64(rapid.IntRange(0, 3).Draw(r, "from"))
			}
			s := raw{at, v}
			if rapid.IntRange(0, 15).Draw(r, "stale") == 0 {
				s.v = math.Float64frombits(value.StaleNaN)
			}
			samples = append(samples, s)
			at += rapid.SampledFrom([]int64{1, 15_000, 15_000, 60_000, 300_000, 3_600_000, 5_000_000}).Draw(r, "gap")
		}
		written := rapid.Permutation(samples).Draw(r, "order")
		var b engine.Batch
		for _, s := range written {
			b.Samples = append(b.Samples, engine.Sample{Ref: ref(t, e, "__name__", "a"), T: s.t, V: s.v})
		}
		store(t, e, b)
		if target.Reopen != nil && rapid.Bool().Draw(r, "reopen") {
			e = target.Reopen(t, e)
		}
		for _, tier := range []engine.Tier{engine.TierFiveMinutes, engine.TierHour} {
			minEnd := target.Start + rapid.Int64Range(-10, 20).Draw(r, "min")*900_000
			checkColumns(t, e, samples, engine.Selection{Tier: tier, Min: minEnd, Max: minEnd + rapid.Int64Range(-1, 40).Draw(r, "for")*900_000})
			checkColumns(t, e, samples, engine.Selection{Tier: tier, Min: math.MinInt64, Max: math.MaxInt64})
		}
	})
}

func checkColumns(t testing.TB, e engine.Engine, samples []raw, s engine.Selection) {
	t.Helper()
	ends, groups := windowsOf(samples, s.Tier.Window())
	ends = slices.DeleteFunc(ends, func(end int64) bool { return end < s.Min || end > s.Max })
	for _, s.Column = range []engine.Column{engine.ColumnLast, engine.ColumnCount, engine.ColumnSum, engine.ColumnMin, engine.ColumnMax} {
		var want []raw
		for _, end := range ends {
			want = append(want, raw{end, shown(s.Column, groups[end])})
		}
		require.Equal(t, want, series(t, e, s), "%+v", s)
	}
	s.Column = engine.ColumnCounter
	got := series(t, e, s)
	var want []raw // the rise since the first one
	for _, end := range ends {
		first, last := groups[end][0].t, groups[end][len(groups[end])-1].t
		for _, at := range slices.Compact([]int64{first, last}) {
			want = append(want, raw{at, 0})
		}
	}
	require.Len(t, got, len(want), "%+v", s)
	for i, p := range got {
		require.Equal(t, want[i].t, p.t, "%+v", s)
		require.Equal(t, risen(samples, got[0].t, p.t), p.v-got[0].v, "%+v at %d", s, p.t)
	}
}

// testHistogramWindows: of native histograms the last of each window is shown, at its end; where floats are in the same
// window the last of all samples says which of them is shown.
func testHistogramWindows(t *testing.T, target Target) {
	e := target.Open(t)
	r := ref(t, e, "__name__", "a")
	const window = 300_000
	at := (target.Start/window + 2) * window
	stale := smallHistogram(1)
	stale.Sum = math.Float64frombits(value.StaleNaN)
	store(t, e, engine.Batch{Histograms: []engine.HistogramSample{
		{Ref: r, T: at + 1, Int: smallHistogram(1)}, {Ref: r, T: at + 2, Int: smallHistogram(2)}, {Ref: r, T: at + window, Int: smallHistogram(3)},
		{Ref: r, T: at + window + 1, Float: smallHistogram(4).ToFloat(nil)}, {Ref: r, T: at + window + 2, Int: stale},
	}})
	for _, c := range []engine.Column{engine.ColumnLast, engine.ColumnSum, engine.ColumnCounter} {
		got := sel(t, e, engine.Selection{Min: at, Max: at + 10*window, Tier: engine.TierFiveMinutes, Column: c, Matchers: match("__name__", "a")})
		require.Equal(t, map[string][]string{`{__name__="a"}`: {
			histogramPoint(at+window, smallHistogram(3)), floatHistogramPoint(at+2*window, smallHistogram(4).ToFloat(nil)),
		}}, got, "column %d", c)
	}
	mixed := ref(t, e, "__name__", "mixed")
	store(t, e, engine.Batch{
		Samples: []engine.Sample{
			{Ref: mixed, T: at + 1, V: 1}, // a histogram comes last
			{Ref: mixed, T: at + window + 2, V: 5},
			{Ref: mixed, T: at + 2*window + 2, V: math.Float64frombits(value.StaleNaN)},
		},
		Histograms: []engine.HistogramSample{
			{Ref: mixed, T: at + 2, Int: smallHistogram(6)}, {Ref: mixed, T: at + window + 1, Int: smallHistogram(7)},
			{Ref: mixed, T: at + 2*window + 1, Int: smallHistogram(8)},
		},
	})
	got := sel(t, e, engine.Selection{Min: at, Max: at + 10*window, Tier: engine.TierFiveMinutes, Column: engine.ColumnSum, Matchers: match("__name__", "mixed")})
	require.Equal(t, map[string][]string{`{__name__="mixed"}`: {
		histogramPoint(at+window, smallHistogram(6)), point(at+2*window, 5), histogramPoint(at+3*window, smallHistogram(8)),
	}}, got)
}

// testManyWindows: matchers, order and limit hold for windows, too, and iterators seek.
func testManyWindows(t *testing.T, target Target) {
	e := target.Open(t)
	const window, perSeries = 300_000, 100
	at := (target.Start/window + 2) * window
	for _, s := range []string{"c", "a", "b"} {
		var b engine.Batch
		for i := range int64(perSeries) {
			b.Samples = append(b.Samples, engine.Sample{Ref: ref(t, e, "__name__", "m", "s", s), T: at + i*60_000, V: float64(i)})
		}
		store(t, e, b)
	}
	all := engine.Selection{Min: at, Max: math.MaxInt64, Tier: engine.TierFiveMinutes, Column: engine.ColumnCount, Sorted: true}
	found := list(t, e, all)
	require.Len(t, found, 3)
	for i, s := range []string{"a", "b", "c"} {
		require.Equal(t, fmt.Sprintf(`{__name__="m", s=%q}`, s), found[i].labels)
		require.Len(t, found[i].points, 21)
		require.Equal(t, point(at, 1), found[i].points[0], "a sample at the end of a window is in it")
		require.Equal(t, point(at+window, 5), found[i].points[1])
	}
	limited := all
	limited.Limit = 2
	require.Equal(t, found[:2], list(t, e, limited))
	one := all
	one.Matchers = match("s", "b")
	require.Equal(t, found[1:2], list(t, e, one))

	set, err := e.Select(t.Context(), one)
	require.NoError(t, err)
	defer func() { require.NoError(t, set.Close()) }()
	require.True(t, set.Next())
	it := set.At().Iterator(nil)
	require.Equal(t, chunkenc.ValFloat, it.Seek(at+3*window-1))
	require.Equal(t, at+3*window, it.AtT())
	require.Equal(t, chunkenc.ValFloat, it.Seek(at), "never back")
	require.Equal(t, at+3*window, it.AtT())
	require.Equal(t, found[1].points[4:], drain(t, it))
	require.Equal(t, found[1].points, drain(t, set.At().Iterator(it)), "an iterator is used again")
}
