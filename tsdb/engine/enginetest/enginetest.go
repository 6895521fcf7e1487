// Package enginetest is the contract that every engine keeps, as tests.
package enginetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

// Target is an engine under test.
type Target struct {
	// Open makes an empty engine that takes samples of any time from Start on, in any order, and closes it when the test ends.
	Open func(testing.TB) engine.Engine
	// Reopen closes an engine and opens it again with what it stored; nil where nothing outlives a Close.
	Reopen func(testing.TB, engine.Engine) engine.Engine
	// Start is the time of the first sample, in milliseconds.
	Start int64
}

// Run runs the whole contract.
func Run(t *testing.T, target Target) {
	for name, test := range map[string]func(*testing.T, Target){
		"selects what was appended":   testSelect,
		"keeps the bits of values":    testBits,
		"last write wins":             testLastWins,
		"histograms are copies":       testHistogramCopies,
		"hints of counter resets":     testHints,
		"hints are never wrong":       testHintsHold,
		"start times":                 testStarts,
		"iterators":                   testIterator,
		"labels":                      testLabels,
		"label names and values":      testLabelQueries,
		"matchers together":           testMatchers,
		"labels in the bounds":        testLabelBounds,
		"one series, many callers":    testSameRef,
		"refusals":                    testRefusals,
		"exemplars":                   testExemplars,
		"deletes":                     testDelete,
		"cardinality":                 testCardinality,
		"bounds":                      testBounds,
		"closed":                      testClosed,
		"cancelled":                   testCancelled,
		"an answer stays as it was":   testSnapshot,
		"readers beside writers":      testConcurrent,
		"as a map would do, randomly": testModel,
	} {
		t.Run(name, func(t *testing.T) { test(t, target) })
	}
}

// lset makes labels of pairs.
func lset(pairs ...string) labels.Labels { return labels.FromStrings(pairs...) }

// match makes «name="value"» of pairs.
func match(pairs ...string) []*labels.Matcher {
	var matchers []*labels.Matcher
	for i := 0; i < len(pairs); i += 2 {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, pairs[i], pairs[i+1]))
	}
	return matchers
}

// ref asks for a series.
func ref(t testing.TB, e engine.Engine, pairs ...string) engine.Ref {
	t.Helper()
	r, err := e.Ref(lset(pairs...))
	require.NoError(t, err)
	require.NotZero(t, r)
	return r
}

// store appends a batch of which nothing may be refused.
func store(t testing.TB, e engine.Engine, batch engine.Batch) {
	t.Helper()
	done, err := e.Append(t.Context(), batch)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
	require.Equal(t, len(batch.Samples)+len(batch.Histograms)+len(batch.Exemplars), done.Stored)
}

// floats is a batch of one series: pairs of time and value.
func floats(r engine.Ref, pairs ...float64) engine.Batch {
	var b engine.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Samples = append(b.Samples, engine.Sample{Ref: r, T: int64(pairs[i]), V: pairs[i+1]})
	}
	return b
}

// point is a sample as text, so that NaNs with the same bits are equal.
func point(t int64, v float64) string {
	if value.IsStaleNaN(v) {
		return fmt.Sprintf("%d stale", t)
	}
	return fmt.Sprintf("%d %v/%x", t, v, math.Float64bits(v))
}

// since adds to a sample since when it counts, where that is known.
func since(text string, st int64) string {
	if st == 0 {
		return text
	}
	return fmt.Sprintf("%s since %d", text, st)
}

func histogramPoint(t int64, h *histogram.Histogram) string { return fmt.Sprintf("%d int %s", t, h) }

func floatHistogramPoint(t int64, h *histogram.FloatHistogram) string {
	return fmt.Sprintf("%d float %s", t, h)
}

// drain reads the rest of an iterator.
func drain(t testing.TB, it chunkenc.Iterator) []string {
	t.Helper()
	var points []string
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		points = append(points, current(t, it, kind))
	}
	require.NoError(t, it.Err())
	return points
}

// current is the sample that an iterator stands at.
func current(t testing.TB, it chunkenc.Iterator, kind chunkenc.ValueType) string {
	t.Helper()
	var at int64
	var text string
	switch kind {
	case chunkenc.ValFloat:
		var v float64
		at, v = it.At()
		text = point(at, v)
	case chunkenc.ValHistogram:
		var h *histogram.Histogram
		at, h = it.AtHistogram(nil)
		text = histogramPoint(at, h)
	case chunkenc.ValFloatHistogram:
		var h *histogram.FloatHistogram
		at, h = it.AtFloatHistogram(nil)
		text = floatHistogramPoint(at, h)
	default:
		t.Fatalf("an iterator stands at a value of kind %v", kind)
	}
	require.Equal(t, at, it.AtT())
	return since(text, it.AtST())
}

// sel asks and returns the points by series.
func sel(t testing.TB, e engine.Engine, s engine.Selection) map[string][]string {
	t.Helper()
	answer := map[string][]string{}
	for _, found := range list(t, e, s) {
		_, twice := answer[found.labels]
		require.False(t, twice, "series %s is twice in the answer", found.labels)
		answer[found.labels] = found.points
	}
	return answer
}

type listed struct {
	labels string
	points []string
}

// list asks and returns series and points as they come.
func list(t testing.TB, e engine.Engine, s engine.Selection) []listed {
	t.Helper()
	set, err := e.Select(t.Context(), s)
	require.NoError(t, err)
	defer func() { require.NoError(t, set.Close()) }()
	var all []listed
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if points := drain(t, it); len(points) > 0 {
			all = append(all, listed{set.At().Labels().String(), points})
		}
	}
	require.NoError(t, set.Err())
	return all
}

// every selects all samples of the series that match.
func every(matchers ...*labels.Matcher) engine.Selection {
	return engine.Selection{Min: math.MinInt64, Max: math.MaxInt64, Matchers: matchers}
}

func testExemplars(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	a, b := ref(t, e, "__name__", "a"), ref(t, e, "__name__", "b")
	one := func(offset int64, v float64) exemplar.Exemplar {
		return exemplar.Exemplar{Labels: lset("trace", fmt.Sprint(v)), Value: v, Ts: at + offset, HasTs: true}
	}
	store(t, e, floats(a, float64(at), 1, float64(at)+1000, 2))
	store(t, e, engine.Batch{Exemplars: []engine.ExemplarSample{{Ref: a, Exemplar: one(10, 1)}, {Ref: a, Exemplar: one(20, 2)}, {Ref: b, Exemplar: one(5, 3)}}})
	found, err := e.Exemplars(t.Context(), at, at+15)
	require.NoError(t, err)
	assert.Equal(t, []engine.SeriesExemplars{
		{Labels: lset("__name__", "a"), Exemplars: []exemplar.Exemplar{one(10, 1)}},
		{Labels: lset("__name__", "b"), Exemplars: []exemplar.Exemplar{one(5, 3)}},
	}, found)
	store(t, e, engine.Batch{Exemplars: []engine.ExemplarSample{{Ref: a, Exemplar: one(40, 5)}}})
	found, err = e.Exemplars(t.Context(), at, at+100, match("__name__", "a")...)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, []exemplar.Exemplar{one(10, 1), one(20, 2), one(40, 5)}, found[0].Exemplars)
	found, err = e.Exemplars(t.Context(), at, at+100, match("__name__", "c")...)
	require.NoError(t, err)
	assert.Empty(t, found)
}
