package terminal

import (
	"math"
	"time"
)

// span is the part of the values that an axis shows.
type span struct{ low, high float64 }

// at is where a value is, from 0 to 1; infinities are at the ends.
func (s span) at(v float64) float64 {
	part := (v - s.low) / (s.high - s.low)
	if math.IsInf(s.high-s.low, 0) { // halves keep the greatest values from an overflow
		part = (v/2 - s.low/2) / (s.high/2 - s.low/2)
	}
	if math.IsNaN(part) { // there is no room between the ends
		return 0
	}
	return min(1, max(0, part))
}

// spanOf covers finite values; zero is shown where it is not far.
func spanOf(low, high float64) span {
	if !(low <= high) {
		return span{0, 1}
	}
	switch {
	case low > 0 && low <= high/2:
		low = 0
	case high < 0 && high >= low/2:
		high = 0
	}
	if low == high {
		room := math.Abs(low) / 10
		if room == 0 || math.IsInf(low+room, 0) {
			room = 1
		}
		if low+room == low { // beyond what a number can tell apart
			return span{low / 2, low}
		}
		return span{low - room, high + room}
	}
	return span{low, high}
}

// stepOf is a round step that cuts a span into at most n parts: 1, 2 or 5 times a power of ten, and powers of two for bytes, and
// what clocks have for seconds.
func (p *picture) stepOf(s span, n int) float64 {
	least := (s.high/2 - s.low/2) / float64(n) * 2
	base := 1.0
	switch unit := scaleFor(least, p.unit); {
	case p.unit == "bytes" || p.unit == "bytes/s":
		if least >= 1 {
			return math.Exp2(math.Ceil(math.Log2(least)))
		}
	case p.unit == "seconds" && least > 1:
		for _, step := range []float64{2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400} {
			if step >= least {
				return step
			}
		}
		base = 86400
	case p.unit == "ratio":
		base = unit.divisor
	}
	power := math.Pow(10, math.Floor(math.Log10(least/base))) * base
	for _, factor := range []float64{1, 2, 5, 10} {
		if step := factor * power; step >= least*(1-1e-9) {
			return step
		}
	}
	return 10 * power
}

// roundSpan widens a span to whole steps, and gives the ticks in it, the lowest first.
func (p *picture) roundSpan(s span, n int) (wide span, ticks []float64, step float64) {
	step = p.stepOf(s, n)
	first, last := math.Floor(s.low/step), math.Ceil(s.high/step)
	if !(step > 0) || math.IsInf(step, 0) || !(last-first <= 4*float64(n)) || math.Abs(first) > 1e15 || math.Abs(last) > 1e15 {
		return s, []float64{s.low, s.high}, s.high/2 - s.low/2
	}
	for i := first; i <= last; i++ {
		ticks = append(ticks, i*step)
	}
	return span{first * step, last * step}, ticks, step
}

// timeSteps are what labels of times are apart.
var timeSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour, 91 * 24 * time.Hour, 365 * 24 * time.Hour,
}

// timeTick is a label below an axis.
type timeTick struct {
	column int
	text   string
}

// timeTicks are round times with room between them, from one time to another in milliseconds over so many columns.
func timeTicks(from, to int64, width int) []timeTick {
	length := time.Duration(to-from) * time.Millisecond
	for _, step := range timeSteps {
		layout := layoutOf(step, length)
		if need := int64(len(layout) + 3); length <= 0 || int64(length/step)*need > int64(width) {
			continue
		}
		var ticks []timeTick
		for at := roundUp(from, step.Milliseconds()); at <= to; at += step.Milliseconds() {
			column := int(float64(at-from) / float64(to-from) * float64(width-1))
			ticks = append(ticks, timeTick{column, time.UnixMilli(at).UTC().Format(layout)})
		}
		if len(ticks) > 0 {
			return ticks
		}
		break
	}
	return []timeTick{{0, time.UnixMilli(from).UTC().Format("2006-01-02 15:04:05")}}
}

func roundUp(t, step int64) int64 {
	if rest := ((t % step) + step) % step; rest != 0 {
		return t + step - rest
	}
	return t
}

func layoutOf(step, length time.Duration) string {
	switch {
	case step >= 28*24*time.Hour:
		return "2006-01-02"
	case step >= 24*time.Hour:
		return "01-02"
	case length > 24*time.Hour:
		return "01-02 15:04"
	case step >= time.Minute:
		return "15:04"
	}
	return "15:04:05"
}
