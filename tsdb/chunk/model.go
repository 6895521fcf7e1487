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
// exceptions, but knows that a few steps between equal numbers are cheap as differences, and a few numbers beside zeros;
// so it looks for lines only where most numbers differ from those before.
func choose(ys []int64) (model, int64) {
	best, cost, moves := chooseNear(ys)
	switch {
	case moves == 0:
		return modelExact, 0
	case 2*moves < len(ys):
		return best, 0
	}
	step := slope(ys)
	twice, line, exact := costOfLines(ys, step)
	switch {
	case exact:
		return modelExact, step
	case line < cost && line <= twice:
		return modelLine, step
	case twice < cost:
		return modelTwice, step
	}
	return best, step
}

// chooseNear returns the cheaper one of the numbers themselves and their differences, its cost, and how many differences
// are not zero.
func chooseNear(ys []int64) (best model, cost, moves int) {
	plain, delta, last := 0, 0, ys[0]
	for from := 1; from < len(ys); from += blockLen {
		part := ys[from:min(from+blockLen, len(ys))]
		numbers, steps := extent{part[0], part[0]}, extent{part[0] - last, part[0] - last}
		others, moved := 0, 0
		for _, y := range part {
			d := y - last
			others += int(uint64(y|-y) >> 63)
			moved += int(uint64(d|-d) >> 63)
			numbers.add(y)
			steps.add(d)
			last = y
		}
		plain += costOf(numbers, len(part), others)
		delta += min(costOf(steps, len(part), moved), moved*(exceptionBits+8*(steps.bits()/7+1)))
		moves += moved
	}
	if plain < delta {
		return modelPlain, plain, moves
	}
	return modelDelta, delta, moves
}

// costOf is how many bits n numbers of an extent take, of which some are not zero.
func costOf(e extent, n, others int) int { return min(n*e.bits(), n+others*e.bits()) }

// costOfLines is the cost of what the other models leave, and whether nothing is left of a line.
func costOfLines(ys []int64, step int64) (twice, line int, exact bool) {
	exact = true
	last, before := ys[0], ys[1]-ys[0]
	along := step
	for from := 1; from < len(ys); from += blockLen {
		part := ys[from:min(from+blockLen, len(ys))]
		first := part[0] - last - before
		bends, off := extent{first, first}, extent{part[0] - along, part[0] - along}
		for _, y := range part {
			d := y - last
			bends.add(d - before)
			off.add(y - along)
			along += step
			last, before = y, d
		}
		exact = exact && off == extent{}
		twice += len(part) * bends.bits()
		line += len(part) * off.bits()
	}
	return twice, line, exact
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
	var sum, count int64
	for i := 1; i < len(ys); i++ {
		d := ys[i] - ys[i-1]
		out := (d - low | high - d) >> 63 // all bits where d is not between them
		sum += d &^ out
		count += 1 + out
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
