package rollup

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
)

const minute = 60_000

// counters leaves out what no counter shows, where the increase is only said not to fall.
func counters(w chunk.Windows) chunk.Windows {
	for i := range w.Increase {
		if !(w.Min[i] >= 0) || math.IsNaN(w.Sum[i]) || math.IsInf(w.Sum[i], 0) {
			w.Increase[i] = 0
		}
	}
	return w
}

func TestAppendIsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.SampledFrom([]int64{5 * minute, 60 * minute, 100}).Draw(t, "window")
		ss := someSamples(t, window, math.NaN(), math.Inf(1), math.Inf(-1))
		ts, vs := split(ss)
		var got chunk.Windows
		require.NoError(t, Append(&got, window, ts, vs))
		requireSame(t, counters(naive(ss, window)), counters(got))
	})
}

func TestIncreaseOfDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var ss []sample
	for v, i := 0.0, 0; i < 2000; i++ {
		if v += float64(r.IntN(300)) / 100; r.IntN(100) == 0 {
			v = 0
		}
		v = math.Round(v*100) / 100
		ss = append(ss, sample{int64(i) * 15_000, v})
	}
	ts, vs := split(ss)
	var got chunk.Windows
	require.NoError(t, Append(&got, 5*minute, ts, vs))
	want := naive(ss, 5*minute)
	require.InDeltaSlice(t, want.Increase, got.Increase, 1e-9)
	exact := 0
	for i, increase := range got.Increase {
		if increase == got.Last[i]-got.First[i] {
			exact++
		}
	}
	require.Greater(t, exact, len(got.End)*3/4, "windows without a reset rise by the difference, bit for bit")
}

func TestMergeIsAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ss := someSamples(t, 5*minute, math.NaN(), math.Inf(1))
		ts, vs := split(ss)
		at := rapid.IntRange(0, len(ts)).Draw(t, "cut")
		for _, window := range []int64{5 * minute, 60 * minute} {
			var front, back, want, got chunk.Windows
			require.NoError(t, Append(&front, 5*minute, ts[:at], vs[:at]))
			require.NoError(t, Append(&back, 5*minute, ts[at:], vs[at:]))
			require.NoError(t, Append(&want, window, ts, vs))
			require.NoError(t, Merge(&got, window, &front, &back))
			requireSame(t, counters(want), counters(got))
		}
	})
}

func TestMergeColumns(t *testing.T) {
	var whole chunk.Windows
	require.NoError(t, Append(&whole, 100, []int64{50, 100, 101, 250}, []float64{1, 5, 2, 3}))
	for c, want := range map[chunk.Columns]chunk.Windows{
		chunk.ColumnSum:      {End: []int64{1000}, Sum: []float64{11}},
		chunk.ColumnMin:      {End: []int64{1000}, Min: []float64{1}},
		chunk.ColumnLast:     {End: []int64{1000}, Last: []float64{3}},
		chunk.CounterColumns: {End: []int64{1000}, FirstT: []int64{50}, LastT: []int64{250}, First: []float64{1}, Last: []float64{3}, Increase: []float64{7}},
	} {
		var some, got chunk.Windows
		require.NoError(t, chunk.DecodeWindows(&some, chunk.AppendWindows(nil, &whole), 3, c|chunk.ColumnEnd))
		require.NoError(t, Merge(&got, 1000, &some, &chunk.Windows{}))
		requireSame(t, want, got)
	}
	require.EqualError(t, Merge(new(chunk.Windows), 100, &chunk.Windows{End: []int64{1}, Sum: []float64{1, 2}}),
		"rollup: column 4 of part 0 has 2 rows, its ends are 1")
}

func TestMergeOfOverlaps(t *testing.T) {
	var a, b chunk.Windows
	require.NoError(t, Append(&a, 100, []int64{10, 30}, []float64{1, 2}))
	require.NoError(t, Append(&b, 100, []int64{20}, []float64{1}))
	err := Merge(new(chunk.Windows), 100, &a, &b)
	require.ErrorIs(t, err, ErrOverlap)
	require.ErrorContains(t, err, "samples from 20 ms on follow on those up to 30 ms")
}

func TestOrder(t *testing.T) {
	err := Append(new(chunk.Windows), 100, []int64{10, 10}, []float64{1, 2})
	require.EqualError(t, err, "rollup: a sample at 10 ms after one at 10 ms: samples must come in order of time")
}

func TestEndOf(t *testing.T) {
	for _, c := range []struct{ t, window, want int64 }{
		{0, 100, 0}, {1, 100, 100}, {100, 100, 100}, {101, 100, 200}, {-1, 100, 0}, {-100, 100, -100}, {-101, 100, -100},
		{math.MaxInt64, 100, math.MaxInt64}, {math.MaxInt64 - 200, 100, math.MaxInt64 - 107}, {math.MinInt64, 100, math.MinInt64 + 8},
	} {
		require.Equal(t, c.want, EndOf(c.t, c.window), "%+v", c)
	}
}

func TestRawBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.Int64Range(1, 20).Draw(t, "window")
		low := rapid.Int64Range(-50, 50).Draw(t, "low")
		high := rapid.Int64Range(-50, 50).Draw(t, "high")
		minT, maxT := RawBounds(low, high, window)
		for at := int64(-100); at <= 100; at++ {
			end := EndOf(at, window)
			require.Equal(t, low <= end && end <= high, minT <= at && at <= maxT, "at %d, raw %d to %d", at, minT, maxT)
		}
	})
	minT, maxT := RawBounds(math.MinInt64, math.MaxInt64, 100)
	require.Equal(t, int64(math.MinInt64), minT)
	require.Equal(t, int64(math.MaxInt64), maxT)
}

func TestLasts(t *testing.T) {
	ts := []int64{1, 50, 100, 101, 180, 500, 501}
	all := func(int) bool { return true }
	require.Equal(t, []int{9, 2, 4, 5, 6}, Lasts([]int{9}, 100, ts, all))
	require.Equal(t, []int{1, 3, 6}, Lasts(nil, 100, ts, func(i int) bool { return i != 2 && i != 4 && i != 5 }))
	require.Empty(t, Lasts(nil, 100, nil, all))
}

func BenchmarkAppend(b *testing.B) {
	const n = 24 * 240
	ts, vs := make([]int64, n), make([]float64, n)
	for i := range ts {
		ts[i], vs[i] = int64(i)*15_000, float64(i*7)
	}
	var w chunk.Windows
	for b.Loop() {
		w.End = w.End[:0]
		if err := Append(&chunk.Windows{}, 5*minute, ts, vs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/sample")
}
