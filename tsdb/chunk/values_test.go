package chunk

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// nasty are values that codecs like to lose.
var nasty = []float64{
	0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(value.StaleNaN),
	math.Float64frombits(value.NormalNaN), math.Float64frombits(0xfff8000000000123), math.MaxFloat64, -math.MaxFloat64,
	math.SmallestNonzeroFloat64, math.MaxInt64, math.MinInt64, math.MaxUint64, 1 << 53, 1<<53 - 1, 1<<53 + 2, -(1 << 53), 1 << 62,
	0.1, 0.2, 0.1 + 0.2, 1e-22, 1e-23, 1e22, 1e23, 1.0 / 3, 4096, 123456.789, math.Pi,
}

// bitsOfAll makes values comparable.
func bitsOfAll(vs []float64) []uint64 {
	bs := make([]uint64, len(vs))
	for i, v := range vs {
		bs[i] = bitsOf(v)
	}
	return bs
}

// someValues draws a series of one of many kinds, spoilt here and there by something nasty.
func someValues(t *rapid.T) []float64 {
	n := rapid.IntRange(0, 600).Draw(t, "n")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	kinds := workloads()
	kinds = append(kinds,
		workload{"bits", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 0, func(float64) float64 { return math.Float64frombits(r.Uint64()) })
		}},
		workload{"nasty", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 0, func(float64) float64 { return nasty[r.IntN(len(nasty))] })
		}},
		workload{"states", func(r *rand.Rand, n int) []float64 {
			states := []float64{math.Pi, math.E, r.NormFloat64()}
			return walk(r, n, 0, func(float64) float64 { return states[r.IntN(len(states))] })
		}},
		workload{"spikes", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 0, func(float64) float64 { return math.Round(math.Exp(r.ExpFloat64() * 4)) })
		}},
		workload{"resets", func(r *rand.Rand, n int) []float64 {
			return walk(r, n, 1e9, func(v float64) float64 {
				if r.IntN(50) == 0 {
					return 0
				}
				return v + float64(r.IntN(1000))
			})
		}},
	)
	vs := kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")].make(r, n)
	for range rapid.SampledFrom([]int{0, 0, 1, 3, n / 3}).Draw(t, "spoilt") {
		if n > 0 {
			from := r.IntN(n)
			v := nasty[r.IntN(len(nasty))]
			for i := from; i < min(n, from+1+r.IntN(3)); i++ {
				vs[i] = v
			}
		}
	}
	return vs
}

func TestValuesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vs := someValues(t)
		src := AppendValues([]byte("front"), vs)
		require.Equal(t, "front", string(src[:5]))
		got, err := DecodeValues([]float64{42}, src[5:], len(vs))
		require.NoError(t, err)
		require.Equal(t, bitsOfAll(append([]float64{42}, vs...)), bitsOfAll(got))
		// A prefix and a longer column are errors, and dst comes back as it was.
		for _, cut := range [][]byte{src[5 : len(src)-1], append(src[5:], 0)} {
			if got, err = DecodeValues([]float64{42}, cut, len(vs)); err != nil {
				require.ErrorIs(t, err, ErrCorrupt)
				require.Equal(t, []float64{42}, got)
			} else {
				t.Fatal("no error")
			}
		}
	})
}
