package durable

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/merge"
)

// TestPlainReadsWhatSourcesDo writes series of several kinds, late samples and deletions among them, and reads random
// stretches of time by both ways.
func TestPlainReadsWhatSourcesDo(t *testing.T) {
	plain, tails := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		h := newHead(400_000)
		id, at, v := uint32(rng.IntN(2*pageSize)), int64(1000), 0.0
		p := h.pages.grow(id)
		p.enter(id, 1)
		s := &p.series[id%pageSize]
		write := func(t0 int64, value float64) {
			p.mu.Lock()
			defer p.mu.Unlock()
			require.NoError(t, h.put(s, id, t0, value))
		}
		kind := rng.IntN(3)
		for range 20 + rng.IntN(400) {
			at += 1000 + rng.Int64N(5)
			if kind > 0 && rng.IntN(4) == 0 {
				v = [...]float64{0, v + float64(rng.IntN(9)), rng.NormFloat64()}[kind]
			}
			write(at, v)
			switch rng.IntN(300) {
			case 0:
				write(at-rng.Int64N(3000), -1)
			case 1:
				require.NoError(t, h.delete(roaring.BitmapOf(id), at-rng.Int64N(90_000), at-rng.Int64N(20_000)))
			}
			if rng.IntN(8) > 0 {
				continue
			}
			minT, maxT := at-rng.Int64N(60_000), at+1-rng.Int64N(20_000)
			spans := h.acquire(minT, maxT)
			var f floats
			if h.plain(&f, id, 1, spans, minT, maxT) {
				require.True(t, f.decode(minT, maxT))
				if plain++; f.byTail {
					tails++
				}
				requireSources(t, h, id, spans, minT, maxT, &f.found)
			}
			spans.release()
		}
		h.close()
	}
	require.Greater(t, plain, 1000)
	require.Greater(t, tails, plain/4)
}

// requireSources holds columns against what the sources of a series give.
func requireSources(t *testing.T, h *head, id uint32, spans held, minT, maxT int64, got *merge.Columns) {
	t.Helper()
	var all parts
	h.sources(&all, id, 1, spans, minT, maxT)
	var it merge.Iterator
	it.Reset(minT, maxT, all.sources...)
	n := 0
	for ; it.Next() == chunkenc.ValFloat; n++ {
		wantT, want := it.At()
		require.Less(t, n, len(got.Times), "from %d to %d", minT, maxT)
		require.Equal(t, []any{wantT, math.Float64bits(want)}, []any{got.Times[n], math.Float64bits(got.Values[n])})
	}
	require.NoError(t, it.Err())
	require.Len(t, got.Times, n)
}
