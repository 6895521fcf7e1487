package block

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// TestSnapshot holds that a snapshot has what the block had, and keeps it when that is deleted from and removed.
func TestSnapshot(t *testing.T) {
	parent, copies := t.TempDir(), t.TempDir()
	lists, want := mixed(t, 7, 10, start)
	meta := write(t, parent, Meta{}, lists, maxSegment)
	b := open(t, filepath.Join(parent, meta.ID.String()))
	all := func(string) bool { return true }
	first := merge.Interval{Min: start, Max: start + 60_000}
	require.NoError(t, b.Delete(first.Min, first.Max))
	want = want.without(first, all)
	require.NoError(t, b.Snapshot(copies))
	require.Error(t, b.Snapshot(copies), "there is one already")
	require.NoError(t, b.Delete(start, start+200_000))
	require.NoError(t, Remove(b.Dir()))

	dirs, err := List(copies)
	require.NoError(t, err)
	require.Len(t, dirs, 1)
	entries, err := os.ReadDir(copies)
	require.NoError(t, err)
	require.Len(t, entries, 1, "the second attempt left nothing")
	snapshot := open(t, dirs[0])
	got, err := readAll(t, snapshot, merge.All)
	require.NoError(t, err)
	require.Equal(t, want, got)

	other := t.TempDir()
	require.NoError(t, os.Remove(filepath.Join(snapshot.Dir(), indexName)))
	require.ErrorIs(t, snapshot.Snapshot(other), os.ErrNotExist)
	entries, err = os.ReadDir(other)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoError(t, b.Close())
	require.ErrorIs(t, b.Snapshot(other), engine.ErrClosed)
}
