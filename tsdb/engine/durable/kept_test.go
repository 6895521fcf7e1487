package durable_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// kept is what is to be kept of a sample besides its value.
type kept struct {
	t, st int64
	hint  histogram.CounterResetHint
}

// readKept reads all samples of a metric.
func readKept(t *testing.T, e engine.Engine, metric string) (all []kept) {
	set, err := e.Select(t.Context(), engine.Selection{
		Min: math.MinInt64, Max: math.MaxInt64, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", metric)},
	})
	require.NoError(t, err)
	defer set.Close()
	for set.Next() {
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			one := kept{t: it.AtT(), st: it.AtST()}
			if kind != chunkenc.ValFloat {
				_, h := it.AtFloatHistogram(nil)
				one.hint = h.CounterResetHint
			}
			all = append(all, one)
		}
		require.NoError(t, it.Err())
	}
	return all
}

// appendHours appends seven hours of a counter that says since when it counts and is reset once, of one that does
// not, and of histograms of both kinds that are reset every hundred samples.
func appendHours(t *testing.T, e engine.Engine) {
	refs := map[string]engine.Ref{}
	for _, name := range []string{"since", "plain", "whole", "float"} {
		ref, err := e.Ref(labels.FromStrings("__name__", name))
		require.NoError(t, err)
		refs[name] = ref
	}
	for i := range int64(7 * 60) {
		at, st := start.UnixMilli()+i*60_000, start.UnixMilli()-1
		if i >= 200 {
			st = start.UnixMilli() + 200*60_000 - 1
		}
		n := uint64(1 + i%100)
		h := &histogram.Histogram{Schema: 1, Count: n, Sum: float64(n), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(n)}}
		done, err := e.Append(t.Context(), engine.Batch{
			Samples: []engine.Sample{{Ref: refs["plain"], T: at, V: float64(i)}, {Ref: refs["since"], T: at, V: float64(i)}},
			Starts:  []engine.Start{{Index: 1, ST: st}},
			Histograms: []engine.HistogramSample{
				{Ref: refs["whole"], T: at, ST: st, Int: h}, {Ref: refs["float"], T: at, Float: h.ToFloat(nil)},
			},
		})
		require.NoError(t, err)
		require.Empty(t, done.Refused)
	}
}

// TestKept holds that start times and hints are the same in the head, after a replay, in sealed and in merged blocks.
func TestKept(t *testing.T) {
	dir, opts := t.TempDir(), options()
	opts.Clock = func() time.Time { return start.Add(30 * 24 * time.Hour) }
	open := func() *durable.Store {
		s, err := durable.Open(dir, opts)
		require.NoError(t, err)
		return s
	}
	s := open()
	appendHours(t, s)
	want := map[string][]kept{}
	for _, name := range []string{"since", "plain", "whole", "float"} {
		want[name] = readKept(t, s, name)
		require.Len(t, want[name], 7*60)
	}
	for i := range 7 * 60 {
		reset := start.UnixMilli() - 1
		if i >= 200 {
			reset += 200 * 60_000
		}
		hint := histogram.NotCounterReset
		if i%100 == 0 {
			hint = histogram.UnknownCounterReset
		}
		at := start.UnixMilli() + int64(i)*60_000
		require.Equal(t, kept{t: at, st: reset}, want["since"][i])
		require.Equal(t, kept{t: at}, want["plain"][i])
		require.Equal(t, kept{at, reset, hint}, want["whole"][i])
		require.Equal(t, kept{at, 0, hint}, want["float"][i])
	}
	check := func(stage string, most int) {
		for name, list := range want {
			got := readKept(t, s, name)
			require.Len(t, got, len(list), "%s %s", stage, name)
			lost := 0
			for i, one := range got {
				if one.hint != list[i].hint {
					lost++
					require.Equal(t, histogram.UnknownCounterReset, one.hint)
					one.hint = list[i].hint
				}
				require.Equal(t, list[i], one, "%s %s", stage, name)
			}
			require.LessOrEqual(t, lost, most, "%s %s: only the first of a chunk says nothing", stage, name)
		}
	}
	reopen := func() {
		require.NoError(t, s.Close())
		s = open()
	}
	reopen()
	check("replayed", 0)
	require.NoError(t, s.Flush(t.Context()))
	check("sealed", 5)
	reopen()
	require.NoError(t, s.Maintain(t.Context()))
	check("merged", 7)
	reopen()
	check("merged and opened", 7)
	gone := start.UnixMilli() + 50*60_000
	require.NoError(t, s.Delete(t.Context(), gone, gone))
	for name := range want {
		got := readKept(t, s, name)
		require.Len(t, got, 7*60-1)
		require.Equal(t, want[name][49].st, got[49].st)
		require.Equal(t, histogram.UnknownCounterReset, got[50].hint, fmt.Sprint("what is deleted stood before it: ", name))
	}
	require.NoError(t, s.Close())
}
