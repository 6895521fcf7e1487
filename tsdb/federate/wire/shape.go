package wire

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
)

// maxReach bounds how far apart the buckets of a histogram may lie. All numbers there are fit into some 550,000 buckets of
// the finest schema.
const maxReach = 1 << 20

// maxThreshold bounds the zero threshold; it is far above any that is of use.
const maxThreshold = 1e300

// checkShapes refuses histograms with which PromQL would panic, or never come to an end: who reads them does not know who
// made them. Their counts may be anything, as those of a difference are.
func checkShapes(all []*histogram.FloatHistogram) error {
	var zeros []float64
	for _, h := range all {
		if n := max(len(h.PositiveBuckets), len(h.NegativeBuckets)); n > len(zeros) {
			zeros = make([]float64, n)
		}
		if err := checkShape(h, zeros); err != nil {
			return fmt.Errorf("a histogram cannot be right: %w", err)
		}
	}
	return nil
}

// checkShape looks at the shape of a histogram alone: as many zeros as it has buckets stand for its counts.
func checkShape(h *histogram.FloatHistogram, zeros []float64) error {
	if !(h.ZeroThreshold >= 0 && h.ZeroThreshold <= maxThreshold) { // NaN is neither
		return fmt.Errorf("its zero threshold is %v, not 0 to %v", h.ZeroThreshold, maxThreshold)
	}
	for _, spans := range [][]histogram.Span{h.PositiveSpans, h.NegativeSpans} {
		if n := reach(spans); n > maxReach {
			return fmt.Errorf("its spans reach over %d buckets, at most %d", n, maxReach)
		}
	}
	shape := *h
	shape.Count, shape.ZeroCount = 0, 0
	shape.PositiveBuckets, shape.NegativeBuckets = zeros[:len(h.PositiveBuckets)], zeros[:len(h.NegativeBuckets)]
	return shape.Validate()
}

// reach is how many buckets lie between the middle and the last of the spans, at most.
func reach(spans []histogram.Span) (n int64) {
	for _, s := range spans {
		n += max(int64(s.Offset), -int64(s.Offset)) + int64(s.Length)
	}
	return n
}
