package durable_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// TestImageLeavesNoMarks: a series whose histograms were sealed while somebody read them is not named by answers from
// the head any more after the store was closed and opened again.
func TestImageLeavesNoMarks(t *testing.T) {
	l := newLive(t, nil)
	ref, err := l.Ref(labels.FromStrings("__name__", "sealed"))
	require.NoError(t, err)
	_, err = l.Append(t.Context(), engine.Batch{Histograms: []engine.HistogramSample{{Ref: ref, T: start.UnixMilli(), Int: numbered(1)}}})
	require.NoError(t, err)
	reading, err := l.Select(t.Context(), engine.Selection{Min: math.MinInt64, Max: math.MaxInt64})
	require.NoError(t, err)
	require.NoError(t, l.Flush(t.Context()))
	l.clock.set(start.Add(4 * time.Hour))
	l.write("later", l.clock.Now(), 1)
	require.NoError(t, reading.Close())
	require.FileExists(t, imageAfter(t, l))
	set, err := l.Select(t.Context(), engine.Selection{Min: l.Stats().SealedUntil, Max: math.MaxInt64, Sorted: true})
	require.NoError(t, err)
	var named []string
	for set.Next() {
		named = append(named, set.At().Labels().Get("__name__"))
	}
	require.NoError(t, set.Close())
	require.NoError(t, set.Err())
	require.Equal(t, []string{"later"}, named)
}

// imageAfter opens the store again and returns the path of the image that it was opened with.
func imageAfter(t *testing.T, l *live) string {
	l.reopen()
	require.Zero(t, l.Stats().Damaged)
	return l.Image()
}

// TestExpiredStaysGone: the newest block is too old and goes while the log still has its samples beside later ones. They
// do not come back after a crash.
func TestExpiredStaysGone(t *testing.T) {
	l := newLive(t, func(o *durable.Options) {
		o.Retention = durable.Retention{Keep: durable.Keep{Raw: 6 * time.Hour}}
	})
	l.write("old", start, 1)
	l.write("both", start, 1)
	l.clock.set(start.Add(30 * time.Hour))
	l.write("both", l.clock.Now(), 2)
	require.NoError(t, l.Maintain(t.Context()))
	later := map[int64]float64{l.clock.Now().UnixMilli(): 2}
	gone := func(s *durable.Store) {
		require.Empty(t, read(t, s, "old", engine.TierRaw, 0))
		require.Equal(t, later, read(t, s, "both", engine.TierRaw, 0))
		require.Equal(t, map[int64]float64{start.Truncate(5 * time.Minute).UnixMilli(): 1}, read(t, s, "old", engine.TierFiveMinutes, engine.ColumnLast))
	}
	gone(l.Store)
	copied := filepath.Join(t.TempDir(), "crashed")
	require.NoError(t, os.CopyFS(copied, os.DirFS(l.dir)))
	s, err := durable.Open(copied, l.opts)
	require.NoError(t, err)
	gone(s)
	require.NoError(t, s.Close())
	l.write("both", l.clock.Now().Add(-time.Minute), 3) // and later samples make the block go
	later[l.clock.Now().Add(-time.Minute).UnixMilli()] = 3
	require.NoError(t, l.Flush(t.Context()))
	require.NoError(t, l.Maintain(t.Context()))
	gone(l.Store)
	for _, m := range l.Stats().Blocks {
		require.False(t, m.Tier == engine.TierRaw && m.MinTime < start.Add(24*time.Hour).UnixMilli())
	}
}
