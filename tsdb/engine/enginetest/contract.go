package enginetest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

func testSelect(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	const day = 24 * 3600 * 1000
	b, a := ref(t, e, "__name__", "b"), ref(t, e, "__name__", "a")
	for i := int64(0); i < 24*60; i++ { // over many windows or blocks
		store(t, e, engine.Batch{Samples: []engine.Sample{{Ref: b, T: at + i*60_000, V: float64(i)}, {Ref: a, T: at + i*60_000 + 1, V: -float64(i)}}})
	}
	all := sel(t, e, engine.Selection{Min: at, Max: at + day, Matchers: match("__name__", "b")})
	require.Len(t, all, 1)
	require.Len(t, all[`{__name__="b"}`], 24*60)
	assert.Equal(t, point(at, 0), all[`{__name__="b"}`][0])

	// Both bounds are inclusive.
	some := sel(t, e, engine.Selection{Min: at + 60_000, Max: at + 120_000, Matchers: match("__name__", "b")})
	assert.Equal(t, map[string][]string{`{__name__="b"}`: {point(at+60_000, 1), point(at+120_000, 2)}}, some)

	// A series without a sample in the bounds is not in the answer.
	assert.Equal(t, map[string][]string{`{__name__="a"}`: {point(at+60_001, -1)}}, sel(t, e, engine.Selection{Min: at + 60_001, Max: at + 60_001}))
	assert.Empty(t, sel(t, e, engine.Selection{Min: at + 2, Max: at + 50}))
	assert.Empty(t, sel(t, e, engine.Selection{Min: at + 50, Max: at + 2}))
	assert.Empty(t, sel(t, e, every(match("__name__", "c")...)))

	sorted := list(t, e, engine.Selection{Min: at, Max: at + 1, Sorted: true})
	require.Len(t, sorted, 2)
	assert.Equal(t, `{__name__="a"}`, sorted[0].labels)
	assert.Len(t, list(t, e, engine.Selection{Min: at, Max: at + day, Limit: 1}), 1)
}

func testBits(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	r := ref(t, e, "__name__", "a")
	var want []string
	var b engine.Batch
	for i, v := range []float64{math.Float64frombits(value.StaleNaN), math.Float64frombits(value.NormalNaN), math.NaN(), math.Inf(1), math.Inf(-1),
		math.Copysign(0, -1), 0, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Float64frombits(0xfff8dead00000001)} {
		b.Samples = append(b.Samples, engine.Sample{Ref: r, T: at + int64(i), V: v})
		want = append(want, point(at+int64(i), v))
	}
	store(t, e, b)
	if target.Reopen != nil {
		e = target.Reopen(t, e)
	}
	assert.Equal(t, map[string][]string{`{__name__="a"}`: want}, sel(t, e, every()))
}

func testLastWins(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	r := ref(t, e, "__name__", "a")
	f := float64(at)
	store(t, e, floats(r, f+10, 1, f+20, 2, f+10, 3)) // within a batch
	store(t, e, floats(r, f+20, 4, f+5, 5, f+5, 6))   // across batches, out of order
	want := []string{point(at+5, 6), point(at+10, 3), point(at+20, 4)}
	assert.Equal(t, want, sel(t, e, every())[`{__name__="a"}`])

	h := smallHistogram(3) // a histogram in place of a float, and back
	store(t, e, engine.Batch{Histograms: []engine.HistogramSample{{Ref: r, T: at + 10, Int: h}, {Ref: r, T: at + 20, Int: h}}})
	store(t, e, floats(r, f+20, 7))
	want = []string{point(at+5, 6), histogramPoint(at+10, h), point(at+20, 7)}
	assert.Equal(t, want, sel(t, e, every())[`{__name__="a"}`])
	if target.Reopen != nil {
		e = target.Reopen(t, e)
		assert.Equal(t, want, sel(t, e, every())[`{__name__="a"}`])
	}
}

func smallHistogram(n uint64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.001, ZeroCount: 1, Count: 3*n + 1, Sum: 10 * float64(n), CounterResetHint: histogram.GaugeType,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{int64(n), int64(n)},
	}
}

func testHistogramCopies(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	r := ref(t, e, "__name__", "a")
	whole, float := smallHistogram(1), smallHistogram(2).ToFloat(nil)
	store(t, e, engine.Batch{Histograms: []engine.HistogramSample{{Ref: r, T: at, Int: whole}, {Ref: r, T: at + 1, Float: float}}})
	want := []string{histogramPoint(at, smallHistogram(1)), floatHistogramPoint(at+1, smallHistogram(2).ToFloat(nil))}
	whole.PositiveBuckets[0], float.PositiveBuckets[0] = 99, 99 // the writer's own
	set, err := e.Select(t.Context(), every())
	require.NoError(t, err)
	require.True(t, set.Next())
	it := set.At().Iterator(nil)
	require.Equal(t, chunkenc.ValHistogram, it.Next())
	_, h := it.AtHistogram(nil)
	h.PositiveBuckets[0] = 77 // the reader's own
	_, fh := it.AtFloatHistogram(nil)
	fh.PositiveBuckets[0] = 77
	require.Equal(t, chunkenc.ValFloatHistogram, it.Next())
	reused := &histogram.FloatHistogram{PositiveBuckets: make([]float64, 9)}
	_, fh = it.AtFloatHistogram(reused)
	fh.PositiveBuckets[0] = 77
	require.NoError(t, set.Close())
	assert.Equal(t, want, sel(t, e, every())[`{__name__="a"}`])
}

// testHints writes histograms that count on, one that starts again, and a gauge.
func testHints(t *testing.T, target Target) {
	const unknown, gauge, reset, goesOn = histogram.UnknownCounterReset, histogram.GaugeType, histogram.CounterReset, histogram.NotCounterReset
	e, at := target.Open(t), target.Start
	whole, float := ref(t, e, "__name__", "whole"), ref(t, e, "__name__", "float")
	var b engine.Batch
	for i, n := range []uint64{1, 2, 3, 1, 2, 3} {
		h := smallHistogram(n)
		if h.CounterResetHint = unknown; i == 1 {
			h.CounterResetHint = reset // what a writer claims is compared, not believed
		} else if i == 5 {
			h.CounterResetHint = gauge
		}
		b.Histograms = append(b.Histograms,
			engine.HistogramSample{Ref: whole, T: at + int64(i), Int: h}, engine.HistogramSample{Ref: float, T: at + int64(i), Float: h.ToFloat(nil)})
	}
	store(t, e, b)
	for _, name := range []string{"whole", "float"} {
		set, err := e.Select(t.Context(), engine.Selection{Min: at + 1, Max: at + 10, Matchers: match("__name__", name)})
		require.NoError(t, err)
		require.True(t, set.Next())
		var got []histogram.CounterResetHint
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			_, h := it.AtFloatHistogram(nil)
			got = append(got, h.CounterResetHint)
		}
		require.NoError(t, set.Close())
		require.Len(t, got, 5)
		// That nothing is known is never wrong.
		for i, want := range []histogram.CounterResetHint{goesOn, goesOn, unknown, goesOn, gauge} {
			if got[i] != unknown || want == gauge {
				assert.Equal(t, want, got[i], "%s %d", name, i)
			}
		}
	}
}

func testStarts(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	r := ref(t, e, "__name__", "a")
	store(t, e, engine.Batch{
		Samples:    []engine.Sample{{Ref: r, T: at + 10, V: 1}, {Ref: r, T: at + 20, V: 2}, {Ref: r, T: at + 30, V: 3}},
		Starts:     []engine.Start{{Index: 1, ST: at + 15}},
		Histograms: []engine.HistogramSample{{Ref: r, T: at + 40, ST: at + 35, Int: smallHistogram(1)}},
	})
	if target.Reopen != nil {
		e = target.Reopen(t, e)
	}
	set, err := e.Select(t.Context(), every())
	require.NoError(t, err)
	defer set.Close()
	require.True(t, set.Next())
	var got []int64
	for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
		got = append(got, it.AtST())
	}
	assert.Equal(t, []int64{0, at + 15, 0, at + 35}, got)
}

func testIterator(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	r := ref(t, e, "__name__", "a")
	for i := int64(1); i <= 500; i++ {
		store(t, e, engine.Batch{Samples: []engine.Sample{{Ref: r, T: at + i*60_000, V: float64(i)}}})
	}
	set, err := e.Select(t.Context(), every())
	require.NoError(t, err)
	defer set.Close()
	require.True(t, set.Next())
	it := set.At().Iterator(nil)
	seek := func(offset int64) string {
		kind := it.Seek(at + offset)
		if kind == chunkenc.ValNone {
			return "end"
		}
		return current(t, it, kind)
	}
	assert.Equal(t, point(at+60_000, 1), seek(-5), "before all")
	assert.Equal(t, point(at+60_000, 1), seek(60_000), "where it stands")
	assert.Equal(t, point(at+180_000, 3), seek(120_001), "between two")
	assert.Equal(t, point(at+180_000, 3), seek(0), "never back")
	require.Equal(t, chunkenc.ValFloat, it.Next())
	assert.Equal(t, point(at+240_000, 4), current(t, it, chunkenc.ValFloat))
	assert.Equal(t, point(at+400*60_000, 400), seek(400*60_000))
	assert.Len(t, drain(t, it), 100)
	assert.Equal(t, "end", seek(0))
	assert.Equal(t, chunkenc.ValNone, it.Next())
	it = set.At().Iterator(it) // used again
	assert.Equal(t, "end", seek(501*60_000))
	assert.Len(t, drain(t, set.At().Iterator(it)), 500)
}

func testRefusals(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	a := ref(t, e, "__name__", "a")
	bad := smallHistogram(1)
	bad.PositiveBuckets = nil
	done, err := e.Append(t.Context(), engine.Batch{
		Samples:    []engine.Sample{{Ref: a, T: at, V: 1}, {Ref: 1 << 40, T: at, V: 1}, {T: at, V: 1}, {Ref: a, T: at + 1, V: 2}},
		Histograms: []engine.HistogramSample{{Ref: a, T: at + 2, Int: bad}, {Ref: a, T: at + 3}, {Ref: a, T: at + 4, Int: smallHistogram(1)}},
	})
	require.NoError(t, err)
	assert.Equal(t, 3, done.Stored)
	var got []string
	for _, r := range done.Refused {
		got = append(got, fmt.Sprint(r.Reason, " ", r.Index))
		assert.NotEmpty(t, r.Detail)
	}
	assert.ElementsMatch(t, []string{"unknown_series 1", "unknown_series 2", "bad_histogram 0", "bad_histogram 1"}, got)
	assert.Len(t, sel(t, e, every())[`{__name__="a"}`], 3)

	for name, l := range map[string]labels.Labels{"none": labels.EmptyLabels(), "twice": labels.New(labels.Label{Name: "a", Value: "1"}, labels.Label{Name: "a", Value: "2"})} {
		_, err = e.Ref(l)
		var refusal *engine.Refusal
		require.ErrorAs(t, err, &refusal, name)
		assert.Equal(t, engine.ReasonBadLabels, refusal.Reason, name)
		assert.Equal(t, -1, refusal.Index, name)
	}
}

func testDelete(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	f := float64(at)
	a, b := ref(t, e, "__name__", "a"), ref(t, e, "__name__", "b")
	store(t, e, floats(a, f, 1, f+10, 2, f+20, 3, f+30, 4, f+5, 5))
	store(t, e, floats(b, f+10, 1))
	require.NoError(t, e.Delete(t.Context(), at+5, at+20, match("__name__", "a")...))
	want := map[string][]string{`{__name__="a"}`: {point(at, 1), point(at+30, 4)}, `{__name__="b"}`: {point(at+10, 1)}}
	assert.Equal(t, want, sel(t, e, every()))
	store(t, e, floats(a, f+10, 6)) // what is written after a deletion is there
	want[`{__name__="a"}`] = []string{point(at, 1), point(at+10, 6), point(at+30, 4)}
	assert.Equal(t, want, sel(t, e, every()))
	if target.Reopen != nil {
		e = target.Reopen(t, e)
		assert.Equal(t, want, sel(t, e, every()))
	}
	require.NoError(t, e.Delete(t.Context(), math.MinInt64, math.MaxInt64, match("__name__", "a")...))
	delete(want, `{__name__="a"}`)
	assert.Equal(t, want, sel(t, e, every()))
	names, err := e.LabelValues(t.Context(), "__name__", at, at+100, 0)
	require.NoError(t, err)
	assert.Equal(t, []string{"b"}, names)
}

func testCardinality(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	for i := range 10 {
		store(t, e, floats(ref(t, e, "__name__", fmt.Sprint("m", i%3), "host", fmt.Sprintf("h%02d", i)), float64(at), 1))
	}
	c := e.Cardinality(2)
	assert.Equal(t, uint64(10), c.Series)
	assert.Equal(t, uint64(2), c.Labels)
	assert.Equal(t, uint64(13), c.Values)
	assert.InDelta(t, 10, c.Churned, 1)
	assert.Equal(t, []engine.Count{{Name: "m0", Count: 4}, {Name: "m1", Count: 3}}, c.ByMetric)
	assert.Equal(t, []engine.Count{{Name: "host", Count: 10}, {Name: "__name__", Count: 3}}, c.ByLabel)
	assert.Equal(t, []engine.Count{{Name: "__name__=m0", Count: 4}, {Name: "__name__=m1", Count: 3}}, c.ByPair)
	assert.Equal(t, []engine.Count{{Name: "host", Count: 30}, {Name: "__name__", Count: 6}}, c.BytesByLabel)
}

func testBounds(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	_, _, ok := e.Bounds()
	assert.False(t, ok)
	store(t, e, floats(ref(t, e, "__name__", "a"), float64(at)+10, 1, float64(at), 1, float64(at)+5, 1))
	minT, maxT, ok := e.Bounds()
	assert.True(t, ok)
	assert.Equal(t, [2]int64{at, at + 10}, [2]int64{minT, maxT})
}

func testClosed(t *testing.T, target Target) {
	e := target.Open(t)
	a := ref(t, e, "__name__", "a")
	require.NoError(t, e.Close())
	_, err := e.Append(t.Context(), floats(a, 1, 1))
	require.ErrorIs(t, err, engine.ErrClosed)
	_, err = e.Ref(lset("__name__", "b"))
	require.ErrorIs(t, err, engine.ErrClosed)
	_, err = e.Select(t.Context(), every())
	require.ErrorIs(t, err, engine.ErrClosed)
	require.ErrorIs(t, e.Delete(t.Context(), 0, 1), engine.ErrClosed)
}

func testCancelled(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	a := ref(t, e, "__name__", "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Append(ctx, floats(a, float64(at), 1))
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.Select(ctx, every())
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, sel(t, e, every()))
}

// testSnapshot writes, overwrites and deletes between a question and the reading of its answer.
func testSnapshot(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	f := float64(at)
	a := ref(t, e, "__name__", "a")
	store(t, e, floats(a, f+10, 1, f+20, 2))
	set, err := e.Select(t.Context(), every())
	require.NoError(t, err)
	defer set.Close()
	for i := range 300 {
		store(t, e, floats(a, f+30+float64(i), 3, f+float64(i%9), 4))
	}
	require.True(t, set.Next())
	got := drain(t, set.At().Iterator(nil))
	assert.Subset(t, got, []string{point(at+10, 1), point(at+20, 2)}, "what was there stays")
}

// testConcurrent has readers look for what writers were told is stored.
func testConcurrent(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	const writers, rounds = 4, 300
	var stored [writers]atomic.Int64
	var all sync.WaitGroup
	for w := range writers {
		r := ref(t, e, "__name__", "a", "w", fmt.Sprint(w))
		all.Go(func() {
			for i := range int64(rounds) {
				done, err := e.Append(context.Background(), engine.Batch{Samples: []engine.Sample{{Ref: r, T: at + i*15_000, V: float64(i)}}})
				if !assert.NoError(t, err) || !assert.Equal(t, 1, done.Stored) {
					return
				}
				stored[w].Store(i + 1)
			}
		})
		all.Go(func() {
			for n := int64(0); n < rounds; {
				n = stored[w].Load()
				set, err := e.Select(context.Background(), every(match("w", fmt.Sprint(w))...))
				if !assert.NoError(t, err) {
					return
				}
				var read int64
				for set.Next() {
					for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; read++ {
						if at, v := it.At(); float64(read) != v {
							t.Errorf("sample %d of writer %d is %v at %d", read, w, v, at)
						}
					}
				}
				assert.NoError(t, set.Close())
				if !assert.GreaterOrEqual(t, read, n, "a reader does not see what was stored") {
					return
				}
			}
		})
	}
	all.Wait()
}
