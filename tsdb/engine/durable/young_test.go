package durable

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

// TestDamageInTheHeadIsLeftOut spoils a chunk that has ended: it is told, and what is in the others is read.
func TestDamageInTheHeadIsLeftOut(t *testing.T) {
	s, err := Open(t.TempDir(), imageOptions())
	require.NoError(t, err)
	defer s.Close()
	ref, err := s.Ref(labels.FromStrings("__name__", "a"))
	require.NoError(t, err)
	batch := engine.Batch{}
	for i := range int64(40) {
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: i * 15_000, V: float64(i)})
	}
	_, err = s.Append(t.Context(), batch)
	require.NoError(t, err)
	set, err := s.Select(t.Context(), engine.Selection{Max: 600_000, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "a")}})
	require.NoError(t, err)
	defer set.Close()
	require.True(t, set.Next())
	id, _ := splitRef(uint64(ref))
	e, ok := s.head.ended(set.(*youngAnswer).stream.spans, s.head.pages.get(id).series[id%pageSize].done)
	require.True(t, ok)
	e.data[0], e.data[1] = 0xff, 0xff // it has more samples than bytes

	n, it := 0, set.At().Iterator(nil)
	for it.Next() == chunkenc.ValFloat {
		n++
	}
	require.NoError(t, it.Err())
	require.Positive(t, n)
	require.Less(t, n, 40)
	require.EqualValues(t, 1, s.counters.damaged.Load())
}
