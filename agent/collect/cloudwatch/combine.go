package cloudwatch

import (
	"math"
	"time"

	"github.com/novacron/novacron/agent/collect"
)

// combine makes a value of those that a row's natives have, in base units, in one period; NaN stands for one that is
// missing. ok is false where nothing can be said.
type combine func(values []float64, period time.Duration) (v float64, ok bool)

func first(values []float64, _ time.Duration) (float64, bool) {
	return values[0], !math.IsNaN(values[0])
}

// total takes all of them.
func total(values []float64, _ time.Duration) (v float64, ok bool) {
	for _, one := range values {
		v += one
	}
	return v, !math.IsNaN(v)
}

func complement(values []float64, _ time.Duration) (float64, bool) {
	return 1 - values[0], !math.IsNaN(values[0])
}

// restOfPeriod is the time of a period in which something was not so. Clocks are not exact: less than none is none.
func restOfPeriod(values []float64, period time.Duration) (float64, bool) {
	return max(0, period.Seconds()-values[0]), !math.IsNaN(values[0])
}

// latency is the mean time of an operation, of the time that reads and writes took and how many there were. A direction
// without a value had none.
func latency(values []float64, _ time.Duration) (float64, bool) {
	spent, ops := 0.0, 0.0
	for direction := range 2 {
		if t, n := values[direction], values[direction+2]; !math.IsNaN(t) && !math.IsNaN(n) {
			spent, ops = spent+t, ops+n
		}
	}
	if ops == 0 {
		return 0, false
	}
	return spent / ops, true
}

// factor takes a native value to its base unit.
func (n native) factor() float64 {
	c, _ := collect.FromCloudWatch(n.unit)
	return c.Factor
}

// points makes one series of those of the natives, whose times are the ends of periods.
func (r row) points(natives [][]collect.Point, period time.Duration) []collect.Point {
	if len(natives) == 1 && len(r.natives) == 1 {
		return r.pointsOfOne(natives[0], period)
	}
	var ends []time.Time
	byEnd := map[int64][]float64{}
	for i, points := range natives {
		for _, p := range points {
			values, begun := byEnd[p.Time.UnixNano()]
			if !begun {
				values = missing(len(natives))
				byEnd[p.Time.UnixNano()], ends = values, append(ends, p.Time)
			}
			values[i] = p.Value * r.natives[i].factor()
		}
	}
	var all []collect.Point
	for _, end := range ends {
		if v, ok := r.combine(byEnd[end.UnixNano()], period); ok {
			all = append(all, collect.Point{Time: end, Value: v})
		}
	}
	return all
}

func (r row) pointsOfOne(points []collect.Point, period time.Duration) []collect.Point {
	all := make([]collect.Point, 0, len(points))
	for _, p := range points {
		if v, ok := r.combine([]float64{p.Value * r.natives[0].factor()}, period); ok {
			all = append(all, collect.Point{Time: p.Time, Value: v})
		}
	}
	return all
}

func missing(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}
