package memory_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/enginetest"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/index"
)

func TestContract(t *testing.T) {
	open := func(testing.TB) engine.Engine { return memory.Open(memory.Options{}) }
	for _, start := range []int64{1_800_000_000_000, 0, -90_000_000} { // today, tstorage's «now», before its calendar
		target := enginetest.Target{Open: open, Start: start}
		t.Run(fmt.Sprint(start), func(t *testing.T) { enginetest.Run(t, target) })
		t.Run(fmt.Sprint("windows ", start), func(t *testing.T) { enginetest.RunWindows(t, target) })
	}
}

const hour = int64(3_600_000)

// put stores one sample of a series «m{s=…}» and returns the refusals' reasons.
func put(t *testing.T, e engine.Engine, s string, at int64) (reasons []engine.Reason) {
	t.Helper()
	ref, err := e.Ref(labels.FromStrings("__name__", "m", "s", s))
	require.NoError(t, err)
	done, err := e.Append(t.Context(), engine.Batch{Samples: []engine.Sample{{Ref: ref, T: at, V: 1}}})
	require.NoError(t, err)
	for _, r := range done.Refused {
		reasons = append(reasons, r.Reason)
	}
	return reasons
}

// times are the times of all samples by the label s.
func times(t *testing.T, e engine.Engine) map[string][]int64 {
	t.Helper()
	set, err := e.Select(t.Context(), engine.Selection{Min: math.MinInt64, Max: math.MaxInt64})
	require.NoError(t, err)
	found := map[string][]int64{}
	for set.Next() {
		s := set.At().Labels().Get("s")
		for it := set.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			found[s] = append(found[s], it.AtT())
		}
	}
	return found
}

func TestEndsOfTime(t *testing.T) {
	e := memory.Open(memory.Options{})
	for _, at := range []int64{math.MaxInt64, math.MinInt64, 0, -1, math.MinInt64 + 1, math.MaxInt64 - 1} {
		require.Empty(t, put(t, e, "a", at))
	}
	assert.Equal(t, map[string][]int64{"a": {math.MinInt64, math.MinInt64 + 1, -1, 0, math.MaxInt64 - 1, math.MaxInt64}}, times(t, e))
}

func TestRetention(t *testing.T) {
	e := memory.Open(memory.Options{Retention: 8 * time.Hour})
	for h := range int64(30) {
		require.Empty(t, put(t, e, fmt.Sprint(h), h*hour))
	}
	found := times(t, e)
	assert.NotContains(t, found, "15", "its window ended eight hours before")
	assert.Contains(t, found, "21", "the last eight hours stay")
	assert.Less(t, len(found), 15)
	assert.Less(t, e.Cardinality(1).Series, uint64(20), "series without samples are forgotten")
	assert.InDelta(t, 30, e.Cardinality(1).Churned, 1, "but counted for a day")
	assert.Equal(t, []engine.Reason{engine.ReasonTooOld}, put(t, e, "29", 20*hour))
}

func TestRefsOutliveOneRoundOfForgetting(t *testing.T) {
	e := memory.Open(memory.Options{Retention: time.Hour})
	fresh, err := e.Ref(labels.FromStrings("__name__", "fresh"))
	require.NoError(t, err)
	require.Empty(t, put(t, e, "a", 0))
	require.Empty(t, put(t, e, "a", 8*hour)) // drops the first window
	done, err := e.Append(t.Context(), engine.Batch{Samples: []engine.Sample{{Ref: fresh, T: 8 * hour, V: 1}}})
	require.NoError(t, err)
	assert.Empty(t, done.Refused)
}

func TestOutOfOrderAndAhead(t *testing.T) {
	now := time.UnixMilli(100 * hour)
	e := memory.Open(memory.Options{OutOfOrder: time.Hour, Ahead: time.Minute, Now: func() time.Time { return now }})
	assert.Empty(t, put(t, e, "a", 100*hour+60_000))
	assert.Equal(t, []engine.Reason{engine.ReasonTooFarAhead}, put(t, e, "a", 100*hour+60_001))
	assert.Empty(t, put(t, e, "b", 99*hour+60_000))
	assert.Equal(t, []engine.Reason{engine.ReasonTooOld}, put(t, e, "b", 99*hour+59_999))
}

func TestMaxSamplesDropsOldestAndTells(t *testing.T) {
	var told strings.Builder
	e := memory.Open(memory.Options{MaxSamples: 100, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	for i := range int64(48) { // 5 samples an hour, 20 a window
		for j := range int64(5) {
			require.Empty(t, put(t, e, "a", i*hour+j))
		}
	}
	found := times(t, e)["a"]
	assert.LessOrEqual(t, len(found), 100)
	assert.GreaterOrEqual(t, len(found), 80)
	assert.Equal(t, 47*hour+4, found[len(found)-1])
	assert.Contains(t, told.String(), "samples=101 limit=100 from=0 to=14399999")
}

func TestSeriesLimits(t *testing.T) {
	for reason, limits := range map[engine.Reason]index.Limits{
		engine.ReasonSeriesLimit: {Series: 3}, engine.ReasonMetricLimit: {SeriesPerMetric: 3}, engine.ReasonJobLimit: {SeriesPerJob: 3},
	} {
		e := memory.Open(memory.Options{Series: limits})
		for i := range 3 {
			_, err := e.Ref(labels.FromStrings("__name__", "m", "job", "j", "i", fmt.Sprint(i)))
			require.NoError(t, err)
		}
		_, err := e.Ref(labels.FromStrings("__name__", "m", "job", "j", "i", "3"))
		var refusal *engine.Refusal
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, reason, refusal.Reason)
		assert.Contains(t, refusal.Detail, "the limit is 3")
		_, err = e.Ref(labels.FromStrings("__name__", "m", "job", "j", "i", "0"))
		require.NoError(t, err, "known series go on")
	}
}

func TestLabelLimits(t *testing.T) {
	e := memory.Open(memory.Options{Series: index.Limits{Labels: 2, ValueBytes: 4}})
	for _, lset := range []labels.Labels{labels.FromStrings("a", "12345"), labels.FromStrings("a", "1", "b", "1", "c", "1")} {
		_, err := e.Ref(lset)
		var refusal *engine.Refusal
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, engine.ReasonBadLabels, refusal.Reason)
	}
}

func TestExemplarsAreBounded(t *testing.T) {
	e := memory.Open(memory.Options{MaxExemplars: 3})
	ref, err := e.Ref(labels.FromStrings("__name__", "m"))
	require.NoError(t, err)
	for i := range int64(10) {
		_, err := e.Append(t.Context(), engine.Batch{Exemplars: []engine.ExemplarSample{{Ref: ref, Exemplar: exemplar.Exemplar{Ts: i, HasTs: true}}}})
		require.NoError(t, err)
	}
	found, err := e.Exemplars(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Len(t, found[0].Exemplars, 3)
	assert.Equal(t, int64(7), found[0].Exemplars[0].Ts)
}

// TestRewritesTakeNoRoom overwrites and deletes the same samples again and again.
func TestRewritesTakeNoRoom(t *testing.T) {
	e := memory.Open(memory.Options{MaxSamples: 2000})
	ref, err := e.Ref(labels.FromStrings("__name__", "m", "s", "a"))
	require.NoError(t, err)
	var b engine.Batch
	for i := range int64(500) {
		b.Samples = append(b.Samples, engine.Sample{Ref: ref, T: i, V: 1})
	}
	require.Empty(t, put(t, e, "old", -10*hour)) // goes first if there seem to be too many
	for range 50 {
		done, err := e.Append(context.Background(), b)
		require.NoError(t, err)
		require.Equal(t, 500, done.Stored)
	}
	for range 20 {
		require.NoError(t, e.Delete(t.Context(), 0, 1000))
		_, err := e.Append(context.Background(), b)
		require.NoError(t, err)
	}
	found := times(t, e)
	assert.Len(t, found["a"], 500)
	assert.Len(t, found["old"], 1, "nothing had to be dropped")
}
