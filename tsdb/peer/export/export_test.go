package export

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/transfer"
)

const start = int64(1_800_000_000_000)

// fill writes a random history of floats, stale markers and histograms of both kinds.
func fill(t *testing.T, s *durable.Store, rng *rand.Rand) {
	var batch engine.Batch
	for i := range 8 {
		ref, err := s.Ref(labels.FromStrings("__name__", fmt.Sprint("m", i%2), "i", fmt.Sprint(i), "third", fmt.Sprint(i%3)))
		require.NoError(t, err)
		at := start + rng.Int64N(24*3_600_000)
		for range 400 {
			at += 1 + rng.Int64N([]int64{1, 15_000, 60_000, 3_600_000}[rng.IntN(4)])
			h := &histogram.Histogram{
				Schema: int32(i % 3), Count: 0, Sum: rng.Float64(), ZeroThreshold: 0.01,
				PositiveSpans: []histogram.Span{{Offset: int32(rng.IntN(3)), Length: 2}}, PositiveBuckets: []int64{rng.Int64N(9), rng.Int64N(9)},
			}
			h.Count = uint64(2*h.PositiveBuckets[0] + h.PositiveBuckets[1])
			if rng.IntN(2) == 0 {
				h.CounterResetHint = histogram.GaugeType
			}
			switch {
			case i < 4 || rng.IntN(3) == 0:
				v := []float64{rng.NormFloat64(), math.Float64frombits(rng.Uint64()), 3, math.Float64frombits(value.NormalNaN)}[rng.IntN(4)]
				if i < 4 && rng.IntN(10) == 0 {
					v = math.Float64frombits(value.StaleNaN)
				}
				batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at, V: v})
			case rng.IntN(2) == 0:
				batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: at, Int: h})
			default:
				batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: at, Float: h.ToFloat(nil)})
			}
		}
	}
	done, err := s.Append(t.Context(), batch)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
}

// add appends the samples of a series as text: floats by their bits, histograms without the hints of counters and empty
// buckets, which storing them may change.
func add(t *testing.T, all map[string][]string, lset labels.Labels, it chunkenc.Iterator) {
	name := lset.String()
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		if kind == chunkenc.ValFloat {
			at, v := it.At()
			all[name] = append(all[name], fmt.Sprintf("%d %x", at, math.Float64bits(v)))
			continue
		}
		at, h := it.AtFloatHistogram(nil)
		if h.CounterResetHint != histogram.GaugeType {
			h.CounterResetHint = histogram.UnknownCounterReset
		}
		all[name] = append(all[name], fmt.Sprintf("%d %v %d %s", at, kind, h.CounterResetHint, h.Copy().Compact(0)))
	}
	require.NoError(t, it.Err())
}

func ours(t *testing.T, s *durable.Store) map[string][]string {
	all := map[string][]string{}
	set, err := s.Select(t.Context(), engine.Selection{Min: math.MinInt64, Max: math.MaxInt64})
	require.NoError(t, err)
	for set.Next() {
		add(t, all, set.At().Labels(), set.At().Iterator(nil))
	}
	require.NoError(t, set.Err())
	require.NoError(t, set.Close())
	return all
}

// theirs reads blocks, in order of time, with Prometheus's own code.
func theirs(t *testing.T, dirs []string) (all map[string][]string, samples uint64) {
	all = map[string][]string{}
	for _, dir := range dirs {
		b, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), dir, nil, nil)
		require.NoError(t, err)
		stats := b.Meta().Stats
		require.Equal(t, stats.NumSamples, stats.NumFloatSamples+stats.NumHistogramSamples)
		samples += stats.NumSamples
		q, err := tsdb.NewBlockQuerier(b, math.MinInt64, math.MaxInt64)
		require.NoError(t, err)
		n := uint64(0)
		set := q.Select(t.Context(), true, &storage.SelectHints{Start: math.MinInt64, End: math.MaxInt64}, labels.MustNewMatcher(labels.MatchRegexp, "i", ".+"))
		for ; set.Next(); n++ {
			add(t, all, set.At().Labels(), set.At().Iterator(nil))
		}
		require.NoError(t, set.Err())
		require.Equal(t, stats.NumSeries, n)
		require.NoError(t, q.Close())
		require.NoError(t, b.Close())
	}
	return all, samples
}

// TestPrometheusReadsExportedBlocks exports random histories as blocks, and Prometheus reads of them what the shard has.
func TestPrometheusReadsExportedBlocks(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i := range uint64(5) {
		s, err := durable.Open(t.TempDir(), durable.Options{AnyAge: true, Ahead: -1, Sync: time.Hour, Maintain: -1, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		fill(t, s, rand.New(rand.NewPCG(seed+i, 0)))
		dir := filepath.Join(t.TempDir(), "blocks")
		report, err := transfer.ExportBlocks(t.Context(), s, dir, transfer.ExportOptions{MinTime: math.MinInt64, MaxTime: math.MaxInt64})
		require.NoError(t, err)
		dirs, err := transfer.PrometheusBlocks(dir)
		require.NoError(t, err)
		require.Len(t, dirs, int(report.Blocks))
		require.Greater(t, report.Blocks, int64(1))
		got, samples := theirs(t, dirs)
		require.Equal(t, ours(t, s), got)
		require.Equal(t, report.Samples, int64(samples))
		require.NoError(t, s.Close())
	}
}
