package chunk

import (
	"encoding/binary"
	"math/bits"
)

// A counter of events stands still in most scrapes, and its differences are zero. A sparse block says of each number
// whether it is zero, in a bit, and holds the others in a block of their own.

const (
	// sparseHead is added to the width of the block of the others; no other block is as wide.
	sparseHead = blockLen + 1
	// sparseWidth is the most that it can be added to.
	sparseWidth = flagExceptions - 1 - sparseHead
)

// others are the numbers of a block that are not zero.
type others struct {
	room   [blockLen + 1]int64
	count  int
	places uint64 // a bit for each number of the block
}

// sort finds the numbers of a block that are not zero.
func (o *others) sort(xs []int64) {
	o.count, o.places = 0, 0
	for i, x := range xs {
		o.room[o.count] = x
		not := uint64(x|-x) >> 63
		o.count += int(not)
		o.places |= not << i
	}
}

func (o *others) list() []int64 { return o.room[:o.count] }

// appendFitting packs a block in the cheapest way: a frame of all numbers, a sparse one, or zeros with few exceptions. It
// returns the base of the frame.
func appendFitting(dst []byte, xs []int64, before int64, s *scratch) ([]byte, int64) {
	var o others
	o.sort(xs)
	n := len(xs)
	if o.count == 0 || 4*o.count > 3*n {
		return appendFrame(dst, xs, fit(xs), before)
	}
	few := extentOf(o.list())
	whole := few
	whole.add(0)
	aside := (o.count + 1) * (exceptionBits + 8*(whole.bits()/7+1))
	sparse := n + o.count*few.bits() + 8
	switch {
	case aside < min(sparse, n*whole.bits()):
		return appendFrame(dst, xs, frame{}, before)
	case sparse < n*whole.bits() && few.bits() <= sparseWidth:
		s.sparse = true
		return appendSparse(dst, n, &o, before)
	}
	return appendFrame(dst, xs, fit(xs), before)
}

func extentOf(xs []int64) extent {
	e := extent{xs[0], xs[0]}
	for _, x := range xs[1:] {
		e.add(x)
	}
	return e
}

func appendFrame(dst []byte, xs []int64, f frame, before int64) ([]byte, int64) {
	return appendBlock(dst, xs, f, before), f.base
}

// appendSparse packs n numbers, most of which are zero.
func appendSparse(dst []byte, n int, o *others, before int64) ([]byte, int64) {
	f := fit(o.list())
	at := len(dst)
	dst = append(dst, 0)
	dst = appendPlaces(dst, o.places, n)
	inner := len(dst)
	dst = appendBlock(dst, o.list(), f, before)
	// The head of the inner block, moved to the front, is the head of both.
	dst[at] = dst[inner] + sparseHead
	return append(dst[:inner], dst[inner+1:]...), f.base
}

// appendPlaces writes a bit for each of n numbers, lowest first.
func appendPlaces(dst []byte, places uint64, n int) []byte {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], places)
	return append(dst, word[:(n+7)/8]...)
}

// places reads a bit for each of n numbers.
func (r *intReader) places(n int) uint64 {
	var word [8]byte
	copy(word[:], r.in.take(uint64(n+7)/8))
	places := binary.LittleEndian.Uint64(word[:])
	if r.in.err == nil && (places == 0 || places>>(n-1)>>1 != 0) {
		r.in.fail("a sparse block of %d numbers with %d others, in places %#x", n, bits.OnesCount64(places), places)
	}
	return places
}

// spread moves the first numbers of a block to their places; all others are zero.
func spread(dst *block, places uint64) {
	few := *dst
	*dst = block{}
	for i := 0; places != 0; i++ {
		dst[bits.TrailingZeros64(places)&(blockLen-1)] = few[i&(blockLen-1)]
		places &= places - 1
	}
}
