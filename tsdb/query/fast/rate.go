package fast

import (
	"github.com/prometheus/prometheus/util/annotations"
)

func rate(f *function, w *window, at int64) (float64, bool) {
	rise, factor, ok := f.rise(w, at)
	return rise * (factor / f.perSecond), ok
}

func increase(f *function, w *window, at int64) (float64, bool) {
	rise, factor, ok := f.rise(w, at)
	return rise * factor, ok
}

// delta is the difference of the last and the first point, as if the range were covered.
func delta(f *function, w *window, at int64) (float64, bool) {
	var s span
	s.measure(f, w, at)
	if s.gaps == 0 {
		return 0, false
	}
	return (w.points[w.hi-1].F - w.points[w.lo].F) * s.factor(s.toStart()), true
}

// rise is by how much a counter rose between the first and the last point, with what it had before each reset, and the
// factor by which that grows to the ends of the range. A reset that start times tell of counts as well.
func (f *function) rise(w *window, at int64) (rise, factor float64, ok bool) {
	first, last := &w.points[w.lo], &w.points[w.hi-1]
	rise = last.F - first.F
	if len(w.resets) > 0 {
		for _, reset := range w.within(w.resets, &w.reset) {
			rise += w.points[reset-1].F
		}
	}
	var s span
	s.measure(f, w, at)
	if len(w.starts) > 0 {
		if f.began(w, s.from) {
			s.sampled = float64(last.T-w.starts[w.lo]) / 1000
			return rise + first.F, s.factor(0), true
		}
	}
	if s.gaps == 0 {
		return 0, 0, false
	}
	toStart := s.toStart()
	if rise > 0 && first.F >= 0 { // a counter cannot have been below zero
		if toZero := s.sampled * (first.F / rise); toZero < toStart {
			toStart = toZero
		}
	}
	return rise, s.factor(toStart), true
}

// began tells whether the counter began inside of the range, with nothing. Start times that contradict each other are
// told of.
func (f *function) began(w *window, from int64) bool {
	if len(w.within(w.overlaps, &w.overlap)) > 0 {
		f.notes.add(annotations.NewStartTimeOverlapWarning(f.name(), f.position))
	}
	start := w.starts[w.lo]
	return start != 0 && start > from && start < w.points[w.lo].T
}

// span is how the points of a window lie in its range, in seconds but for the beginning of the range.
type span struct {
	gaps            int // one less than points
	from            int64
	before, after   float64 // from the beginning of the range to the first point, and from the last one to the end
	sampled         float64 // between the first point and the last
	between, enough float64 // on average between two points, and 10 % more
}

func (s *span) measure(f *function, w *window, at int64) {
	first, last := w.points[w.lo].T, w.points[w.hi-1].T
	s.gaps, s.from = w.hi-w.lo-1, at-f.back
	s.before, s.after = float64(first-s.from)/1000, float64(at-last)/1000
	s.sampled = float64(last-first) / 1000
	if s.gaps > 0 {
		s.between = s.sampled / float64(s.gaps)
	}
	s.enough = s.between * 1.1
}

// toStart is how far before the first point the series is taken to reach: to the beginning of the range where that is
// near, else half of what is between two points.
func (s *span) toStart() float64 {
	if s.before >= s.enough {
		return s.between / 2
	}
	return s.before
}

// factor is by how much the difference of the points grows when the series is taken to reach to both sides.
func (s *span) factor(toStart float64) float64 {
	toEnd := s.after
	if toEnd >= s.enough {
		toEnd = s.between / 2
	}
	if s.sampled == 0 {
		return 1
	}
	return (s.sampled + toStart + toEnd) / s.sampled
}

func irate(_ *function, w *window, _ int64) (float64, bool) {
	difference, seconds, ok := lastTwo(w, true)
	return difference / seconds, ok
}

func idelta(_ *function, w *window, _ int64) (float64, bool) {
	difference, _, ok := lastTwo(w, false)
	return difference, ok
}

// lastTwo is the difference of the last two points, or the last one alone where the counter was reset between them; and
// the time between them in seconds.
func lastTwo(w *window, counter bool) (difference, seconds float64, ok bool) {
	if w.hi-w.lo < 2 {
		return 0, 1, false
	}
	p, before := w.points[w.hi-1], w.points[w.hi-2]
	seconds = float64(p.T-before.T) / 1000
	if counter && (p.F < before.F || len(w.starts) > 0 && isReset(w.starts[w.hi-2], before.T, w.starts[w.hi-1], p.T)) {
		return p.F, seconds, true
	}
	return p.F - before.F, seconds, true
}
