package chunk

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
)

// intCodec has columns of integers. Unsigned counts are kept by their bits.
var intCodec = codec[int64]{
	append: func(dst []byte, xs []int64, s *scratch) []byte {
		s.ints = append(s.ints[:0], xs...)
		return appendInts(dst, s.ints, nil, s, false)
	},
	decode: decodeInts,
}

// AppendHistograms appends a column of native histograms. Empty slices and nil ones are the same to it, all else
// comes back as it was. It panics for more than MaxSamples.
func AppendHistograms(dst []byte, hs []*histogram.Histogram) []byte {
	rows := make([]row[int64], len(hs))
	for i, h := range hs {
		rows[i] = row[int64]{
			layout: layout{
				schema: h.Schema, threshold: bitsOf(h.ZeroThreshold), positive: h.PositiveSpans, negative: h.NegativeSpans,
				nPositive: len(h.PositiveBuckets), nNegative: len(h.NegativeBuckets), custom: h.CustomValues,
			},
			hint: byte(h.CounterResetHint), zero: int64(h.ZeroCount), count: int64(h.Count), sum: h.Sum,
			buckets: append(totals(nil, h.PositiveBuckets), totals(nil, h.NegativeBuckets)...),
		}
	}
	return appendRows(dst, rows, intCodec)
}

// totals appends the counts that the differences of buckets stand for: over time they rise more evenly.
func totals(dst, deltas []int64) []int64 {
	var total int64
	for _, d := range deltas {
		total += d
		dst = append(dst, total)
	}
	return dst
}

// differences turns counts back into differences, in place.
func differences(counts []int64) []int64 {
	var last int64
	for i, c := range counts {
		counts[i], last = c-last, c
	}
	return counts
}

// DecodeHistograms appends the n histograms of a column to dst. They are the caller's; only custom bounds, which are
// never changed, are shared among them. Errors wrap ErrCorrupt; dst is then returned as it came.
func DecodeHistograms(dst []*histogram.Histogram, src []byte, n int) ([]*histogram.Histogram, error) {
	rows, err := decodeRows(open("histograms", src, n), n, intCodec)
	if err != nil {
		return dst, err
	}
	hs := make([]histogram.Histogram, n)
	for i := range rows {
		r := &rows[i]
		hs[i] = histogram.Histogram{
			CounterResetHint: histogram.CounterResetHint(r.hint), Schema: r.layout.schema,
			ZeroThreshold: math.Float64frombits(r.layout.threshold), ZeroCount: uint64(r.zero), Count: uint64(r.count), Sum: r.sum,
			PositiveSpans: r.layout.positive, NegativeSpans: r.layout.negative, CustomValues: r.layout.custom,
			PositiveBuckets: differences(r.positive()), NegativeBuckets: differences(r.negative()),
		}
		dst = append(dst, &hs[i])
	}
	return dst, nil
}
