package rollup

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
)

var plainColumns = []engine.Column{engine.ColumnLast, engine.ColumnCount, engine.ColumnSum, engine.ColumnMin, engine.ColumnMax}

// raws is an iterator of raw samples, histograms among them.
type raws struct {
	Iterator
	whole map[int64]*histogram.Histogram
	float map[int64]*histogram.FloatHistogram
}

func newRaws(ss []sample) *raws {
	r := &raws{}
	r.ts, r.vs = split(ss)
	r.at = -1
	return r
}

func (r *raws) kindHere(kind chunkenc.ValueType) chunkenc.ValueType {
	if kind == chunkenc.ValFloat && r.whole[r.AtT()] != nil {
		return chunkenc.ValHistogram
	}
	if kind == chunkenc.ValFloat && r.float[r.AtT()] != nil {
		return chunkenc.ValFloatHistogram
	}
	return kind
}

func (r *raws) Next() chunkenc.ValueType            { return r.kindHere(r.Iterator.Next()) }
func (r *raws) Seek(t timestamp) chunkenc.ValueType { return r.kindHere(r.Iterator.Seek(t)) }

func (r *raws) AtHistogram(into *histogram.Histogram) (int64, *histogram.Histogram) {
	if into == nil {
		into = new(histogram.Histogram)
	}
	r.whole[r.AtT()].CopyTo(into)
	return r.AtT(), into
}

func (r *raws) AtFloatHistogram(into *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	if into == nil {
		into = new(histogram.FloatHistogram)
	}
	r.float[r.AtT()].CopyTo(into)
	return r.AtT(), into
}

func drain(it chunkenc.Iterator) (ss []sample) {
	for it.Next() != chunkenc.ValNone {
		t, v := it.At()
		ss = append(ss, sample{t, v})
	}
	return ss
}

// requireEqual compares samples, NaNs among them.
func requireEqual(t require.TestingT, want, got []sample) {
	wantT, wantV := split(want)
	gotT, gotV := split(got)
	requireSame(t, chunk.Windows{End: wantT, Last: wantV}, chunk.Windows{End: gotT, Last: gotV})
}

func TestPlainColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ss := someSamples(t, 5*minute, math.NaN(), math.Inf(1))
		w := naive(ss, 5*minute)
		var it chunkenc.Iterator
		for _, c := range plainColumns {
			column := map[engine.Column][]float64{
				engine.ColumnLast: w.Last, engine.ColumnCount: w.Count, engine.ColumnSum: w.Sum, engine.ColumnMin: w.Min, engine.ColumnMax: w.Max,
			}[c]
			var want []sample
			for i, end := range w.End {
				want = append(want, sample{end, column[i]})
			}
			it = NewIterator(&w, c, it)
			requireEqual(t, want, drain(it))
			requireEqual(t, want, drain(Over(newRaws(ss), 5*minute, c)))
		}
	})
}

// The difference of any two values of a counter is the increase of the raw samples between their times.
func TestCounter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, ss []sample // with stale markers, and without
		for _, s := range someSamples(t, 5*minute) {
			if math.IsNaN(s.v) {
				all = append(all, s)
				continue
			}
			s.v = math.Abs(s.v)
			all, ss = append(all, s), append(ss, s)
		}
		ts, vs := split(all)
		window := rapid.SampledFrom([]int64{5 * minute, 60 * minute}).Draw(t, "window")
		var fine, w chunk.Windows
		require.NoError(t, Append(&fine, 5*minute, ts, vs))
		require.NoError(t, Merge(&w, window, &fine))
		got := drain(NewIterator(&w, engine.ColumnCounter, nil))
		if len(ss) == 0 {
			require.Empty(t, got)
			return
		}
		require.Equal(t, ss[0], got[0])
		from := 0
		for i, p := range got[1:] {
			require.Greater(t, p.t, got[i].t)
			require.GreaterOrEqual(t, p.v, got[i].v)
			to := from + 1
			for ss[to].t != p.t { // it is the time of a raw sample
				to++
			}
			require.Equal(t, increase(ss[from:to+1]), p.v-got[i].v, "from %d to %d", got[i].t, p.t)
			from = to
		}
		require.Equal(t, len(ss)-1, from, "the last raw sample is shown")
		requireEqual(t, got, drain(Over(newRaws(all), window, engine.ColumnCounter)))
	})
}

// A counter with NaNs, infinities and values below zero still never falls, and is never a NaN.
func TestCounterOfNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ss := someSamples(t, 5*minute, math.NaN(), -5, math.Inf(1), math.Inf(-1))
		w := naive(ss, 5*minute)
		var made chunk.Windows
		ts, vs := split(ss)
		require.NoError(t, Append(&made, 5*minute, ts, vs))
		w.Increase = made.Increase
		last := math.Inf(-1)
		for _, s := range drain(NewIterator(&w, engine.ColumnCounter, nil)) {
			require.GreaterOrEqual(t, s.v, last)
			require.Less(t, s.v, 1e9)
			last = s.v
		}
	})
}

func TestSeek(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ss := someSamples(t, 5*minute)
		var w chunk.Windows
		ts, vs := split(ss)
		require.NoError(t, Append(&w, 5*minute, ts, vs))
		for _, c := range append(plainColumns, engine.ColumnCounter) {
			want := drain(NewIterator(&w, c, nil))
			for _, it := range []chunkenc.Iterator{NewIterator(&w, c, nil), Over(newRaws(ss), 5*minute, c)} {
				at := 0
				begun := false
				for range rapid.IntRange(1, 8).Draw(t, "moves") {
					var kind chunkenc.ValueType
					if rapid.Bool().Draw(t, "next") {
						if kind = it.Next(); begun {
							at++
						}
					} else {
						to := rapid.Int64Range(-4*5*minute, 40*5*minute).Draw(t, "to")
						kind = it.Seek(to)
						for at < len(want) && want[at].t < to {
							at++
						}
					}
					begun = true
					if at >= len(want) {
						require.Equal(t, chunkenc.ValNone, kind)
						at = len(want)
						continue
					}
					require.Equal(t, chunkenc.ValFloat, kind)
					gotT, gotV := it.At()
					got := sample{gotT, gotV}
					require.Equal(t, want[at], got)
					require.Equal(t, want[at].t, it.AtT())
				}
			}
		}
	})
}

func TestBetween(t *testing.T) {
	w := chunk.Windows{End: []int64{100, 200, 300}, Sum: []float64{1, 2, 3}}
	require.Equal(t, chunk.Windows{End: []int64{200}, Sum: []float64{2}}, Between(&w, 101, 299))
	require.Equal(t, w, Between(&w, 100, 300))
	require.Empty(t, Between(&w, 301, 400).End)
	require.Empty(t, Between(&w, 250, 150).End)
}

func TestNeeds(t *testing.T) {
	var whole, some chunk.Windows
	require.NoError(t, Append(&whole, 100, []int64{50, 99, 150, 199}, []float64{5, 9, 2, 3}))
	src := chunk.AppendWindows(nil, &whole)
	for _, c := range append(plainColumns, engine.ColumnCounter) {
		require.NoError(t, chunk.DecodeWindows(&some, src, 2, Needs(c)))
		require.Equal(t, drain(NewIterator(&whole, c, nil)), drain(NewIterator(&some, c, nil)), "column %d", c)
	}
}

func TestOverHistograms(t *testing.T) {
	hist := func(count uint64, sum float64) *histogram.Histogram {
		return &histogram.Histogram{Count: count, Sum: sum, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(count)}}
	}
	raw := newRaws([]sample{{10, 1}, {20, 0}, {110, 0}, {120, 0}, {150, 7}, {160, 9}, {210, 0}, {310, 0}, {320, 0}, {410, stale}})
	raw.whole = map[int64]*histogram.Histogram{20: hist(2, 1), 110: hist(3, 1), 210: hist(9, stale), 310: hist(5, 5), 320: hist(6, stale)}
	raw.float = map[int64]*histogram.FloatHistogram{120: {Count: 4, Sum: 4}}
	it := Over(raw, 100, engine.ColumnSum)
	require.Equal(t, chunkenc.ValHistogram, it.Next())
	at, h := it.AtHistogram(nil)
	require.Equal(t, int64(100), at)
	require.Equal(t, hist(2, 1), h)
	h.PositiveBuckets[0] = 99 // a copy
	_, f := it.AtFloatHistogram(nil)
	require.Equal(t, hist(2, 1).ToFloat(nil), f)
	require.Equal(t, chunkenc.ValFloat, it.Next())
	at, v := it.At()
	require.Equal(t, int64(200), at)
	require.Equal(t, 16.0, v)
	require.Equal(t, chunkenc.ValHistogram, it.Next())
	at, h = it.AtHistogram(h)
	require.Equal(t, int64(400), at)
	require.Equal(t, hist(5, 5), h)
	require.Equal(t, chunkenc.ValNone, it.Next())
	require.NoError(t, it.Err())

	raw.at, raw.ts, raw.vs = -1, []int64{120}, []float64{0}
	it = Over(raw, 100, engine.ColumnCounter)
	require.Equal(t, chunkenc.ValFloatHistogram, it.Seek(130))
	at, f = it.AtFloatHistogram(nil)
	require.Equal(t, int64(200), at)
	require.Equal(t, 4.0, f.Count)
}

// TestFloatsGivesWhatNextDoes reads columns in arrays, from random times on.
func TestFloatsGivesWhatNextDoes(t *testing.T) {
	w := chunk.Windows{End: []int64{10, 20, 30, 40}, Last: []float64{1, 2, 3, 4}}
	for from := int64(0); from < 50; from += 5 {
		arrays, walk := NewIterator(&w, engine.ColumnLast, nil), NewIterator(&w, engine.ColumnLast, nil)
		times, values, starts, kind := arrays.Floats(from)
		require.Empty(t, starts)
		require.Equal(t, walk.Seek(from), kind)
		for i := range times {
			at, v := walk.At()
			require.Equal(t, []any{at, v}, []any{times[i], values[i]})
			walk.Next()
		}
		require.Equal(t, chunkenc.ValNone, walk.Next())
		_, _, _, kind = arrays.Floats(from)
		require.Equal(t, chunkenc.ValNone, kind, "all were given")
	}
}
