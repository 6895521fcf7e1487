package enginetest

import (
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
)

// counters are what one series should have, by time: a counter's histograms, and nil for floats.
type counters map[int64]*histogram.FloatHistogram

// before is the sample right before a time, nil where that is a float or nothing.
func (c counters) before(t int64) *histogram.FloatHistogram {
	newest := int64(math.MinInt64)
	for at := range c {
		if at < t {
			newest = max(newest, at)
		}
	}
	return c[newest]
}

// testHintsHold writes histograms and floats in any order, deletes some, and asks for any bounds: a histogram that
// says that its counter went on did so since the sample right before it.
func testHintsHold(t *testing.T, target Target) {
	rapid.Check(t, func(r *rapid.T) {
		e, want := target.Open(t), counters{}
		defer func() { _ = e.Close() }()
		at := rapid.Custom(func(r *rapid.T) int64 {
			return target.Start + rapid.Int64Range(0, 3).Draw(r, "hours")*3_600_000 + rapid.Int64Range(0, 9).Draw(r, "ms")
		})
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) { appendCounters(t, r, e, want, at) },
			"delete": func(r *rapid.T) {
				minT, maxT := at.Draw(r, "min"), at.Draw(r, "max")
				require.NoError(r, e.Delete(t.Context(), minT, maxT))
				for at := range want {
					if minT <= at && at <= maxT {
						delete(want, at)
					}
				}
			},
			"reopen": func(r *rapid.T) {
				if target.Reopen == nil {
					r.Skip("nothing outlives a Close")
				}
				e = target.Reopen(t, e)
			},
			"": func(r *rapid.T) {
				minT := at.Draw(r, "min")
				checkHints(t, r, e, want, engine.Selection{Min: minT, Max: minT + rapid.Int64Range(0, 8_000_000).Draw(r, "length")})
			},
		})
	})
}

// appendCounters appends a batch of one series: histograms of both kinds that often count on, and a float now and then.
func appendCounters(t *testing.T, r *rapid.T, e engine.Engine, want counters, at *rapid.Generator[int64]) {
	var b engine.Batch
	one := ref(t, e, "__name__", "a")
	for range rapid.IntRange(1, 6).Draw(r, "samples") {
		at := at.Draw(r, "t")
		h := smallHistogram(rapid.Uint64Range(0, 5).Draw(r, "n"))
		h.CounterResetHint = rapid.SampledFrom([]histogram.CounterResetHint{histogram.UnknownCounterReset, histogram.NotCounterReset}).Draw(r, "claim")
		if slices.ContainsFunc(b.Histograms, func(other engine.HistogramSample) bool { return other.T == at }) {
			continue // floats of a batch are stored before its histograms
		}
		switch rapid.IntRange(0, 8).Draw(r, "kind") {
		case 0:
			b.Samples = append(b.Samples, engine.Sample{Ref: one, T: at, V: 1})
			want[at] = nil
			continue
		case 1, 2:
			b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: one, T: at, Float: h.ToFloat(nil)})
		default:
			b.Histograms = append(b.Histograms, engine.HistogramSample{Ref: one, T: at, Int: h})
		}
		want[at] = h.ToFloat(nil)
	}
	store(t, e, b)
}

func checkHints(t *testing.T, r *rapid.T, e engine.Engine, want counters, sel engine.Selection) {
	set, err := e.Select(t.Context(), sel)
	require.NoError(r, err)
	defer set.Close()
	for set.Next() {
		it := set.At().Iterator(nil)
		kind := it.Next()
		if rapid.Bool().Draw(r, "leap") {
			kind = it.Seek(sel.Min + 2)
		}
		for ; kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValFloat {
				continue
			}
			at, h := it.AtFloatHistogram(nil)
			if h.CounterResetHint != histogram.NotCounterReset {
				continue
			}
			before := want.before(at)
			require.NotNil(r, before, "%d counts on from something else than a histogram", at)
			before.CounterResetHint, h.CounterResetHint = histogram.UnknownCounterReset, histogram.UnknownCounterReset
			require.False(r, h.DetectReset(before), "%d counts on from %s, it is %s", at, before, h)
		}
		require.NoError(r, it.Err())
	}
}
