package fast

import (
	"math"

	"github.com/prometheus/prometheus/promql"
)

// window slides over the samples of one series: points[lo:hi] are those of a step. Stale markers are left out.
type window struct {
	*reader
	points []promql.FPoint
	// starts are since when the counter counts, by point; empty where that is not known of any.
	starts []int64
	lo, hi int
	// old is the place up to which points were in the window of an earlier step.
	old int

	// resets are the places of points before which the counter was reset, and overlaps of those that contradict the
	// point before about when counting began. Those before place reset and overlap are behind the window.
	resets, overlaps []int
	reset, overlap   int

	seen int64 // up to here everything was read
	// ahead lets reading go on up to a time, as each sample up to it is part of some window.
	ahead int64
}

// compact is how many points behind the window are given up at one time.
const compact = 1024

// restart begins with another series, which the reader has opened.
func (w *window) restart(ahead int64) {
	w.clear()
	w.seen, w.ahead = math.MinInt64, ahead
}

func (w *window) clear() {
	w.points, w.starts, w.lo, w.hi, w.old = w.points[:0], w.starts[:0], 0, 0, 0
	w.resets, w.overlaps, w.reset, w.overlap = w.resets[:0], w.overlaps[:0], 0, 0
}

// slide goes on to the samples after one time and up to another, both later than before.
func (w *window) slide(after, until int64) error {
	w.old = w.hi
	if n := len(w.points); n > 0 && w.points[n-1].T <= after {
		w.clear()
	}
	for w.seen < until {
		if w.at == len(w.times) {
			if more, err := w.more(after+1, until); err != nil {
				return err
			} else if !more {
				w.seen = math.MaxInt64
				break
			}
		}
		w.fill(after, max(until, w.ahead))
	}
	for w.lo < len(w.points) && w.points[w.lo].T <= after {
		w.lo++
	}
	for w.hi = max(w.hi, w.lo); w.hi < len(w.points) && w.points[w.hi].T <= until; w.hi++ {
	}
	if w.lo >= compact && w.lo > len(w.points)/2 {
		w.giveUp(w.lo)
	}
	return nil
}

// fill takes what the reader has after one time and up to another, both inclusive.
func (w *window) fill(after, until int64) {
	w.skip(after + 1)
	times := w.times[w.at:]
	n := len(times)
	if n > 0 && times[n-1] > until {
		n = ahead(times, until+1)
		w.seen = until
	} else if n > 0 {
		w.seen = times[n-1]
	}
	values := w.values[w.at : w.at+n]
	if len(w.reader.starts) > 0 {
		w.withStarts(times[:n], values, w.reader.starts[w.at:])
	} else {
		w.plain(times[:n], values)
	}
	w.consume(n)
}

// plain adds samples of a counter that does not tell since when it counts.
func (w *window) plain(times []int64, values []float64) {
	if len(w.starts) > 0 {
		w.withStarts(times, values, make([]int64, len(times)))
		return
	}
	points, before := w.points, math.Inf(-1)
	if n := len(points); n > 0 {
		before = points[n-1].F
	}
	for i, v := range values[:len(times)] {
		if isAbsent(v) {
			continue
		}
		if v < before {
			w.resets = append(w.resets, len(points))
		}
		before = v
		points = append(points, promql.FPoint{T: times[i], F: v})
	}
	w.points = points
}

// giveUp forgets the first n points.
func (w *window) giveUp(n int) {
	w.points = w.points[:copy(w.points, w.points[n:])]
	if len(w.starts) > 0 {
		w.starts = w.starts[:copy(w.starts, w.starts[n:])]
	}
	w.resets, w.reset = shift(w.resets, n), 0
	w.overlaps, w.overlap = shift(w.overlaps, n), 0
	w.lo, w.hi, w.old = w.lo-n, w.hi-n, w.old-n
}

// shift gives up places up to n, and counts the others from there.
func shift(places []int, n int) []int {
	kept := places[:0]
	for _, at := range places {
		if at > n {
			kept = append(kept, at-n)
		}
	}
	return kept
}

// within are the places behind the window's first point. before is how many lie before them.
func (w *window) within(places []int, before *int) []int {
	for *before < len(places) && places[*before] <= w.lo {
		*before++
	}
	rest := places[*before:]
	for i, at := range rest {
		if at >= w.hi {
			return rest[:i]
		}
	}
	return rest
}

// fresh is how many points of the window were in no other before.
func (w *window) fresh() int { return w.hi - max(w.lo, w.old) }

// now are the points of the window.
func (w *window) now() []promql.FPoint { return w.points[w.lo:w.hi] }

// startsNow are since when the counter counts, by point of the window; empty where that is not known.
func (w *window) startsNow() []int64 {
	if len(w.starts) == 0 {
		return nil
	}
	return w.starts[w.lo:w.hi]
}
