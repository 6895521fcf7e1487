package rollup

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
)

// TestManyAtOnce holds that samples give the same windows, bit for bit, all at once as one by one.
func TestManyAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window = 300_000
		ts, vs := split(someSamples(t, window, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, -math.MaxFloat64, 1e300, 0.1, 1e-300, math.Copysign(0, -1)))
		var one, all chunk.Windows
		b := NewBuilder(&one, window)
		for i := range ts {
			require.NoError(t, b.Add(ts[i], vs[i]))
		}
		b.Flush()
		require.NoError(t, Append(&all, window, ts, vs))
		require.Equal(t, one.End, all.End)
		require.Equal(t, one.FirstT, all.FirstT)
		require.Equal(t, one.LastT, all.LastT)
		for i, columns := range [][2][]float64{{one.Count, all.Count}, {one.Sum, all.Sum}, {one.Min, all.Min}, {one.Max, all.Max}, {one.Last, all.Last}, {one.First, all.First}, {one.Increase, all.Increase}} {
			for row := range columns[0] {
				require.Equal(t, math.Float64bits(columns[0][row]), math.Float64bits(columns[1][row]), "column %d, row %d", i, row)
			}
		}
	})
}
