package chunk

import (
	"math/bits"
	"slices"
)

// exceptionBits is what an exception costs besides its value: its place in the block.
const exceptionBits = 8

// frame is how a block is packed: numbers of base and up with width bits, the others aside.
type frame struct {
	base  int64
	width uint
}

// holds tells whether a number can be packed.
func (f frame) holds(x int64) bool {
	return f.width >= 64 || uint64(x)-uint64(f.base) < 1<<f.width
}

// fit finds the frame that packs a block into the fewest bits. Where the numbers are spread evenly that is the one
// that holds all; only a block whose mean lies to one side is searched for a frame that leaves some out.
func fit(xs []int64) frame {
	low, high := slices.Min(xs), slices.Max(xs)
	spread := uint64(high) - uint64(low)
	all := frame{low, uint(bits.Len64(spread))}
	if all.width < 2 || even(xs, low, spread) {
		return all
	}
	return search(xs, all)
}

// even tells whether the mean lies in the middle half of the spread.
func even(xs []int64, low int64, spread uint64) bool {
	if spread >= 1<<57 { // the sum below would not fit
		return false
	}
	var sum uint64
	for _, x := range xs {
		sum += uint64(x) - uint64(low)
	}
	mean := sum / uint64(len(xs))
	return mean > spread/4 && mean < spread-spread/4
}

// search tries ever narrower frames over the sorted numbers, as long as the exceptions alone do not cost more.
func search(xs []int64, all frame) frame {
	var buf [blockLen]int64
	sorted := buf[:copy(buf[:], xs)]
	slices.Sort(sorted)
	each := exceptionBits + 8*(int(all.width)/7+1)
	best, cost := all, len(xs)*int(all.width)
	for w := int(all.width) - 1; w >= 0; w-- {
		at, held := crowd(sorted, uint(w))
		aside := (len(xs)-held)*each + exceptionBits
		if aside >= cost {
			break
		}
		if c := len(xs)*w + aside; c < cost {
			best, cost = frame{sorted[at], uint(w)}, c
		}
	}
	return best
}

// crowd finds where a frame of w bits holds the most of the sorted numbers, and how many.
func crowd(sorted []int64, w uint) (at, held int) {
	from := 0
	for i, x := range sorted {
		for (uint64(x)-uint64(sorted[from]))>>w != 0 {
			from++
		}
		if n := i - from + 1; n > held {
			at, held = from, n
		}
	}
	return at, held
}
