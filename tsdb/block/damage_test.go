package block

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/merge"
)

// copyBlock copies the files of a block.
func copyBlock(t require.TestingT, from, to string) {
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(to, 0o750))
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(from, entry.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, entry.Name()), text, 0o640))
	}
}

// spoiled is a block with tombstones to do harm to.
func spoiled(t *testing.T) (dir string, want content, files []string) {
	parent := t.TempDir()
	lists, want := mixed(t, 5, 25, start)
	meta := write(t, parent, Meta{}, lists, 1<<12)
	dir = filepath.Join(parent, meta.ID.String())
	b := open(t, dir)
	gone := merge.Interval{Min: start + 100_000, Max: start + 110_000}
	require.NoError(t, b.Delete(gone.Min, gone.Max))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		files = append(files, entry.Name())
	}
	require.Greater(t, len(files), 4)
	return dir, want.without(gone, func(string) bool { return true }), files
}

// TestBitFlips turns one bit of a block. A verification must find it; reads must give what was written or an error,
// and all that is not damaged.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	dir, want, files := spoiled(t)
	parent := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom(files).Draw(rt, "file")
		bad := filepath.Join(parent, filepath.Base(dir))
		copyBlock(rt, dir, bad)
		text, err := os.ReadFile(filepath.Join(bad, name))
		require.NoError(rt, err)
		bit := randomOf(rapid.Uint64().Draw(rt, "seed"))("bit", 8*len(text)) // drawn numbers are mostly small
		flipped := bytes.Clone(text)
		flipped[bit/8] ^= 1 << (bit % 8)
		require.NoError(rt, os.WriteFile(filepath.Join(bad, name), flipped, 0o640))

		report, err := Verify(context.Background(), bad)
		require.True(rt, err != nil || !report.OK(), "%s, bit %d is not found", name, bit)
		b, err := Open(bad, Options{})
		if err != nil {
			return
		}
		defer b.Close()
		missing := containedRead(rt, b, want)
		if name != indexName {
			require.LessOrEqual(rt, missing, 25, "one record is at most the time column of all series")
		}
		_, reads := b.Damage()
		require.Equal(rt, missing > 0 && name != indexName, reads > 0 && name != indexName)
	})
}

// containedRead reads a damaged block around the damage: whatever comes is as it was written. It returns how many
// series are not whole.
func containedRead(t require.TestingT, b *Block, want content) (missing int) {
	set, err := b.Select(context.Background(), nil, merge.All.Min, merge.All.Max)
	if err != nil {
		return len(want)
	}
	defer set.Close()
	found := 0
	skip := func(damage error) error {
		var known *DamageError
		require.ErrorAs(t, damage, &known)
		require.Equal(t, b.Meta().ID, known.Block)
		require.NotEmpty(t, known.File)
		found++
		return nil
	}
	set.OnDamage(skip)
	var it merge.Iterator
	it.OnDamage(skip)
	whole := 0
	for set.Next() {
		key := set.Labels().String()
		require.Contains(t, want, key)
		before := found
		it.Reset(merge.All.Min, merge.All.Max, set.Source())
		got := drain(t, &it)
		require.NoError(t, it.Err())
		if len(got) == len(want[key]) {
			require.Equal(t, want[key], got)
			whole++
			continue
		}
		require.Subset(t, want[key], got)
		require.True(t, found > before || found > 0, "samples of %s are missing without a word", key)
	}
	require.NoError(t, set.Err())
	return len(want) - whole
}

// TestCutShort cuts each file of a block at every kind of place: that must be seen when the block is opened.
func TestCutShort(t *testing.T) {
	t.Parallel()
	dir, _, files := spoiled(t)
	parent := t.TempDir()
	for _, name := range files {
		for _, left := range []float64{0, 0.3, 0.99, -1, 2} {
			bad := filepath.Join(parent, filepath.Base(dir))
			copyBlock(t, dir, bad)
			path := filepath.Join(bad, name)
			info, err := os.Stat(path)
			require.NoError(t, err)
			switch {
			case left < 0:
				err = os.Truncate(path, info.Size()-1)
			case left > 1:
				err = os.Truncate(path, info.Size()+5)
			default:
				err = os.Truncate(path, int64(float64(info.Size())*left))
			}
			require.NoError(t, err)
			_, err = Open(bad, Options{})
			require.Error(t, err, "%s cut to %g", name, left)
		}
		if name != tombstonesName {
			bad := filepath.Join(parent, filepath.Base(dir))
			copyBlock(t, dir, bad)
			require.NoError(t, os.Remove(filepath.Join(bad, name)))
			_, err := Open(bad, Options{})
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	}
}

// TestDamageIsCounted holds that damage is told with its place, counted at every read, and that callers decide.
func TestDamageIsCounted(t *testing.T) {
	dir, want, _ := spoiled(t)
	path := filepath.Join(dir, segmentName(0))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text[len(text)-20] ^= 1
	require.NoError(t, os.WriteFile(path, text, 0o640))
	b := open(t, dir)
	_, err = readAll(t, b, merge.All)
	var damage *DamageError
	require.ErrorAs(t, err, &damage)
	require.Equal(t, segmentName(0), damage.File)
	require.Contains(t, damage.Labels, "instance")
	require.ErrorIs(t, err, errChecksum)
	require.ErrorContains(t, err, b.Meta().ID.String())
	require.Positive(t, containedRead(t, b, want))
	places, reads := b.Damage()
	require.Len(t, places, 1)
	require.Greater(t, reads, uint64(1))

	_, err = Merge(context.Background(), t.TempDir(), []*Block{b}, MergeOptions{})
	require.ErrorAs(t, err, &damage)
	parent := t.TempDir()
	var skipped []error
	meta, err := Merge(context.Background(), parent, []*Block{b}, MergeOptions{OnDamage: func(err error) error { skipped = append(skipped, err); return nil }})
	require.NoError(t, err)
	require.NotEmpty(t, skipped)
	require.Less(t, meta.Samples, b.Meta().Samples)
	report, err := Verify(context.Background(), filepath.Join(parent, meta.ID.String()))
	require.NoError(t, err)
	require.True(t, report.OK())

	enough := errors.New("enough")
	set, err := b.Select(context.Background(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "instance", "host-000")}, merge.All.Min, merge.All.Max)
	require.NoError(t, err)
	defer set.Close()
	var it merge.Iterator
	it.OnDamage(func(error) error { return enough })
	for set.Next() {
		it.Reset(merge.All.Min, merge.All.Max, set.Source())
		drain(t, &it)
		if it.Err() != nil {
			require.ErrorIs(t, it.Err(), enough)
		}
	}
}
