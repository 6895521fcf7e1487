package chunk

import (
	"math/bits"
	"slices"
)

// model is how numbers follow from those before, so that small ones are left to pack. The first number counts as 0.
type model byte

const (
	modelPlain model = iota // the numbers themselves
	modelDelta              // the difference to the one before
	modelTwice              // the difference of that to the one before
	modelLine               // the difference to a straight line from the first number on
	modelExact              // a straight line, with nothing left to pack
	models
)

// rest leaves what the model does not tell of ys[1:], up to a block of it from an index on.
func (m model) rest(dst *[blockLen]int64, ys []int64, from int, step int64) []int64 {
	out := dst[:min(blockLen, len(ys)-from)]
	switch m {
	case modelPlain:
		copy(out, ys[from:])
	case modelLine:
		for i := range out {
			out[i] = ys[from+i] - step*int64(from+i)
		}
	case modelTwice:
		before := step
		if from > 1 {
			before = ys[from-1] - ys[from-2]
		}
		for i := range out {
			delta := ys[from+i] - ys[from+i-1]
			out[i], before = delta-before, delta
		}
	default:
		for i := range out {
			out[i] = ys[from+i] - ys[from+i-1]
		}
	}
	return out
}

// extent is the range of some numbers.
type extent struct{ low, high int64 }

func (e *extent) add(x int64) {
	e.low, e.high = min(e.low, x), max(e.high, x)
}

func (e extent) bits() int { return bits.Len64(uint64(e.high) - uint64(e.low)) }

// choose estimates the cost of each model and returns the cheapest, and the step of its line. It does not look for
// exceptions, but knows that a few steps between equal numbers are cheap as differences.
func choose(ys []int64) (model, int64) {
	step := slope(ys)
	var cost [modelLine + 1]int
	exact := true
	before := ys[1] - ys[0]
	for from := 1; from < len(ys); from += blockLen {
		part := ys[from:min(from+blockLen, len(ys))]
		last := ys[from-1]
		first := extent{part[0], part[0]}
		plain, delta, twice, line := first, extent{part[0] - last, part[0] - last}, extent{}, extent{}
		line.low = part[0] - step*int64(from)
		line.high = line.low
		twice.low = part[0] - last - before
		twice.high = twice.low
		moves := 0
		along := step * int64(from)
		for _, y := range part {
			d := y - last
			if d != 0 {
				moves++
			}
			plain.add(y)
			delta.add(d)
			twice.add(d - before)
			line.add(y - along)
			along += step
			last, before = y, d
		}
		exact = exact && line == extent{}
		cost[modelPlain] += len(part) * plain.bits()
		cost[modelDelta] += min(len(part)*delta.bits(), moves*(exceptionBits+8*(delta.bits()/7+1)))
		cost[modelTwice] += len(part) * twice.bits()
		cost[modelLine] += len(part) * line.bits()
	}
	if exact {
		return modelExact, step
	}
	best := modelDelta
	for _, m := range []model{modelPlain, modelLine, modelTwice} {
		if cost[m] < cost[best] {
			best = m
		}
	}
	return best, step
}

// slope is the step of a line through the numbers: the mean of their differences but those far from the usual, so that
// a gap or a counter that starts again does not tilt it.
func slope(ys []int64) int64 {
	last := len(ys) - 1
	var sample [9]int64
	for i := range sample {
		at := 1 + i*(last-1)/(len(sample)-1)
		sample[i] = ys[at] - ys[at-1]
	}
	slices.Sort(sample[:])
	usual := sample[len(sample)/2]
	low, high := usual-abs(usual)/2, usual+abs(usual)/2
	var sum int64
	count := int64(0)
	for i := 1; i < len(ys); i++ {
		if d := ys[i] - ys[i-1]; d >= low && d <= high {
			sum += d
			count++
		}
	}
	if count == 0 {
		return usual
	}
	return sum / count
}

func abs(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}
