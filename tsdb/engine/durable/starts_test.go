package durable

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestStartStore sets starts in and out of order, and forgets old ones, as a map would do.
func TestStartStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st, want := newStartStore(), map[int64]int64{}
		newest := int64(math.MinInt64)
		anyTime := rapid.OneOf(rapid.Int64Range(-5, 40), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, math.MaxInt64 - 1}))
		for range rapid.IntRange(1, 40).Draw(t, "samples") {
			at, start := anyTime.Draw(t, "t"), rapid.SampledFrom([]int64{0, 7, 7, -3}).Draw(t, "start")
			st.set(1, at, start, len(want) == 0 || at > newest)
			want[at], newest = start, max(newest, at)
			if rapid.IntRange(0, 9).Draw(t, "prune") == 0 {
				before := rapid.Int64Range(-5, 40).Draw(t, "before")
				st.prune(before)
				maps.DeleteFunc(want, func(at, _ int64) bool { return at < before })
			}
			times := slices.Sorted(maps.Keys(want))
			starts := st.of(1, times)
			for i, at := range times {
				if starts == nil {
					require.Zero(t, want[at])
				} else {
					require.Equal(t, want[at], starts[i], "at %d of %v", at, st.series[1])
				}
			}
		}
	})
}

// TestStartsTakeLittle holds that a counter whose start stays takes the same room for any number of samples.
func TestStartsTakeLittle(t *testing.T) {
	st := newStartStore()
	for at := range int64(10_000) {
		st.set(1, at, at/5_000+1, true)
	}
	require.Equal(t, []step{{0, 1}, {5_000, 2}}, st.series[1].steps)
	st.prune(6_000)
	require.Len(t, st.series[1].steps, 1)
	st.prune(20_000)
	require.False(t, st.has(1))
}
