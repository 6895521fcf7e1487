package durable_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/merge"
)

// dropOnlyBlock leaves a store that has dropped the one block that told how far samples are sealed, while a segment of
// the log has its samples beside a later one, of the time returned.
func dropOnlyBlock(t *testing.T, change func(*durable.Options)) (l *live, later time.Time) {
	l = newLive(t, func(o *durable.Options) {
		o.Tiers = []durable.TierWindows{}
		change(o)
	})
	l.write("a", l.clock.Now(), 1)
	later = l.clock.Now().Add(5 * time.Hour)
	l.clock.set(later)
	l.write("a", later, 2)
	l.clock.set(later.Add(time.Hour))
	require.NoError(t, l.Maintain(t.Context()))
	require.Empty(t, l.Stats().Blocks)
	return l, later
}

func readA(t *testing.T, s *durable.Store) map[int64]float64 {
	return read(t, s, "a", engine.TierRaw, engine.ColumnLast)
}

// TestDroppedStaysGone after a crash and in a snapshot, whatever it was dropped for.
func TestDroppedStaysGone(t *testing.T) {
	for cause, change := range map[string]func(*durable.Options){
		"budget":    func(o *durable.Options) { o.Retention.Bytes = 1 },
		"retention": func(o *durable.Options) { o.Retention.Raw = 4 * time.Hour },
	} {
		t.Run(cause, func(t *testing.T) {
			l, later := dropOnlyBlock(t, change)
			want := map[int64]float64{later.UnixMilli(): 2}
			require.Equal(t, want, readA(t, l.Store))
			sealed := l.Stats().SealedUntil
			crashed, snapshot := t.TempDir(), filepath.Join(t.TempDir(), "snapshot")
			require.NoError(t, os.CopyFS(crashed, os.DirFS(l.dir)))
			require.NoError(t, l.Snapshot(t.Context(), snapshot))
			l.reopen()
			require.Equal(t, want, readA(t, l.Store))
			for _, dir := range []string{crashed, snapshot} {
				again, err := durable.Open(dir, l.opts)
				require.NoError(t, err)
				require.Equal(t, want, readA(t, again))
				require.Equal(t, sealed, again.Stats().SealedUntil)
				require.NoError(t, again.Close())
			}
		})
	}
}

// TestNothingLeftOfAMerge: a merge that leaves nothing of its blocks forgets no more than a drop does.
func TestNothingLeftOfAMerge(t *testing.T) {
	l := newLive(t, func(o *durable.Options) { o.Tiers, o.Ahead = []durable.TierWindows{}, -1 })
	later := l.clock.Now().Add(10 * time.Hour)
	l.write("a", l.clock.Now(), 1)
	l.write("a", later, 2)
	for _, now := range []time.Duration{3 * time.Hour, 8 * time.Hour} {
		l.clock.set(later.Add(now - 10*time.Hour))
		require.NoError(t, l.Maintain(t.Context()))
		if now < 4*time.Hour {
			require.Len(t, l.Stats().Blocks, 1)
			require.NoError(t, l.Delete(t.Context(), merge.All.Min/4, later.UnixMilli()-1))
		}
	}
	require.Empty(t, l.Stats().Blocks)
	crashed := t.TempDir()
	require.NoError(t, os.CopyFS(crashed, os.DirFS(l.dir)))
	again, err := durable.Open(crashed, l.opts)
	require.NoError(t, err)
	defer again.Close()
	require.Equal(t, map[int64]float64{later.UnixMilli(): 2}, readA(t, again))
	require.Equal(t, l.Stats().SealedUntil, again.Stats().SealedUntil)
}

// TestDamagedMarkIsTold: what was dropped comes back from the log, and is dropped again.
func TestDamagedMarkIsTold(t *testing.T) {
	l, later := dropOnlyBlock(t, func(o *durable.Options) { o.Retention.Bytes = 1 })
	require.NoError(t, l.Close())
	mark := filepath.Join(l.dir, "sealed.json")
	text, err := os.ReadFile(mark)
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(mark, text, 0o600))
	l.open()
	require.Positive(t, l.Stats().Damaged)
	require.Len(t, readA(t, l.Store), 2)
	require.FileExists(t, mark+".damaged")
	require.NoError(t, l.Maintain(t.Context()))
	require.Equal(t, map[int64]float64{later.UnixMilli(): 2}, readA(t, l.Store))
}
