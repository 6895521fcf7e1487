package rollup

import (
	"math"
	"math/big"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
)

var stale = math.Float64frombits(value.StaleNaN)

// sample is a raw sample.
type sample struct {
	t int64
	v float64
}

func split(ss []sample) (ts []int64, vs []float64) {
	for _, s := range ss {
		ts, vs = append(ts, s.t), append(vs, s.v)
	}
	return ts, vs
}

// someSamples draws a series: a counter that begins again at times, or a gauge, with gaps from none to many windows,
// stale markers, and whatever else is given.
func someSamples(t *rapid.T, window int64, others ...float64) (ss []sample) {
	at := rapid.Int64Range(-3*window, 3*window).Draw(t, "start")
	counter := rapid.Bool().Draw(t, "counter")
	v := 0.0
	for range rapid.IntRange(0, 60).Draw(t, "samples") {
		switch {
		case !counter:
			v = float64(rapid.IntRange(-1000, 1000).Draw(t, "value")) / 4
		case rapid.IntRange(0, 7).Draw(t, "reset") == 0:
			v = float64(rapid.IntRange(0, 3).Draw(t, "from"))
		default:
			v += float64(rapid.IntRange(0, 500).Draw(t, "rise")) / 4
		}
		s := sample{at, v}
		if kind := rapid.IntRange(0, 12).Draw(t, "kind"); kind == 0 {
			s.v = stale
		} else if kind == 1 && len(others) > 0 {
			s.v = rapid.SampledFrom(others).Draw(t, "other")
		}
		ss = append(ss, s)
		at += rapid.SampledFrom([]int64{1, window / 20, window / 20, window / 20, window / 3, window, window + 1, 7 * window}).Draw(t, "gap")
	}
	return ss
}

// naive makes the windows sample by sample out of what they are said to be.
func naive(ss []sample, window int64) (w chunk.Windows) {
	groups := map[int64][]sample{}
	var ends []int64
	for _, s := range ss {
		if math.Float64bits(s.v) == value.StaleNaN {
			continue
		}
		end := int64(math.Ceil(float64(s.t)/float64(window))) * window
		if groups[end] == nil {
			ends = append(ends, end)
		}
		groups[end] = append(groups[end], s)
	}
	for _, end := range ends {
		g := groups[end]
		first, last := g[0], g[len(g)-1]
		low, high := math.NaN(), math.NaN()
		for _, s := range g {
			if s.v < low || math.IsNaN(low) {
				low = s.v
			}
			if s.v > high || math.IsNaN(high) {
				high = s.v
			}
		}
		w.End = append(w.End, end)
		w.FirstT, w.First = append(w.FirstT, first.t), append(w.First, first.v)
		w.LastT, w.Last = append(w.LastT, last.t), append(w.Last, last.v)
		w.Count, w.Sum = append(w.Count, float64(len(g))), append(w.Sum, exactSum(g))
		w.Min, w.Max = append(w.Min, low), append(w.Max, high)
		w.Increase = append(w.Increase, increase(g))
	}
	return w
}

// increase is PromQL's, before it extrapolates: the last value less the first, and what each reset has lost.
func increase(ss []sample) float64 {
	sum := ss[len(ss)-1].v - ss[0].v
	for i := 1; i < len(ss); i++ {
		if ss[i].v < ss[i-1].v {
			sum += ss[i-1].v
		}
	}
	return sum
}

// exactSum adds without rounding until the end.
func exactSum(ss []sample) float64 {
	exact := new(big.Float).SetPrec(4000)
	plain := 0.0
	for _, s := range ss {
		if plain += s.v; math.IsNaN(s.v) || math.IsInf(s.v, 0) {
			exact = nil
		}
		if exact != nil {
			exact.Add(exact, big.NewFloat(s.v))
		}
	}
	if exact == nil {
		return plain
	}
	sum, _ := exact.Float64()
	return sum
}

// columnsOf lists the columns as bits, which compare as they are.
func columnsOf(w chunk.Windows) (ends [3][]int64, bits [7][]uint64) {
	for i, c := range [][]int64{w.End, w.FirstT, w.LastT} {
		ends[i] = append([]int64{}, c...)
	}
	for i, c := range [][]float64{w.Count, w.Sum, w.Min, w.Max, w.Last, w.First, w.Increase} {
		bits[i] = []uint64{}
		for _, v := range c {
			if math.IsNaN(v) {
				v = math.NaN() // processors and sums make different ones
			}
			bits[i] = append(bits[i], math.Float64bits(v+0)) // one zero
		}
	}
	return ends, bits
}

func requireSame(t require.TestingT, want, got chunk.Windows) {
	if h, ok := t.(*testing.T); ok {
		h.Helper()
	}
	wantT, wantV := columnsOf(want)
	gotT, gotV := columnsOf(got)
	require.Equal(t, wantT, gotT)
	require.Equal(t, wantV, gotV)
}
