package durable_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// settledSamples is all that readers see of two series up to a time: samples, and windows that end by then.
func settledSamples(t *testing.T, s *durable.Store, until time.Time) map[string]float64 {
	all := map[string]float64{}
	for _, name := range []string{"a", "b"} {
		for column, tier := range map[engine.Column]engine.Tier{engine.ColumnLast: engine.TierRaw, engine.ColumnSum: engine.TierFiveMinutes, engine.ColumnMax: engine.TierHour} {
			for at, v := range read(t, s, name, tier, column) {
				if at <= until.UnixMilli() {
					all[fmt.Sprint(name, tier, at)] = v
				}
			}
		}
	}
	return all
}

// TestRevisionTellsOfAllThatChanges does random things to a store: while its revision stays, so does what is settled.
func TestRevisionTellsOfAllThatChanges(t *testing.T) {
	stayed := 0
	rapid.Check(t, func(r *rapid.T) {
		l := newLive(t, func(o *durable.Options) {
			o.Retention.Raw, o.Retention.FiveMinutes = 12*time.Hour, 24*time.Hour
		})
		l.run(3*time.Hour, "a", "b")
		for range rapid.IntRange(2, 7).Draw(r, "events") {
			before, settled := l.Revision(), l.clock.Now().Add(-engine.SettledAfter)
			seen := settledSamples(t, l.Store, settled)
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(r, "series")
			age := rapid.SampledFrom([]time.Duration{0, time.Minute, 19 * time.Minute, 21 * time.Minute, 29 * time.Minute}).Draw(r, "age")
			event := rapid.SampledFrom([]string{"go on", "go far", "write", "write", "delete", "import", "upkeep", "flush"}).Draw(r, "event")
			switch event {
			case "go on":
				l.run(rapid.SampledFrom([]time.Duration{10 * time.Minute, time.Hour}).Draw(r, "on"), name)
			case "go far":
				l.run(rapid.SampledFrom([]time.Duration{5 * time.Hour, 14 * time.Hour}).Draw(r, "far"), name)
			case "write":
				at := l.clock.Now().Add(-age)
				ref, err := l.Ref(labels.FromStrings("__name__", name))
				require.NoError(t, err)
				_, err = l.Append(t.Context(), engine.Batch{Samples: []engine.Sample{{Ref: ref, T: at.UnixMilli() + 1, V: 12345}}})
				require.NoError(t, err)
			case "delete":
				from := l.clock.Now().Add(-time.Duration(rapid.IntRange(0, 20).Draw(r, "hours")) * time.Hour)
				require.NoError(t, l.Delete(t.Context(), from.UnixMilli(), from.Add(time.Hour).UnixMilli(), labels.MustNewMatcher(labels.MatchEqual, "__name__", name)))
			case "import":
				l.imported(name, l.clock.Now().Add(-time.Duration(rapid.IntRange(3, 20).Draw(r, "hours"))*time.Hour), 6, func(int) float64 { return 777 })
			case "upkeep":
				require.NoError(t, l.Maintain(t.Context()))
			case "flush":
				require.NoError(t, l.Flush(t.Context()))
				l.clock.set(l.clock.Now().Add(3 * time.Hour)) // what is sealed takes no samples
			}
			if l.Revision() == before {
				stayed++
				require.Equal(r, seen, settledSamples(t, l.Store, settled), "after «%s»", event)
			}
		}
		require.NoError(t, l.Close())
	})
	// Some ninety things are done, of which more than half change nothing that is settled.
	assert.Greater(t, stayed, 10, "a revision that always changes tells nothing")
}

func TestRevisionOfAnotherProcess(t *testing.T) {
	l := newLive(t, nil)
	l.run(time.Hour, "a")
	first := l.Revision()
	assert.NotZero(t, first.Epoch)
	l.reopen()
	assert.NotEqual(t, first.Epoch, l.Revision().Epoch)
}

func TestEstimate(t *testing.T) {
	l := newLive(t, nil)
	l.run(26*time.Hour, "a", "b")
	l.write("c", l.clock.Now(), 1)
	estimate := func(from, to time.Time, matchers ...*labels.Matcher) engine.Estimate {
		e, err := l.Estimate(t.Context(), from.UnixMilli(), to.UnixMilli(), matchers...)
		require.NoError(t, err)
		return e
	}
	now := l.clock.Now()
	isA := labels.MustNewMatcher(labels.MatchEqual, "__name__", "a")
	assert.Equal(t, engine.Estimate{Least: 3, Likely: 3}, estimate(now.Add(-time.Hour), now))
	assert.Equal(t, engine.Estimate{Least: 1, Likely: 1}, estimate(now.Add(-time.Hour), now, isA))
	assert.Equal(t, engine.Estimate{Least: 2, Likely: 2}, estimate(start.Add(-time.Hour), start.Add(25*time.Hour)))
	assert.Equal(t, engine.Estimate{Likely: 2}, estimate(start.Add(time.Minute), start.Add(2*time.Minute)), "within a block, it is not known of what times")
	assert.Equal(t, engine.Estimate{}, estimate(now, now, labels.MustNewMatcher(labels.MatchEqual, "__name__", "no")))
	assert.Equal(t, engine.Estimate{}, estimate(start.AddDate(-1, 0, 0), start.AddDate(-1, 0, 1)))
	assert.EqualValues(t, 3, l.MostSeries())
	require.NoError(t, l.Close())
	_, err := l.Estimate(t.Context(), 0, math.MaxInt64)
	assert.ErrorIs(t, err, engine.ErrClosed)
}
