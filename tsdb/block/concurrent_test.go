package block

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/merge"
)

// TestConcurrent reads a block from several sides while it is deleted from, merged and closed: everyone sees either
// all or nothing of a deletion, and nobody what is unmapped.
func TestConcurrent(t *testing.T) {
	parent := t.TempDir()
	lists, want := mixed(t, 6, 30, start)
	meta := write(t, parent, Meta{}, lists, maxSegment)
	b, err := Open(filepath.Join(parent, meta.ID.String()), Options{Times: NewTimesCache(2)})
	require.NoError(t, err)
	span := merge.Interval{Min: start + 100_000, Max: start + 400_000}
	less := want.without(span, func(key string) bool { return strings.Contains(key, "host-002") })
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				set, err := b.Select(context.Background(), nil, merge.All.Min, merge.All.Max)
				if err != nil {
					return // closed
				}
				got := content{}
				var it merge.Iterator
				for set.Next() {
					it.Reset(merge.All.Min, merge.All.Max, set.Source())
					got[set.Labels().String()] = drain(t, &it)
				}
				assert.NoError(t, set.Err())
				assert.NoError(t, set.Close())
				assert.True(t, assert.ObjectsAreEqual(want, got) || assert.ObjectsAreEqual(less, got))
			}
		})
	}
	all.Go(func() {
		assert.NoError(t, b.Delete(span.Min, span.Max, labels.MustNewMatcher(labels.MatchEqual, "instance", "host-002")))
		_, err := Merge(context.Background(), parent, []*Block{b}, MergeOptions{})
		assert.NoError(t, err)
		assert.NoError(t, b.Close())
	})
	all.Wait()
	got, err := readAll(t, open(t, b.Dir()), merge.All)
	require.NoError(t, err)
	require.Equal(t, less, got)
}
