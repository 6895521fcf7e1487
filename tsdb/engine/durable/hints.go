package durable

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// A histogram that is stored right after another one of its kind is compared with it, once, and says from then on
// whether it counts on: queries need not compare them again. What its writer said is not believed.

// compare has the histogram at a place, if there is one, say what is known of the one before; nothing where a float, of
// which the last is known, may stand between them. One that others may see is replaced by a copy.
func compare(points []histogramPoint, at int, lastFloat int64) {
	switch {
	case at >= len(points) || points[at].hint() == histogram.GaugeType:
	case at > 0 && lastFloat <= points[at-1].t && points[at].continues(points[at-1]):
		points[at].say(histogram.NotCounterReset)
	default:
		points[at].unsay()
	}
}

func (p histogramPoint) hint() histogram.CounterResetHint {
	if p.whole != nil {
		return p.whole.CounterResetHint
	}
	return p.float.CounterResetHint
}

// say gives a histogram a hint.
func (p *histogramPoint) say(hint histogram.CounterResetHint) {
	switch {
	case p.hint() == hint:
	case p.whole != nil:
		copied := *p.whole // nobody changes the buckets
		copied.CounterResetHint = hint
		p.whole = &copied
	default:
		copied := *p.float
		copied.CounterResetHint = hint
		p.float = &copied
	}
}

// unsay takes back what a counter says of the one before.
func (p *histogramPoint) unsay() {
	if p.hint() != histogram.GaugeType {
		p.say(histogram.UnknownCounterReset)
	}
}

// continues tells whether a histogram counts on from another, of the same kind and without a reset between them.
func (p histogramPoint) continues(before histogramPoint) bool {
	switch {
	case before.hint() == histogram.GaugeType || p.stale() || before.stale():
		return false
	case p.whole != nil && before.whole != nil:
		if sameBuckets(p.whole, before.whole) {
			return countsOn(p.whole, before.whole)
		}
		return !detectsReset(p.whole.ToFloat(nil), before.whole.ToFloat(nil))
	case p.float != nil && before.float != nil:
		return !detectsReset(p.float, before.float)
	}
	return false
}

// detectsReset compares two histograms whatever the later one says.
func detectsReset(h, before *histogram.FloatHistogram) bool {
	silent := *h
	silent.CounterResetHint = histogram.UnknownCounterReset
	return silent.DetectReset(before)
}

// sameBuckets tells whether the buckets of two histograms stand for the same.
func sameBuckets(a, b *histogram.Histogram) bool {
	return a.Schema == b.Schema && a.ZeroThreshold == b.ZeroThreshold &&
		len(a.PositiveBuckets) == len(b.PositiveBuckets) && len(a.NegativeBuckets) == len(b.NegativeBuckets) &&
		slices.Equal(a.PositiveSpans, b.PositiveSpans) && slices.Equal(a.NegativeSpans, b.NegativeSpans) &&
		slices.Equal(a.CustomValues, b.CustomValues)
}

// countsOn tells whether no count of a histogram is below that of one before with the same buckets.
func countsOn(h, before *histogram.Histogram) bool {
	return h.Count >= before.Count && h.ZeroCount >= before.ZeroCount &&
		noneFell(h.PositiveBuckets, before.PositiveBuckets) && noneFell(h.NegativeBuckets, before.NegativeBuckets)
}

// noneFell compares counts that are kept as differences to the bucket before.
func noneFell(deltas, before []int64) bool {
	rise := int64(0)
	for i, d := range deltas {
		if rise += d - before[i]; rise < 0 {
			return false
		}
	}
	return true
}

// stale tells whether the histogram is a stale marker.
func (p histogramPoint) stale() bool {
	if p.whole != nil {
		return value.IsStaleNaN(p.whole.Sum)
	}
	return value.IsStaleNaN(p.float.Sum)
}
