package collect

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestToldKnowsWhatAMapKnows compares with a map of times and values, as points come in windows that overlap.
func TestToldKnowsWhatAMapKnows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "start"))
		known, told := map[int64]float64{}, newTold()
		for turn := range rapid.IntRange(1, 30).Draw(t, "turns") {
			now := start.Add(time.Duration(turn) * 5 * time.Minute)
			oldest := now.Add(-toldFor)
			told.forget(oldest)
			var points []Point
			for i := range rapid.IntRange(0, 12).Draw(t, "points") {
				p := Point{Time: now.Add(-time.Duration(i) * time.Minute), Value: float64(rapid.IntRange(0, 3).Draw(t, "value"))}
				v, has := known[p.Time.UnixMilli()]
				if want := has && v == p.Value; told.has("s", p) != want {
					t.Fatalf("%v of %v: told %v, want %v", p.Value, p.Time, !want, want)
				}
				points = append(points, p)
			}
			told.add("s", points, oldest)
			for _, p := range points {
				known[p.Time.UnixMilli()] = p.Value
			}
		}
		told.forget(start.Add(24 * time.Hour))
		require.Empty(t, told.series, "what is old is dropped")
	})
}

// TestToldTellsValuesApart holds that values as metrics have them, near to each other, have hashes of their own: of
// 300,000 about 10 pairs share one by chance.
func TestToldTellsValuesApart(t *testing.T) {
	at, seen := time.UnixMilli(1), map[uint32]bool{}
	for i := range 100_000 {
		for _, v := range []float64{float64(i), float64(i)/100 + 0.001, 1 + float64(i)*0x1p-52} {
			seen[pointOf(Point{at, v}).value] = true
		}
	}
	require.Greater(t, len(seen), 300_000-100)
}

// TestToldTakesLittle holds what 910 machines with all that Google tells, 28 series each, take when half an hour of minutes
// is known of each: all of them as gauges, of which at most half are.
func TestToldTakesLittle(t *testing.T) {
	const series, most = 910 * 28, 10 << 20
	keys := make([]string, series)
	for i := range keys {
		keys[i] = fmt.Sprintf(`vm_disk_queue_depth,cloud_account_id="project-one",cloud_provider="gcp",cloud_region="europe-west4",device="boot",vm_id="%d",vm_name="vm-%d"|gcm|`, 1000+i, i)
	}
	before := heap()
	ledger, err := OpenLedger(t.Context(), &memoryState{}, time.Hour)
	require.NoError(t, err)
	now := clock("00:00:00")
	for range 10 {
		now = now.Add(5 * time.Minute)
		ledger.Begin()
		for i, key := range keys {
			points := make([]Point, 0, 10)
			for back := range 10 {
				points = append(points, Point{now.Add(-time.Duration(back) * time.Minute), float64(i)})
			}
			ledger.Tell(key, points)
		}
		require.NoError(t, ledger.Settle(t.Context(), true, now))
	}
	took := heap() - before
	t.Logf("%d series of gauges take %.1f MiB, %d bytes each", series, float64(took)/(1<<20), took/series)
	require.Less(t, took, int64(most))
	runtime.KeepAlive(ledger)
	runtime.KeepAlive(keys)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
