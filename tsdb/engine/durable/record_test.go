package durable

import (
	"io"
	"log/slog"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/index"
)

// FuzzRecord replays records of any bytes: no panic, and no memory beyond what the bytes justify.
func FuzzRecord(f *testing.F) {
	h := &histogram.Histogram{Schema: 1, Count: 2, Sum: 3, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{2}}
	define := []byte{sectionSeries, 1, 7}
	define = appendLabels(define, labels.FromStrings("__name__", "a"))
	samples := appendSamples(define, []loggedSample{{7, 1000, 1.5}, {7, 900, 2}})
	f.Add(append(slices.Clone(define), sectionSamples, 1, 14, 200, 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f))
	samples = appendHistograms(samples, []loggedHistogram{{7, histogramPoint{t: 1100, whole: h}}, {7, histogramPoint{t: 1200, float: h.ToFloat(nil)}}})
	samples = appendExemplars(samples, []loggedExemplar{{7, exemplar.Exemplar{Labels: labels.FromStrings("trace", "1"), Value: 1, Ts: 1000}}})
	f.Add(samples)
	f.Add(appendDeletion(samples, []uint32{7}, 0, 1000))
	f.Fuzz(func(t *testing.T, record []byte) {
		options := Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Exemplars: 10}.withDefaults()
		s := &Store{options: options, index: index.New(index.Limits{}, options.Clock), head: newHead(options.Span.Milliseconds()), exemplars: newExemplarRing(10)}
		defer s.head.close()
		r := replayer{store: s}
		require.NoError(t, r.record(record))
	})
}

// TestPackedSamples writes and reads batches of all shapes.
func TestPackedSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.OneOf(rapid.Map(rapid.IntRange(-1e6, 1e6), func(n int) float64 { return float64(n) }), rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(value.StaleNaN), math.Inf(1), math.SmallestNonzeroFloat64}))
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) loggedSample {
			return loggedSample{rapid.OneOf(rapid.Uint32Max(3), rapid.Uint32()).Draw(t, "id"), rapid.OneOf(rapid.Int64Range(0, 2), rapid.Int64()).Draw(t, "time"), values.Draw(t, "value")}
		}), 1, 40).Draw(t, "samples")
		section := appendSamples(nil, want)
		r := newRecordReader(append(slices.Clone(section[1:]), "next"...))
		got := r.packed(nil)
		require.NoError(t, r.Err)
		require.Equal(t, "next", string(r.Src))
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, [3]uint64{uint64(want[i].id), uint64(want[i].t), math.Float64bits(want[i].v)}, [3]uint64{uint64(got[i].id), uint64(got[i].t), math.Float64bits(got[i].v)})
		}
		for n := range section[1:] {
			cut := newRecordReader(section[1 : 1+n])
			cut.packed(nil)
			require.Error(t, cut.Err, "%d bytes of %d", n, len(section))
		}
	})
}

// TestOldSamples reads the section that earlier versions wrote.
func TestOldSamples(t *testing.T) {
	r := newRecordReader([]byte{2, 14, 2, 200, 1, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x40})
	require.Equal(t, []loggedSample{{7, 100, 1.5}, {8, 100, 2}}, r.samples(nil))
	require.NoError(t, r.Err)
	require.Empty(t, r.Src)
}

// TestReplayedIDsAreNotMixedUp: an id that a segment gives to another series, which cannot be made, means none.
func TestReplayedIDsAreNotMixedUp(t *testing.T) {
	options := Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}.withDefaults()
	s := &Store{options: options, index: index.New(index.Limits{Series: 1}, options.Clock), head: newHead(options.Span.Milliseconds())}
	defer s.head.close()
	r := replayer{store: s}
	for _, name := range []string{"a", "b"} {
		record := appendLabels([]byte{sectionSeries, 1, 7}, labels.FromStrings("__name__", name))
		require.NoError(t, r.record(appendSamples(record, []loggedSample{{7, 1000, 1}})))
	}
	require.Equal(t, 1, r.orphans)
}
