package chunk

import (
	"encoding/binary"
	"math/bits"
)

// intReader unpacks what appendInts has packed, a block at a time.
type intReader struct {
	in     *input
	left   int // numbers that are still to come
	model  model
	begun  bool
	first  uint64
	factor uint64
	step   uint64 // of the line, or the last difference
	last   uint64 // the last number, with first in it unless there is a factor to come before
	base   int64  // of the block before
	zstd   bool
	frame  []byte // varints that are left of a zstd frame
	spare  *scratch
}

// newIntReader reads the head of n integers. Close gives back what it has borrowed.
func newIntReader(in *input, n int) intReader {
	r := intReader{in: in, left: n, factor: 1}
	head := in.byte()
	if r.model = model(head & 15); r.model >= models || head&^(flagFactor|flagZstd|15) != 0 {
		in.fail("model %#x of integers, known are 0 to %d with or without %#x and %#x", head, models-1, flagFactor, flagZstd)
	}
	if head&flagFactor != 0 {
		r.factor = in.uvarint()
	}
	if r.first = uint64(in.varint()); r.factor == 1 {
		r.last = r.first
	}
	switch r.model {
	case modelTwice, modelLine, modelExact:
		r.step = uint64(in.varint())
	}
	if r.zstd = head&flagZstd != 0; r.zstd {
		r.inflate(n - 1)
	}
	return r
}

// inflate unpacks a frame of n varints.
func (r *intReader) inflate(n int) {
	packed := r.in.take(r.in.uvarint())
	if r.in.err != nil {
		return
	}
	r.spare = borrow()
	plain, err := inflate(r.spare.bytes[:0], packed, n*binary.MaxVarintLen64)
	if err != nil {
		r.in.fail("%d varints: %v", n, err)
		return
	}
	r.spare.bytes, r.frame = plain, plain
}

// close gives back what the reader has borrowed, and complains of varints that were not asked for.
func (r *intReader) close() {
	if r.left == 0 && len(r.frame) > 0 {
		r.in.fail("%d bytes are left over in a zstd frame", len(r.frame))
	}
	if r.spare != nil {
		r.spare.giveBack()
		r.spare = nil
	}
}

// next unpacks the next numbers and tells how many, 0 at the end and after an error.
func (r *intReader) next(dst *block) int {
	if r.left == 0 || r.in.err != nil {
		return 0
	}
	if !r.begun {
		r.begun = true
		r.left--
		dst[0] = r.first
		return 1
	}
	n := min(blockLen, r.left)
	r.left -= n
	switch r.model {
	case modelExact:
		for i := range dst {
			r.last += r.step
			dst[i] = r.last
		}
	default:
		if r.zstd {
			r.nextVarints(dst, n)
		} else {
			r.nextBlock(dst, n)
		}
		r.restore(dst)
	}
	if r.factor != 1 {
		for i := range dst {
			dst[i] = dst[i]*r.factor + r.first
		}
	}
	if r.in.err != nil {
		return 0
	}
	return n
}

// restore adds to what was left what the model tells. Numbers beyond the last one of the column do not matter.
func (r *intReader) restore(dst *block) {
	last, step := r.last, r.step
	switch r.model {
	case modelPlain:
		if last != 0 {
			for i := range dst {
				dst[i] += last
			}
		}
	case modelDelta:
		for i, x := range dst {
			last += x
			dst[i] = last
		}
	case modelTwice:
		for i, x := range dst {
			step += x
			last += step
			dst[i] = last
		}
		r.step = step
	case modelLine:
		for i, x := range dst {
			last += step
			dst[i] = last + x
		}
	}
	r.last = last
}

// nextBlock unpacks a block of n numbers.
func (r *intReader) nextBlock(dst *block, n int) {
	in := r.in
	head := in.byte()
	width := uint(head &^ flagExceptions)
	places := uint64(0)
	if width >= sparseHead {
		places = r.places(n)
		n, width = bits.OnesCount64(places), width-sparseHead
	}
	r.base += in.varint()
	rest := in.b
	in.take(uint64(packedLen(n, width)))
	if in.err != nil {
		return
	}
	unpack(dst, rest, n, width, uint64(r.base))
	if head&flagExceptions != 0 {
		r.exceptions(dst, n)
	}
	if places != 0 {
		spread(dst, places)
	}
}

// exceptions puts the numbers in that the frame did not hold.
func (r *intReader) exceptions(dst *block, n int) {
	in := r.in
	count := in.byte()
	if int(count) > n {
		in.fail("%d exceptions in a block of %d", count, n)
	}
	for _, place := range in.take(uint64(count)) {
		if int(place) >= n {
			in.fail("an exception at %d in a block of %d", place, n)
			return
		}
		dst[place] = uint64(r.base + in.varint())
	}
}

// nextVarints reads numbers out of the zstd frame.
func (r *intReader) nextVarints(dst *block, n int) {
	for i := range n {
		u, size := binary.Uvarint(r.frame)
		if size <= 0 {
			r.in.fail("a number in a zstd frame is cut off or longer than 64 bits")
			return
		}
		r.frame = r.frame[size:]
		dst[i] = uint64(unzigzag(u))
	}
}
