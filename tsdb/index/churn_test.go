package index

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// TestChurnDoesNotGrow replaces a tenth of the series each hour for a week, with names of new machines each time.
func TestChurnDoesNotGrow(t *testing.T) {
	const live, hours = 8_000, 7 * 24
	clock := time.Unix(1_700_000_000, 0)
	m := New(Limits{}, func() time.Time { return clock })
	builder := labels.NewScratchBuilder(10)
	made := 0
	oldest := make([]uint32, 0, live)
	add := func(n int) {
		for range n {
			id, created, err := m.GetOrCreate(fleetSeries(&builder, made))
			require.NoError(t, err)
			require.True(t, created)
			made++
			oldest = append(oldest, id)
		}
	}
	before := heapInUse()
	add(live)
	var afterDay uint64
	for hour := range hours {
		m.Remove(roaring.BitmapOf(oldest[:live/10]...))
		oldest = append(make([]uint32, 0, live), oldest[live/10:]...)
		add(live / 10)
		clock = clock.Add(time.Hour)
		found, err := m.Select(t.Context(), labels.MustNewMatcher(labels.MatchRegexp, "instance", fmt.Sprintf("host-%d.*", made-1)))
		require.NoError(t, err)
		require.NotZero(t, found.GetCardinality())
		if hour == 24 {
			afterDay = heapInUse() - before
		}
	}
	afterWeek := heapInUse() - before
	t.Logf("%.1f bytes per series after a day, %.1f after a week", float64(afterDay)/live, float64(afterWeek)/live)
	require.Equal(t, live, m.Len())
	require.Less(t, afterWeek, afterDay+afterDay/10)
	require.Less(t, m.slots.len(), uint32(live+1), "ids stay dense")
	require.InEpsilon(t, live+live/10*25, m.Cardinality(0).Churned, 0.07)

	m.Remove(roaring.BitmapOf(oldest...))
	require.Zero(t, m.dict.live)
	require.Empty(t, m.dict.names)
	require.Less(t, heapInUse(), before+afterWeek/2, "what no series needs is given back")
	runtime.KeepAlive(m)
}

// TestClockAtItsBegin makes series on a host that does not know the time yet.
func TestClockAtItsBegin(t *testing.T) {
	for _, at := range []int64{0, 3599, -1, -90_000} {
		m := New(Limits{}, func() time.Time { return time.Unix(at, 0) })
		_, created, err := m.GetOrCreate(labels.FromStrings("a", "b"))
		require.NoError(t, err)
		require.True(t, created)
	}
}
