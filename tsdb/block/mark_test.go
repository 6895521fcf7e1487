package block

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/merge"
)

// TestMarks holds that a series is read from its mark on as it is read at once, also when the set is elsewhere by then.
func TestMarks(t *testing.T) {
	lists, _ := mixed(t, 7, 12, start)
	parent := t.TempDir()
	write(t, parent, Meta{ID: goldenID, Level: 1}, lists, maxSegment)
	b := open(t, filepath.Join(parent, goldenID.String()))
	all := chunksOf(t, b)
	rapid.Check(t, func(t *rapid.T) {
		meta := b.Meta()
		from := rapid.Int64Range(meta.MinTime-10, meta.MaxTime+10).Draw(t, "from")
		span := merge.Interval{Min: from, Max: from + rapid.Int64Range(0, meta.MaxTime-meta.MinTime).Draw(t, "length")}
		set, err := b.Select(context.Background(), nil, span.Min, span.Max)
		require.NoError(t, err)
		defer set.Close()
		set.MarkOnly()
		marks := map[uint32]Mark{}
		for set.Next() {
			marks[set.Ordinal()] = set.Mark()
		}
		require.NoError(t, set.Err())
		for series, chunks := range all {
			var want []Chunk
			for _, c := range chunks {
				if c.Max >= span.Min && c.Min <= span.Max {
					want = append(want, c)
				}
			}
			m, found := marks[uint32(series)]
			require.Equal(t, len(want) > 0, found)
			got, err := b.AppendFrom(nil, uint32(series), m, span, nil)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}

// TestMarksOfOtherCaches: blocks that do not share a cache have the same names in theirs, and nothing else in common.
func TestMarksOfOtherCaches(t *testing.T) {
	for i := range int64(3) {
		times, values := []int64{}, []float64{}
		for n := range int64(20) {
			times, values = append(times, start+i*hour+n*15_000), append(values, float64(n))
		}
		parent := t.TempDir()
		meta := write(t, parent, Meta{Level: 1}, []rows{{lset(0), []Chunk{merge.NewDense(nil, nil, times, values)}}}, maxSegment)
		b := open(t, filepath.Join(parent, meta.ID.String()))
		set, err := b.Select(context.Background(), nil, times[0], times[19])
		require.NoError(t, err)
		set.MarkOnly()
		require.True(t, set.Next(), "the samples are from %d on", times[0])
		require.NoError(t, set.Close())
	}
}
