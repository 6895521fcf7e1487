package durable_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// churnSeries is how many series there are at one time in TestWeekOfChurn; NOVACRON_CHURN_SERIES is another number.
const churnSeries = 2000

// TestWeekOfChurn lets a tenth of all series end and as many begin in every hour of a week: what the store takes of
// memory, files and disk follows its retention, and is on the seventh day what it was on the second.
func TestWeekOfChurn(t *testing.T) {
	n, lasts := fromEnvironment(t, "NOVACRON_CHURN_SERIES", churnSeries), 168
	if testing.Short() {
		n, lasts = n/10, 96
	}
	l := newLive(t, func(o *durable.Options) {
		o.Retention = durable.Retention{Keep: durable.Keep{Raw: 12 * time.Hour, FiveMinutes: 18 * time.Hour, Hour: 24 * time.Hour}}
	})
	refs := make([]engine.Ref, n)
	made := 0
	var days []takes
	began := time.Now()
	for hour := range lasts {
		for minute := 0; minute < 60; minute += 10 {
			l.clock.set(start.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute))
			batch := engine.Batch{Samples: make([]engine.Sample, n)}
			for i := range refs {
				if refs[i] == 0 || minute == 0 && i%10 == hour%10 {
					made++
					refs[i] = churned(t, l.Store, made)
				}
				batch.Samples[i] = engine.Sample{Ref: refs[i], T: l.clock.Now().UnixMilli(), V: float64(made + minute)}
			}
			done, err := l.Append(t.Context(), batch)
			require.NoError(t, err)
			require.Empty(t, done.Refused)
			require.NoError(t, l.Maintain(t.Context()))
		}
		if hour%24 == 0 {
			days = append(days, takes{})
		}
		now := measure(t, l)
		days[len(days)-1].widen(now)
		if hour%24 == 23 {
			t.Logf("day %d: %+v", len(days), days[len(days)-1])
		}
	}
	require.Zero(t, l.Stats().Damaged)
	require.Less(t, days[len(days)-1].Series, 2*n)
	days[1].bounds(t, days[len(days)-1])
	t.Logf("%d series at a time, %d in all, in %s", n, made, time.Since(began).Round(time.Second))
}

func churned(t *testing.T, s *durable.Store, n int) engine.Ref {
	ref, err := s.Ref(labels.FromStrings("__name__", fmt.Sprint("m", n%50), "pod", "pod-"+strconv.Itoa(n), "job", "churn"))
	require.NoError(t, err)
	return ref
}

// takes is what a store takes, the most of some hours.
type takes struct {
	Series, Goroutines, Files, Blocks int
	Heap, OffHeap, Disk, Log          int64
}

func measure(t *testing.T, l *live) takes {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	stats := l.Stats()
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	now := takes{
		Series: stats.Series, Goroutines: runtime.NumGoroutine(), Files: len(files), Blocks: len(stats.Blocks),
		Heap: int64(m.HeapAlloc), OffHeap: stats.HeadBytes, Log: stats.LogBytes,
	}
	require.NoError(t, filepath.WalkDir(l.dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		now.Disk += info.Size()
		return err
	}))
	return now
}

func (a *takes) widen(b takes) {
	a.Series, a.Goroutines, a.Files, a.Blocks = max(a.Series, b.Series), max(a.Goroutines, b.Goroutines), max(a.Files, b.Files), max(a.Blocks, b.Blocks)
	a.Heap, a.OffHeap, a.Disk, a.Log = max(a.Heap, b.Heap), max(a.OffHeap, b.OffHeap), max(a.Disk, b.Disk), max(a.Log, b.Log)
}

// bounds checks that a later day takes no more than a fifth above this one, and some little that comes and goes.
func (a takes) bounds(t *testing.T, later takes) {
	const little = 2 << 20 // two pieces of memory
	for _, c := range []struct {
		what        string
		then, later int64
		slack       int64
	}{
		{"series", int64(a.Series), int64(later.Series), 10}, {"goroutines", int64(a.Goroutines), int64(later.Goroutines), 2},
		{"open files", int64(a.Files), int64(later.Files), 4}, {"blocks", int64(a.Blocks), int64(later.Blocks), 3},
		{"bytes of heap", a.Heap, later.Heap, little}, {"bytes off the heap", a.OffHeap, later.OffHeap, little},
		{"bytes of disk", a.Disk, later.Disk, little / 4}, {"bytes of log", a.Log, later.Log, little / 16},
	} {
		require.LessOrEqual(t, c.later, c.then+c.then/5+c.slack, "%s: %d on the second day, %d at the end", c.what, c.then, c.later)
	}
}
