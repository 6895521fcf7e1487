package durable

import (
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/index"
)

// FuzzRecord replays records of any bytes: no panic, and no memory beyond what the bytes justify.
func FuzzRecord(f *testing.F) {
	h := &histogram.Histogram{Schema: 1, Count: 2, Sum: 3, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{2}}
	define := []byte{sectionSeries, 1, 7}
	define = appendLabels(define, labels.FromStrings("__name__", "a"))
	samples := appendSamples(define, []loggedSample{{7, 1000, 1.5}, {7, 900, 2}})
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
