package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/transfer"
)

// openAny is a store that takes samples of any age.
func openAny(t *testing.T) *durable.Store {
	s, err := durable.Open(t.TempDir(), durable.Options{
		Maintain: -1, Sync: time.Hour, AnyAge: true, Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// someHistogram is one of random buckets, a gauge or a counter.
func someHistogram(rng *rand.Rand) *histogram.Histogram {
	h := &histogram.Histogram{
		Schema: int32(rng.IntN(3)), ZeroThreshold: 0.01, ZeroCount: rng.Uint64N(5), Sum: rng.Float64() * 100,
		PositiveSpans:   []histogram.Span{{Offset: int32(rng.IntN(4)), Length: 2}, {Offset: 1 + int32(rng.IntN(3)), Length: 1}},
		PositiveBuckets: []int64{rng.Int64N(9), rng.Int64N(9), rng.Int64N(9)},
	}
	if rng.IntN(3) == 0 {
		h.CounterResetHint = histogram.GaugeType
	}
	b := h.PositiveBuckets
	h.Count = h.ZeroCount + uint64(3*b[0]+2*b[1]+b[2])
	if rng.IntN(15) == 0 {
		return &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN), CounterResetHint: h.CounterResetHint}
	}
	return h
}

// fillRandom writes some days of samples of all kinds, some of which are deleted again.
func fillRandom(t *testing.T, s *durable.Store, rng *rand.Rand) {
	var batch engine.Batch
	for i := range 6 {
		ref, err := s.Ref(labels.FromStrings("__name__", fmt.Sprint("m", i%3), "i", fmt.Sprint(i), "ä\"\n", strings.Repeat("x", i)))
		require.NoError(t, err)
		at := now.UnixMilli() - rng.Int64N(5*24*3_600_000)
		for range rng.IntN(600) {
			at += 1 + rng.Int64N([]int64{2, 15_000, 3_600_000}[rng.IntN(3)])
			if at >= now.UnixMilli() {
				break
			}
			switch {
			case i < 3 || i == 5 && rng.IntN(2) == 0:
				v := []float64{math.Float64frombits(value.StaleNaN), math.NaN(), math.Float64frombits(rng.Uint64()), rng.NormFloat64(), 7}[rng.IntN(5)]
				batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at, V: v})
			case rng.IntN(2) == 0:
				batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: at, Int: someHistogram(rng)})
			default:
				batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: at, Float: someHistogram(rng).ToFloat(nil)})
			}
		}
	}
	done, err := s.Append(t.Context(), batch)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
	from := now.UnixMilli() - rng.Int64N(5*24*3_600_000)
	require.NoError(t, s.Delete(t.Context(), from, from+3_600_000))
}

// normal are the contents without series that have no sample.
func normal(all map[string][]string) map[string][]string {
	for name, samples := range all {
		if len(samples) == 0 {
			delete(all, name)
		}
	}
	return all
}

// TestBlocksRoundTrip exports random histories as blocks of Prometheus and imports them elsewhere: all is the same, stale
// markers, the bits of floats and histograms of both kinds too.
func TestBlocksRoundTrip(t *testing.T) {
	first := uint64(time.Now().UnixNano())
	for i := range uint64(6) {
		seed := first + i
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			s, rng := openAny(t), rand.New(rand.NewPCG(seed, 0))
			fillRandom(t, s, rng)
			if rng.IntN(2) == 0 {
				require.NoError(t, s.Maintain(t.Context()))
			}
			dir := filepath.Join(t.TempDir(), "blocks")
			exported, err := transfer.ExportBlocks(t.Context(), s, dir, transfer.ExportOptions{MaxTime: math.MaxInt64})
			require.NoError(t, err)
			require.Empty(t, exported.LeftOut)
			again := openAny(t)
			var samples int64
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, int(exported.Blocks))
			if len(entries) > 0 {
				blocks, err := transfer.PrometheusBlocks(dir)
				require.NoError(t, err)
				for _, b := range blocks {
					report, err := transfer.PrometheusBlock(t.Context(), b, again, options(t))
					require.NoError(t, err)
					samples += report.Samples
				}
			}
			require.Equal(t, exported.Samples, samples)
			require.Equal(t, normal(content(t, s)), content(t, again))
			require.Len(t, content(t, again), int(exported.Series))
		})
	}
}

// TestExportBlocksChooses: bounds of time and selectors hold, what is left out is counted, and other blocks are safe.
func TestExportBlocksChooses(t *testing.T) {
	s := openAny(t)
	at := now.UnixMilli()
	var batch engine.Batch
	for _, name := range []string{"a", "b", "c"} {
		ref, err := s.Ref(labels.FromStrings("__name__", name))
		require.NoError(t, err)
		batch.Starts = append(batch.Starts, engine.Start{Index: len(batch.Samples), ST: at - 5})
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at, V: 1}, engine.Sample{Ref: ref, T: at + 1, V: 2})
		batch.Exemplars = append(batch.Exemplars, engine.ExemplarSample{Ref: ref, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace", "1"), Value: 1, Ts: at, HasTs: true}})
	}
	_, err := s.Append(t.Context(), batch)
	require.NoError(t, err)
	dir := t.TempDir()
	report, err := transfer.ExportBlocks(t.Context(), s, dir, transfer.ExportOptions{MinTime: at, MaxTime: at, Match: [][]*labels.Matcher{
		{labels.MustNewMatcher(labels.MatchEqual, "__name__", "a")}, {labels.MustNewMatcher(labels.MatchRegexp, "__name__", "[ac]")},
	}})
	require.NoError(t, err)
	require.Equal(t, transfer.Report{
		Series: 2, Samples: 2, Blocks: 1, MinTime: at, MaxTime: at, LeftOut: map[string]int64{transfer.LeftStarts: 2, transfer.LeftExemplars: 2},
	}, report)
	_, err = transfer.ExportBlocks(t.Context(), s, dir, transfer.ExportOptions{MaxTime: math.MaxInt64})
	require.ErrorContains(t, err, "is not empty")
	report, err = transfer.ExportBlocks(t.Context(), openAny(t), t.TempDir(), transfer.ExportOptions{MaxTime: math.MaxInt64})
	require.NoError(t, err)
	require.Zero(t, report)
}

// TestExportedExemplars: behind samples of counters and buckets stand the exemplars that a parser finds there.
func TestExportedExemplars(t *testing.T) {
	s, at := openAny(t), now.UnixMilli()
	var batch engine.Batch
	of := func(name string, ts int64, n int) {
		ref, err := s.Ref(labels.FromStrings("__name__", name))
		require.NoError(t, err)
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at, V: 1}, engine.Sample{Ref: ref, T: at + 1000, V: 2})
		batch.Exemplars = append(batch.Exemplars, engine.ExemplarSample{Ref: ref, Exemplar: exemplar.Exemplar{
			Labels: labels.FromStrings("trace_id", strings.Repeat("é", n), "a b", "x,y=}"), Value: 0.25, Ts: ts, HasTs: true,
		}})
	}
	of("seen_total", at-5, 10)
	of("late_bucket", at+999, 10)
	of("more_total", at, 10)
	of("more_total", at+1, 9)
	of("more_total", at+2, 8)
	of("later_total", at+2000, 10) // left out, as are those below
	of("gauge", at, 10)
	of("long_total", at, 120)
	_, err := s.Append(t.Context(), batch)
	require.NoError(t, err)
	var text bytes.Buffer
	report, err := transfer.Export(t.Context(), s, &text, transfer.ExportOptions{MaxTime: math.MaxInt64 / 4})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{transfer.LeftExemplars: 4}, report.LeftOut)

	p := textparse.NewOpenMetricsParser(text.Bytes(), labels.NewSymbolTable())
	got := map[string]string{}
	for {
		kind, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, text.String())
		if kind != textparse.EntrySeries {
			continue
		}
		_, ts, _ := p.Series()
		var lset labels.Labels
		p.Labels(&lset)
		var e exemplar.Exemplar
		if p.Exemplar(&e) {
			require.Equal(t, 0.25, e.Value)
			require.Equal(t, "x,y=}", e.Labels.Get("a b"))
			got[fmt.Sprint(lset.Get("__name__"), " ", *ts-at)] = fmt.Sprint(e.Ts-at, " ", len([]rune(e.Labels.Get("trace_id"))))
		}
	}
	require.Equal(t, map[string]string{"seen_total 0": "-5 10", "late_bucket 1000": "999 10", "more_total 0": "0 10", "more_total 1000": "2 8"}, got)
}
