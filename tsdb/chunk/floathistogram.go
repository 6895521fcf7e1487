package chunk

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
)

// floatCodec has columns of values.
var floatCodec = codec[float64]{
	append: func(dst []byte, vs []float64, s *scratch) []byte { return s.appendValues(dst, vs) },
	decode: decodeValues,
}

// AppendFloatHistograms appends a column of native histograms with counts that may be fractions. Empty slices and nil
// ones are the same to it, all else comes back bit for bit. It panics for more than MaxSamples.
func AppendFloatHistograms(dst []byte, hs []*histogram.FloatHistogram) []byte {
	rows := make([]row[float64], len(hs))
	for i, h := range hs {
		rows[i] = row[float64]{
			layout: layout{
				schema: h.Schema, threshold: bitsOf(h.ZeroThreshold), positive: h.PositiveSpans, negative: h.NegativeSpans,
				nPositive: len(h.PositiveBuckets), nNegative: len(h.NegativeBuckets), custom: h.CustomValues,
			},
			hint: byte(h.CounterResetHint), zero: h.ZeroCount, count: h.Count, sum: h.Sum,
			buckets: slices.Concat(h.PositiveBuckets, h.NegativeBuckets),
		}
	}
	return appendRows(dst, rows, floatCodec)
}

// DecodeFloatHistograms appends the n histograms of a column to dst. They are the caller's; only custom bounds, which
// are never changed, are shared among them. Errors wrap ErrCorrupt; dst is then returned as it came.
func DecodeFloatHistograms(dst []*histogram.FloatHistogram, src []byte, n int) ([]*histogram.FloatHistogram, error) {
	rows, err := decodeRows(open("float histograms", src, n), n, floatCodec)
	if err != nil {
		return dst, err
	}
	hs := make([]histogram.FloatHistogram, n)
	for i := range rows {
		r := &rows[i]
		hs[i] = histogram.FloatHistogram{
			CounterResetHint: histogram.CounterResetHint(r.hint), Schema: r.layout.schema,
			ZeroThreshold: math.Float64frombits(r.layout.threshold), ZeroCount: r.zero, Count: r.count, Sum: r.sum,
			PositiveSpans: r.layout.positive, NegativeSpans: r.layout.negative, CustomValues: r.layout.custom,
			PositiveBuckets: r.positive(), NegativeBuckets: r.negative(),
		}
		dst = append(dst, &hs[i])
	}
	return dst, nil
}
