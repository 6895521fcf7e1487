package chunk_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/chunk"
)

// TestTail marks a chunk behind each of its samples, lets it grow, and decodes what follows the mark.
func TestTail(t *testing.T) {
	ts, vs := series(90)
	var tail chunk.Tail
	for cut := 1; cut <= len(ts); cut++ {
		var x chunk.XOR
		buf, mark := make([]byte, 4096), make([]byte, chunk.ResumeSize)
		for i := range ts {
			require.True(t, x.Append(buf, ts[i], vs[i]))
			if i+1 == cut {
				require.True(t, x.MarkResume(mark))
			}
		}
		require.Equal(t, ts[cut-1], chunk.ResumeTime(mark))
		x.CopyTail(&tail, buf, mark, cut)
		gotT, gotV, err := tail.Decode([]int64{1}, []float64{2})
		require.NoError(t, err)
		require.Equal(t, append([]int64{1}, ts[cut:]...), gotT)
		require.Equal(t, len(vs[cut:]), len(gotV)-1)
		for i, v := range vs[cut:] {
			require.Equal(t, math.Float64bits(v), math.Float64bits(gotV[i+1]))
		}
	}
}

// TestMarkRefusesWhatDoesNotFit asks for marks behind samples that lie too far apart, and in a chunk that is too long.
func TestMarkRefusesWhatDoesNotFit(t *testing.T) {
	var x chunk.XOR
	buf, mark := make([]byte, 1<<16), make([]byte, chunk.ResumeSize)
	require.True(t, x.Append(buf, 0, 1))
	require.True(t, x.Append(buf, 1<<40, 1))
	require.False(t, x.MarkResume(mark))
	x = chunk.XOR{}
	for i := range 2000 {
		require.True(t, x.Append(buf, int64(i)*int64(i)*int64(i), float64(i)/3))
	}
	require.False(t, x.MarkResume(mark))
}
