package chunk

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// someLayout draws spans and custom bounds, right ones and others.
func someLayout(r *rand.Rand) layout {
	spans := func() (spans []histogram.Span) {
		for range r.IntN(4) {
			spans = append(spans, histogram.Span{Offset: int32(r.Uint32() >> r.IntN(32)), Length: r.Uint32() >> r.IntN(32)})
		}
		return spans
	}
	l := layout{
		schema: int32(r.IntN(12) - 4), threshold: bitsOf(nasty[r.IntN(len(nasty))]), positive: spans(), negative: spans(),
		nPositive: r.IntN(9), nNegative: r.IntN(3),
	}
	if r.IntN(3) == 0 {
		l.schema = histogram.CustomBucketsSchema
		for range 1 + r.IntN(5) {
			l.custom = append(l.custom, nasty[r.IntN(len(nasty))])
		}
	}
	return l
}

func someHistograms(t *rapid.T) (hs []*histogram.Histogram) {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	l := someLayout(r)
	var totals [12]int64
	for range rapid.IntRange(0, 150).Draw(t, "n") {
		if r.IntN(40) == 0 {
			l = someLayout(r)
		}
		h := &histogram.Histogram{
			CounterResetHint: histogram.CounterResetHint(r.IntN(4)), Schema: l.schema, ZeroThreshold: math.Float64frombits(l.threshold),
			ZeroCount: r.Uint64() >> r.IntN(64), Count: r.Uint64() >> r.IntN(64), Sum: r.NormFloat64(),
			PositiveSpans: l.positive, NegativeSpans: l.negative, CustomValues: l.custom,
		}
		for i := range totals {
			totals[i] += int64(r.IntN(100))
		}
		var last int64
		for i := range l.nPositive {
			h.PositiveBuckets = append(h.PositiveBuckets, totals[i]-last)
			last = totals[i]
		}
		for range l.nNegative {
			h.NegativeBuckets = append(h.NegativeBuckets, int64(r.Uint64()))
		}
		if r.IntN(30) == 0 {
			h = &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
		}
		hs = append(hs, h)
	}
	return hs
}

// toFloat keeps what ToFloat of Histogram leaves out for odd layouts.
func toFloat(h *histogram.Histogram, r *rand.Rand) *histogram.FloatHistogram {
	some := func(n int) (vs []float64) {
		for range n {
			vs = append(vs, nasty[r.IntN(len(nasty))])
		}
		return vs
	}
	return &histogram.FloatHistogram{
		CounterResetHint: h.CounterResetHint, Schema: h.Schema, ZeroThreshold: h.ZeroThreshold,
		ZeroCount: r.Float64(), Count: float64(h.Count), Sum: h.Sum,
		PositiveSpans: h.PositiveSpans, NegativeSpans: h.NegativeSpans, CustomValues: h.CustomValues,
		PositiveBuckets: some(len(h.PositiveBuckets)), NegativeBuckets: some(len(h.NegativeBuckets)),
	}
}

// image is a histogram as what tests can compare: every float by its bits.
type image struct {
	hint               histogram.CounterResetHint
	schema             int32
	floats             [][]uint64
	counts             []uint64
	deltas             [][]int64
	positive, negative []histogram.Span
}

func imageOf(h *histogram.Histogram) image {
	return image{
		h.CounterResetHint, h.Schema, [][]uint64{bitsOfAll([]float64{h.ZeroThreshold, h.Sum}), bitsOfAll(h.CustomValues)},
		[]uint64{h.ZeroCount, h.Count}, [][]int64{h.PositiveBuckets, h.NegativeBuckets}, h.PositiveSpans, h.NegativeSpans,
	}
}

func imageOfFloat(h *histogram.FloatHistogram) image {
	return image{
		h.CounterResetHint, h.Schema, [][]uint64{
			bitsOfAll([]float64{h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum}), bitsOfAll(h.CustomValues),
			bitsOfAll(h.PositiveBuckets), bitsOfAll(h.NegativeBuckets),
		}, nil, nil, h.PositiveSpans, h.NegativeSpans,
	}
}

func images[H any](hs []H, of func(H) image) []image {
	is := make([]image, len(hs))
	for i, h := range hs {
		is[i] = of(h)
	}
	return is
}

func TestHistogramsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hs := someHistograms(t)
		want := images(hs, imageOf)
		src := AppendHistograms(nil, hs)
		got, err := DecodeHistograms(nil, src, len(hs))
		require.NoError(t, err)
		require.Equal(t, want, images(got, imageOf))
		for i, h := range got { // what one does to a histogram does not show in the others
			if i%2 == 0 {
				spoil(h)
			}
		}
		for i, h := range got {
			if i%2 == 1 {
				require.Equal(t, want[i], imageOf(h))
			}
		}
		require.Equal(t, want, images(hs, imageOf))
		_, err = DecodeHistograms(nil, append(src, 0), len(hs))
		require.ErrorIs(t, err, ErrCorrupt)
	})
}

// spoil changes and appends to every slice that belongs to a histogram.
func spoil(h *histogram.Histogram) {
	for _, spans := range []*[]histogram.Span{&h.PositiveSpans, &h.NegativeSpans} {
		for i := range *spans {
			(*spans)[i].Length++
		}
		*spans = append(*spans, histogram.Span{Offset: 77})
	}
	for _, buckets := range []*[]int64{&h.PositiveBuckets, &h.NegativeBuckets} {
		for i := range *buckets {
			(*buckets)[i]++
		}
		*buckets = append(*buckets, 77, 78, 79)
	}
}

func TestFloatHistogramsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(1, 2))
		var hs []*histogram.FloatHistogram
		for _, h := range someHistograms(t) {
			hs = append(hs, toFloat(h, r))
		}
		src := AppendFloatHistograms(nil, hs)
		got, err := DecodeFloatHistograms(nil, src, len(hs))
		require.NoError(t, err)
		require.Equal(t, images(hs, imageOfFloat), images(got, imageOfFloat))
		_, err = DecodeFloatHistograms(nil, append(src, 0), len(hs))
		require.ErrorIs(t, err, ErrCorrupt)
	})
}

// filling is what an exporter shows: a histogram whose buckets fill.
func filling(n, buckets int) []*histogram.Histogram {
	r := rand.New(rand.NewPCG(7, 7))
	counts := make([]int64, buckets)
	hs := make([]*histogram.Histogram, n)
	h := histogram.Histogram{Schema: 3, ZeroThreshold: 1e-128, PositiveSpans: []histogram.Span{{Offset: -4, Length: uint32(buckets)}}}
	for i := range hs {
		last := int64(0)
		h.PositiveBuckets = make([]int64, buckets)
		for b := range counts {
			seen := int64(r.IntN(2 + 20/(1+(b-buckets/2)*(b-buckets/2))))
			counts[b] += seen
			h.Count += uint64(seen)
			h.Sum += float64(seen) * math.Ldexp(1, b/8)
			h.PositiveBuckets[b] = counts[b] - last
			last = counts[b]
		}
		hs[i] = h.Copy()
	}
	return hs
}

func BenchmarkHistograms(b *testing.B) {
	const n, buckets = 120, 30
	hs := filling(n, buckets)
	src := AppendHistograms(nil, hs)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			src = AppendHistograms(src[:0], hs)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/histogram")
		b.ReportMetric(float64(len(src))/n, "B/histogram")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodeHistograms(nil, src, n); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/histogram")
	})
}
