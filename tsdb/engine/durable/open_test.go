package durable_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// readOpen reads the floats, and since when they count, of the last series of an answer with some.
func readOpen(t *testing.T, set engine.SeriesSet, series int) (got map[int64]float64, starts map[int64]int64) {
	got, starts = map[int64]float64{}, map[int64]int64{}
	for range series {
		require.True(t, set.Next())
	}
	it := set.At().Iterator(nil)
	for it.Next() != 0 {
		at, v := it.At()
		got[at], starts[at] = v, it.AtST()
	}
	require.NoError(t, it.Err())
	require.False(t, set.Next())
	require.NoError(t, set.Err())
	require.NoError(t, set.Close())
	return got, starts
}

// TestOpenAnswerOutlivesDeletions: a deletion takes out of an answer that is open what it deletes and nothing else, also
// when the answer reads what was sealed meanwhile, and none of its series is forgotten.
func TestOpenAnswerOutlivesDeletions(t *testing.T) {
	for _, c := range []struct {
		name     string
		written  []int64 // minutes since start, in two spans
		from, to int64   // what is deleted
		left     int
	}{
		{"nothing", []int64{0, 1, 2, 4, 3, 130, 132, 131}, -10, -5, 8},
		{"one", []int64{0, 1, 2, 4, 3, 130, 132, 131}, 131, 131, 7},
		{"all that is young", []int64{0, 1, 2, 4, 3, 130, 132, 131}, 100, 200, 5},
		{"all that is young, in order", []int64{0, 1, 2, 130, 131}, 100, 200, 3},
		{"some that is old", []int64{0, 1, 2, 130, 131}, 1, 130, 2},
	} {
		for _, counting := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) { testOpenAnswer(t, counting, c.written, c.from, c.to, c.left) })
		}
	}
}

func testOpenAnswer(t *testing.T, counting bool, written []int64, minT, maxT int64, left int) {
	l := newLive(t, nil)
	l.write("0", start, 0)
	ref, err := l.Ref(labels.FromStrings("__name__", "a"))
	require.NoError(t, err)
	from, newest := start.UnixMilli(), int64(0)
	for _, minute := range written {
		newest = max(newest, minute)
		l.clock.set(start.Add(time.Duration(newest) * time.Minute))
		batch := engine.Batch{Samples: []engine.Sample{{Ref: ref, T: from + minute*60_000, V: float64(minute)}}}
		if counting {
			batch.Starts = []engine.Start{{ST: from - 1}}
		}
		done, err := l.Append(t.Context(), batch)
		require.NoError(t, err)
		require.Empty(t, done.Refused)
	}
	set, err := l.Select(t.Context(), engine.Selection{Min: merge.All.Min, Max: merge.All.Max, Matchers: only("0|a")})
	require.NoError(t, err)
	l.clock.set(start.Add(170 * time.Minute))
	require.NoError(t, l.Maintain(t.Context()))
	require.Len(t, l.Stats().Blocks, 1)
	require.NoError(t, l.Delete(t.Context(), from+minT*60_000, from+maxT*60_000, only("a")...))
	l.clock.set(start.Add(400 * time.Minute))
	require.NoError(t, l.Maintain(t.Context())) // all is sealed, and forgotten where nobody reads it
	got, starts := readOpen(t, set, 2)
	require.Len(t, got, left)
	for at, v := range got {
		require.Equal(t, float64(at-from)/60_000, v)
		require.Equal(t, counting, starts[at] == from-1)
	}
	require.NoError(t, l.Maintain(t.Context()))
	require.Zero(t, l.Stats().Series, "with the last reader the series is forgotten")
}

// TestOpenAnswerNeverGoesBack: of two samples of one time an open answer shows the newer one or, when it is deleted, none.
func TestOpenAnswerNeverGoesBack(t *testing.T) {
	l := newLive(t, nil)
	l.clock.set(start.Add(time.Hour))
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	l.imported("a", minute(10), 3, func(int) float64 { return 1 })
	l.imported("a", minute(20), 3, func(int) float64 { return 2 })
	l.write("a", minute(10), 3)
	set, err := l.Select(t.Context(), engine.Selection{Min: merge.All.Min, Max: merge.All.Max, Matchers: only("a")})
	require.NoError(t, err)
	require.NoError(t, l.Maintain(t.Context()))
	require.Len(t, l.Stats().Blocks, 1, "the imported blocks are one: the answer goes on with the old ones")
	require.NoError(t, l.Delete(t.Context(), start.UnixMilli(), minute(20).UnixMilli(), only("a")...))
	got, _ := readOpen(t, set, 1)
	require.Equal(t, map[int64]float64{minute(30).UnixMilli(): 2, minute(40).UnixMilli(): 2}, got)
}
