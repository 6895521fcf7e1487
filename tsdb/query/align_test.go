package query_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/query"
)

// TestAligned holds that a range begins at a multiple of its step, less than a step earlier.
func TestAligned(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		step := rapid.Int64Range(1, 8*24*3600_000).Draw(r, "step")
		start := rapid.Int64Range(-1e13, 1e13).Draw(r, "start")
		given := query.Range{Start: time.UnixMilli(start), End: time.UnixMilli(start + 5), Step: time.Duration(step) * time.Millisecond}
		aligned := given.Aligned()
		require.Zero(r, aligned.Start.UnixMilli()%step)
		require.Less(r, start-aligned.Start.UnixMilli(), step)
		require.False(r, aligned.Start.After(given.Start))
		require.Equal(r, given.End, aligned.End)
		require.Equal(r, aligned, aligned.Aligned())
	})
	once := query.Range{Start: time.UnixMilli(17)}
	assert.Equal(t, once, once.Aligned())
}
