package merge

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFloats reads random sources in arrays, with leaps, and compares with a walk by Seek and Next.
func TestFloats(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var sources []Source
		for rank := range 1 + rng.IntN(3) {
			sources = append(sources, Source{Chunks: rawChunks(rng), Rank: uint64(rank)})
		}
		var arrays, walk Iterator
		arrays.Reset(5, 290, sources...)
		walk.Reset(5, 290, sources...)
		from := int64(math.MinInt64)
		kind := walk.Next()
		for {
			times, values, starts, got := arrays.Floats(from)
			if got == chunkenc.ValNone {
				break
			}
			require.Equal(t, chunkenc.ValFloat, got)
			require.Len(t, values, len(times))
			assert.Empty(t, starts)
			for i, at := range times {
				wantT, want := walk.At()
				require.Equal(t, []any{wantT, want}, []any{at, values[i]}, "seed %d", seed)
				kind = walk.Next()
			}
			if rng.IntN(3) == 0 && kind != chunkenc.ValNone {
				from = times[len(times)-1] + rng.Int64N(60)
				kind = walk.Seek(from)
			}
		}
		require.Equal(t, chunkenc.ValNone, kind, "seed %d", seed)
	}
}

// rawChunks are up to three runs of samples, one after the other.
func rawChunks(rng *rand.Rand) (all []Chunk) {
	at := rng.Int64N(50)
	for range 1 + rng.IntN(3) {
		c := &Columns{Type: chunkenc.ValFloat}
		for range 1 + rng.IntN(30) {
			at += 1 + rng.Int64N(6)
			c.Times, c.Values = append(c.Times, at), append(c.Values, rng.Float64())
		}
		chunk, _ := NewRaw(c)
		all = append(all, chunk)
	}
	return all
}

// TestResetColumns walks over columns handed in whole, by random steps, and compares with a source of the same.
func TestResetColumns(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 4))
		c := &Columns{Type: chunkenc.ValFloat}
		for at := int64(0); len(c.Times) < rng.IntN(40); {
			at += 1 + rng.Int64N(6)
			c.Times, c.Values = append(c.Times, at), append(c.Values, rng.Float64())
		}
		var got, want Iterator
		var sources []Source
		if chunk, ok := NewRaw(c); ok {
			sources = append(sources, Source{Chunks: []Chunk{chunk}})
		}
		for range 2 { // the same iterators again
			got.ResetColumns(c)
			want.Reset(math.MinInt64, math.MaxInt64, sources...)
			arrays := rng.IntN(3) == 0
			for from := int64(0); ; {
				from += rng.Int64N(9)
				if arrays {
					ts, vs, _, kind := got.Floats(from)
					wantT, wantV, _, wantKind := want.Floats(from)
					require.Equal(t, []any{wantT, wantV, wantKind}, []any{ts, vs, kind}, "seed %d", seed)
					if kind == chunkenc.ValNone {
						break
					}
					continue
				}
				kind, wantKind := got.Seek(from), want.Seek(from)
				if rng.IntN(2) == 0 {
					kind, wantKind = got.Next(), want.Next()
				}
				require.Equal(t, wantKind, kind, "seed %d", seed)
				if kind == chunkenc.ValNone {
					break
				}
				wantT, wantV := want.At()
				gotT, gotV := got.At()
				require.Equal(t, []any{wantT, wantV}, []any{gotT, gotV}, "seed %d", seed)
			}
		}
	}
}
