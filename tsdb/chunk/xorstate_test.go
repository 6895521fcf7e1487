package chunk_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/chunk"
)

// TestXORStateGoesOn saves the state of a growing chunk at every length, lets another one go on from it, and finds the
// same bytes as without.
func TestXORStateGoesOn(t *testing.T) {
	ts, vs := series(40)
	for cut := range ts {
		var x, again chunk.XOR
		buf, other := make([]byte, 4096), make([]byte, 4096)
		for i := range cut {
			require.True(t, x.Append(buf, ts[i], vs[i]))
		}
		state := x.AppendState(nil)
		require.Len(t, state, chunk.StateSize)
		require.NoError(t, again.LoadState(state))
		copy(other, buf[:x.Flushed()])
		for i := cut; i < len(ts); i++ {
			require.True(t, x.Append(buf, ts[i], vs[i]))
			require.True(t, again.Append(other, ts[i], vs[i]))
		}
		require.Equal(t, x.AppendTo(nil, buf), again.AppendTo(nil, other))
	}
}

func TestXORStateRefusesWhatAppendingDoesNotMake(t *testing.T) {
	var x chunk.XOR
	buf := make([]byte, 4096)
	require.True(t, x.Append(buf, 1, 2))
	good := x.AppendState(nil)
	require.NoError(t, x.LoadState(good))
	for what, change := range map[string]func([]byte){
		"bits of no samples":   func(b []byte) { b[36] = 0 },
		"samples without bits": func(b []byte) { b[36] = 9 },
		"a window too far":     func(b []byte) { b[38] = 32 },
		"a window too wide":    func(b []byte) { b[39] = 65 },
	} {
		bad := append([]byte(nil), good...)
		change(bad)
		require.Error(t, x.LoadState(bad), what)
	}
	require.Error(t, x.LoadState(good[1:]))
}
