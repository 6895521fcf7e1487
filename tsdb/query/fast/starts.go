package fast

import (
	"slices"

	"github.com/prometheus/prometheus/promql"
)

// withStarts adds samples that tell since when their counter counts, 0 where they do not.
func (w *window) withStarts(times []int64, values []float64, starts []int64) {
	starts = starts[:len(times)]
	if len(w.starts) == 0 {
		if !slices.ContainsFunc(starts, func(st int64) bool { return st != 0 }) {
			w.plain(times, values)
			return
		}
		w.starts = append(w.starts, make([]int64, len(w.points))...)
	}
	for i, v := range values {
		if isAbsent(v) {
			continue
		}
		p := promql.FPoint{T: times[i], F: v}
		if n := len(w.points); n > 0 {
			w.compare(w.points[n-1], w.starts[n-1], p, starts[i])
		}
		w.points, w.starts = append(w.points, p), append(w.starts, starts[i])
	}
}

// compare notes what a new point says of the one before.
func (w *window) compare(before promql.FPoint, startBefore int64, p promql.FPoint, start int64) {
	if p.F < before.F || isReset(startBefore, before.T, start, p.T) {
		w.resets = append(w.resets, len(w.points))
	}
	if start != 0 && start < before.T && start != startBefore {
		w.overlaps = append(w.overlaps, len(w.points))
	}
}

// isReset tells by the start times of two samples whether the counter began anew between them. A start is not believed
// when it is not before its sample. One at the very time of the sample before is a reset only where that one's start was
// known: OpenTelemetry writes the same for counters whose start nobody knows.
func isReset(startBefore, before, start, t int64) bool {
	switch {
	case start == startBefore, start == 0, start >= t, start < before:
		return false
	case start > before:
		return true
	}
	return startBefore != 0 && startBefore < before
}
