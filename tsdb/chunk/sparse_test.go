package chunk

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// someSteps draws numbers most of which are zero, so that their sums stand still.
func someSteps(t *rapid.T) []int64 {
	rate := rapid.IntRange(0, 4).Draw(t, "rate")
	wide := rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64Range(0, 1000), rapid.Int64())
	xs := make([]int64, rapid.IntRange(1, 300).Draw(t, "numbers"))
	for i := range xs {
		if rapid.IntRange(0, 4).Draw(t, "moves") < rate {
			xs[i] = wide.Draw(t, "step")
		}
	}
	return xs
}

// TestSparseIntegersComeBack for any numbers that are mostly zero, and for their sums.
func TestSparseIntegersComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := someSteps(t)
		if rapid.Bool().Draw(t, "sums") {
			for i := range xs[1:] {
				xs[i+1] += xs[i]
			}
		}
		s := new(scratch)
		src := appendInts(nil, append([]int64{}, xs...), nil, s, true)
		in := open("integers", src, len(xs))
		got := decodeInts(nil, in, len(xs))
		require.NoError(t, in.close())
		require.Equal(t, xs, got)
		plain := appendInts(nil, append([]int64{}, xs...), nil, new(scratch), false)
		if s.sparse && len(xs) >= 2*blockLen {
			require.LessOrEqual(t, len(src), len(plain)*9/8+8)
		}
	})
}

// A counter of events, which stands still in three of four scrapes, takes the bits of its steps and one for each scrape.
func TestSparseIsSmall(t *testing.T) {
	r, v := newRand(8), 0.0
	vs := sequence(240, func(int) float64 {
		if r.IntN(4) == 0 {
			v += float64(r.IntN(32))
		}
		return v
	})
	src := AppendValues(nil, vs)
	require.True(t, Sparse(KindDense, src))
	require.Less(t, len(src), (240+70*5)/8+20)
}

// TestSparseIsMarked holds that whatever has a sparse block in it says so in its first byte, or behind its starts.
func TestSparseIsMarked(t *testing.T) {
	steps := sequence(100, func(i int) float64 { return float64(i / 5 * (i / 5) % 40) })
	src := AppendValues(nil, steps)
	require.True(t, Sparse(KindDense, src))
	require.False(t, Sparse(KindXOR, src))
	since := append(AppendStarts(nil, sequence(100, func(i int) int64 { return int64(i) })), src...)
	require.True(t, Sparse(KindDenseStarts, since))
	require.False(t, Sparse(KindDenseStarts, since[:1]))
	require.False(t, Sparse(KindDense, AppendValues(nil, []float64{1, 2, 4})))

	windows := Windows{Last: steps, First: steps, Max: sequence(100, func(i int) float64 { return steps[i] + float64(i%7/6*i) })}
	column := AppendWindows(nil, &windows)
	require.True(t, Sparse(KindWindows, column))
	var got Windows
	require.NoError(t, DecodeWindows(&got, column, 100, AllColumns))
	require.Equal(t, windows.Max, got.Max)

	hs := sequence(100, func(i int) *histogram.FloatHistogram { return &histogram.FloatHistogram{Count: 1, Sum: steps[i]} })
	require.True(t, Sparse(KindFloatHistogram, AppendFloatHistograms(nil, hs)))
}

// TestSparseRefuses what its writer does not make.
func TestSparseRefuses(t *testing.T) {
	column := func(body ...byte) []byte {
		return append([]byte{versionSparse<<4 | formDecimal, 0, byte(modelDelta), 0}, body...)
	}
	_, err := DecodeValues(nil, column(sparseHead+1, 0b101, 2, 0b10), 4)
	require.NoError(t, err)
	for what, body := range map[string][]byte{
		"places behind the last": {sparseHead + 1, 0b1001, 2, 0b10},
		"no place":               {sparseHead + 1, 0, 2},
		"places cut off":         {sparseHead + 1},
		"numbers cut off":        {sparseHead + 20, 0b111, 2, 1},
		"too many exceptions":    {flagExceptions | sparseHead, 0b101, 2, 3, 0, 1, 2, 2, 2, 2},
		"an exception too far":   {flagExceptions | sparseHead, 0b101, 2, 1, 2, 2},
	} {
		_, err := DecodeValues(nil, column(body...), 4)
		require.ErrorIs(t, err, ErrCorrupt, what)
	}
}

// TestZstdIsTriedWhereItGains: where few numbers are frequent, or stretches come again.
func TestZstdIsTriedWhereItGains(t *testing.T) {
	r := newRand(2)
	rare := sequence(400, func(int) float64 {
		return math.Floor(math.Exp(3*r.NormFloat64())) * float64(1+r.IntN(2)*7919)
	})
	again := sequence(400, func(i int) float64 { return float64((i%40)*7919%997*1000 + i%40) })
	for name, vs := range map[string][]float64{"rare": rare, "again": again} {
		src := AppendValues(nil, vs)
		require.True(t, src[0]&15 == formZstd || src[2]&flagZstd != 0, "%s is packed by zstd", name)
	}
}
