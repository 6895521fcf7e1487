package display

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/query"
)

// TestDownsample holds what is promised of both ways: how many points, which ones, in order, with the ends and the extremes.
func TestDownsample(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Whole(randomAnswer(120).Draw(t, "answer"))
		a.Step = rapid.SampledFrom([]int64{0, 15 * second}).Draw(t, "step")
		n := rapid.IntRange(4, 60).Draw(t, "n")
		got := Downsample(a, n, false)
		require.Len(t, got.Rows, len(a.Rows))
		for i, r := range a.Rows {
			kept := got.Rows[i].Points
			require.LessOrEqual(t, len(kept), n)
			requireIncreasing(t, kept)
			values := slices.DeleteFunc(slices.Clone(kept), stale)
			for _, p := range values {
				require.True(t, slices.ContainsFunc(r.Points, func(q query.Point) bool { return q.T == p.T && same(q.V, p.V) }), "%v is none of the points", p)
			}
			require.Equal(t, r.Points[0].T, values[0].T)
			require.Equal(t, lastPoint(r).T, values[len(values)-1].T)
			if len(a.Rows) > 1 {
				requireExtremes(t, r.Points, values)
			}
		}
	})
}

func requireIncreasing(t require.TestingT, points []query.Point) {
	for i, p := range points[1:] {
		require.Greater(t, p.T, points[i].T)
	}
}

func requireExtremes(t require.TestingT, all, kept []query.Point) {
	low, high := Extremes(query.Row{Points: all})
	keptLow, keptHigh := Extremes(query.Row{Points: kept})
	require.True(t, same(low, keptLow) && same(high, keptHigh), "%v to %v, was %v to %v", keptLow, keptHigh, low, high)
}

func same(a, b float64) bool { return a == b || a != a && b != b }

// TestSharedTimes holds that columns stay aligned: few times, the same of all, and the extremes of every bucket exact.
func TestSharedTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Whole(randomAnswer(120).Draw(t, "answer"))
		n := rapid.IntRange(4, 60).Draw(t, "n")
		times := allTimes(a.Rows)
		got := Downsample(a, n, true)
		c := align(got.Rows, got.Step)
		require.LessOrEqual(t, len(c.times), n)
		if len(times) == 0 || len(a.Rows) < 2 {
			return
		}
		require.True(t, slices.IsSorted(c.times))
		require.Equal(t, times[0], c.times[0])
		require.Equal(t, times[len(times)-1], c.times[len(c.times)-1])
		b := buckets{times[0], times[len(times)-1], (n - 2) / 2}
		for i, r := range a.Rows {
			values := slices.DeleteFunc(slices.Clone(got.Rows[i].Points), stale)
			requireExtremes(t, r.Points, values)
			for _, p := range values { // each is a value of its bucket
				require.True(t, slices.ContainsFunc(r.Points, func(q query.Point) bool {
					return same(q.V, p.V) && (len(times) <= n || q.T == p.T || b.of(q.T) == b.of(p.T))
				}))
			}
		}
	})
}

// TestLTTB keeps a spike, and answers as few points as asked.
func TestLTTB(t *testing.T) {
	points := make([]query.Point, 1000)
	for i := range points {
		points[i] = query.Point{T: int64(i) * second, V: math.Sin(float64(i) / 50)}
	}
	points[413].V = 40
	kept := lttb(points, 50)
	require.Len(t, kept, 50)
	require.True(t, slices.ContainsFunc(kept, func(p query.Point) bool { return p.V == 40 }))
	require.Equal(t, points[:50], lttb(points[:50], 50))
}

func TestGapsStay(t *testing.T) {
	a := Answer{Step: second}
	one := query.Row{}
	for i := range 1000 {
		if i < 300 || i > 400 {
			one.Points = append(one.Points, query.Point{T: int64(i) * second, V: float64(i % 7)})
		}
	}
	for _, rows := range [][]query.Row{{one}, {one, {Points: one.Points[:500]}}} {
		a.Rows = rows
		got := Downsample(a, 100, false)
		marks := 0
		for _, p := range got.Rows[0].Points {
			if stale(p) {
				marks++
				require.Equal(t, int64(300*second), p.T)
			}
		}
		require.Equal(t, 1, marks)
		require.LessOrEqual(t, len(got.Rows[0].Points), 100)
	}
	require.Zero(t, Downsample(a, 100, false).Step)
}

// TestNeverForOneTime: vectors, gauges, tables and states are whole.
func TestNeverForOneTime(t *testing.T) {
	a := Answer{Step: second, Rows: []query.Row{{}}}
	for i := range 100 {
		a.Rows[0].Points = append(a.Rows[0].Points, query.Point{T: int64(i) * second, V: float64(i)})
	}
	for _, view := range []View{Gauge, Bar, Table, States} {
		require.Len(t, reduce(a, Options{View: view, MaxPoints: 10}).Rows[0].Points, 100)
	}
	require.Len(t, reduce(a, Options{View: TimeSeries, MaxPoints: 10}).Rows[0].Points, 10)
	a.Instant = true
	require.Len(t, reduce(a, Options{View: TimeSeries, MaxPoints: 10}).Rows[0].Points, 100)
	require.LessOrEqual(t, len(eachNth(a, 10).Rows[0].Points), 10)
	require.Equal(t, int64(99*second), lastPoint(eachNth(a, 10).Rows[0]).T)
}

// TestSparseSeriesStay: a series that has nothing at the times that are kept still is in the answer.
func TestSparseSeriesStay(t *testing.T) {
	all, sparse := query.Row{}, query.NewRow(map[string]string{"vm": "sparse"}, nil)
	for i := range 100 {
		p := query.Point{T: int64(i) * second, H: nativeHistogram(float64(i))}
		if all.Points = append(all.Points, p); i == 1 || i == 2 {
			sparse.Points = append(sparse.Points, p)
		}
	}
	got := reduce(Answer{Step: second, Rows: []query.Row{all, sparse}}, Options{View: Heatmap, MaxPoints: 10})
	require.LessOrEqual(t, len(got.Rows[0].Points), 10)
	require.Equal(t, sparse.Points[1:], got.Rows[1].Points)
	require.Equal(t, sparse.Labels, got.Rows[1].Labels)
}

// TestRuns holds that runs and columns of states say what the points say.
func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Whole(randomAnswer(30).Draw(t, "answer"))
		runs := Runs(a)
		columns := changes(a)
		for i, r := range a.Rows {
			for _, p := range r.Points {
				require.True(t, slices.ContainsFunc(runs, func(run Run) bool {
					return run.Labels.Hash() == r.Labels.Hash() && same(run.Value, p.V) && run.From <= p.T && p.T < run.To
				}))
				at, exact := slices.BinarySearch(columns.times, p.T)
				if !exact {
					at--
				}
				require.True(t, same(columns.series[i].values[at], p.V))
			}
		}
		for i, run := range runs {
			require.Less(t, run.From, run.To)
			if i > 0 && run.Labels.Hash() == runs[i-1].Labels.Hash() {
				require.LessOrEqual(t, runs[i-1].To, run.From)
			}
		}
	})
}

func TestDistributions(t *testing.T) {
	_, err := Distributions(Answer{Rows: []query.Row{row(map[string]string{"le": "x"}, 1)}})
	require.ErrorContains(t, err, `le="x": the bound of a bucket is a number or +Inf`)
	_, err = Distributions(Answer{Rows: []query.Row{row(map[string]string{"a": "x"}, 1)}})
	require.ErrorContains(t, err, "no histograms")
	got, err := Distributions(answers()["classic"])
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, []Bucket{{0, 0.1, 1}, {0.1, 1, 3}, {1, math.Inf(1), 2}}, got[0].Spreads[0].Buckets)
	require.Equal(t, []Bucket{{0, 0.1, 2}, {0.1, 1, 0}, {1, math.Inf(1), 5}}, got[0].Spreads[1].Buckets, "counts do not fall")
}
