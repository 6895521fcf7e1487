package fast

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

// The functions over time of floats. Sums are Kahan's, in the order of time, as upstream's: they cannot be carried from
// one window to the next without a change in the last bits.

func sum(_ *function, w *window, _ int64) (float64, bool) {
	var total, rest float64
	for _, p := range w.now() {
		total, rest = kahansum.Inc(p.F, total, rest)
	}
	if math.IsInf(total, 0) {
		return total, true
	}
	return total + rest, true
}

func average(_ *function, w *window, _ int64) (float64, bool) {
	points := w.now()
	m := mean{total: points[0].F, count: 1}
	for _, p := range points[1:] {
		m.add(p.F)
	}
	return m.value(), true
}

// mean is an average as upstream computes it: of Kahan's sum, and from where that would overflow on step by step.
type mean struct {
	total, rest, count float64
	// stepwise tells that total is the mean so far.
	stepwise bool
}

func (m *mean) add(v float64) {
	m.count++
	if !m.stepwise {
		total, rest := kahansum.Inc(v, m.total, m.rest)
		if !math.IsInf(total, 0) {
			m.total, m.rest = total, rest
			return
		}
		m.stepwise = true
		m.total /= m.count - 1
		m.rest /= m.count - 1
	}
	part := (m.count - 1) / m.count
	m.total, m.rest = kahansum.Inc(v/m.count, part*m.total, part*m.rest)
}

func (m *mean) value() float64 {
	if m.stepwise {
		return m.total + m.rest
	}
	return m.total/m.count + m.rest/m.count
}

func least(_ *function, w *window, _ int64) (float64, bool) {
	points := w.now()
	v := points[0].F
	for _, p := range points[1:] {
		if p.F < v || math.IsNaN(v) {
			v = p.F
		}
	}
	return v, true
}

func most(_ *function, w *window, _ int64) (float64, bool) {
	points := w.now()
	v := points[0].F
	for _, p := range points[1:] {
		if p.F > v || math.IsNaN(v) {
			v = p.F
		}
	}
	return v, true
}

func count(_ *function, w *window, _ int64) (float64, bool) { return float64(w.hi - w.lo), true }

func present(*function, *window, int64) (float64, bool) { return 1, true }

func last(_ *function, w *window, _ int64) (float64, bool) { return w.points[w.hi-1].F, true }

func first(_ *function, w *window, _ int64) (float64, bool) { return w.points[w.lo].F, true }
