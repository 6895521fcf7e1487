package merge

import (
	"cmp"
	"math"
	"slices"
)

// Interval is a span of time in milliseconds, both bounds inclusive.
type Interval struct{ Min, Max int64 }

// Overlaps tells whether the two have a millisecond in common.
func (i Interval) Overlaps(o Interval) bool { return i.Min <= o.Max && o.Min <= i.Max }

// Contains tells whether o lies in i.
func (i Interval) Contains(o Interval) bool { return i.Min <= o.Min && o.Max <= i.Max }

// Join sorts intervals in place and makes one of those that overlap or touch.
func Join(intervals []Interval) []Interval {
	slices.SortFunc(intervals, func(a, b Interval) int { return cmp.Compare(a.Min, b.Min) })
	joined := intervals[:0]
	for _, next := range intervals {
		last := len(joined) - 1
		if last >= 0 && (joined[last].Max == math.MaxInt64 || next.Min <= joined[last].Max+1) {
			joined[last].Max = max(joined[last].Max, next.Max)
			continue
		}
		joined = append(joined, next)
	}
	return joined
}

// touched tells whether any of the joined intervals overlaps the span.
func touched(deleted []Interval, span Interval) bool {
	at, _ := slices.BinarySearchFunc(deleted, span.Min, func(i Interval, t int64) int { return cmp.Compare(i.Max, t) })
	return at < len(deleted) && deleted[at].Overlaps(span)
}

// keep returns what is left of a column of ascending times when the joined intervals are taken out: the places kept,
// appended to dst.
func keep(dst []int, times []int64, deleted []Interval) []int {
	for at, t := range times {
		for len(deleted) > 0 && deleted[0].Max < t {
			deleted = deleted[1:]
		}
		if len(deleted) == 0 || t < deleted[0].Min {
			dst = append(dst, at)
		}
	}
	return dst
}
