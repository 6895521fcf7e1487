package chunk

import "encoding/binary"

// Flags beside the model of a column of integers and the width of a block.
const (
	flagFactor     = 0x10 // all differences share a factor, which follows
	flagZstd       = 0x20 // a zstd frame of varints stands in place of the blocks
	flagExceptions = 0x80 // numbers of the block stand aside
)

// A zstd frame costs time to pack and to unpack: it must save this part of the bytes, and it hardly can when there are
// few.
const (
	worthwhile = 0.12
	fewBytes   = 128
)

// appendInts packs integers: what they share is taken out, the cheapest model tells most of each, and what is left is
// packed block by block, or by zstd where it may be and that is smaller. Numbers at the places given do not matter. It
// changes xs. Arithmetic wraps around, so that any integers come back.
func appendInts(dst []byte, xs []int64, places []uint16, s *scratch, squeeze bool) []byte {
	first := xs[0]
	factor := reduce(xs)
	fill(xs, places)
	m, step := modelExact, int64(0)
	if len(xs) > 1 {
		m, step = choose(xs)
	}
	at := len(dst)
	dst = append(dst, byte(m))
	if factor > 1 {
		dst[at] |= flagFactor
		dst = binary.AppendUvarint(dst, factor)
	}
	dst = appendVarint(dst, first)
	switch m {
	case modelExact:
		return appendVarint(dst, step)
	case modelLine:
		dst = appendVarint(dst, step)
	case modelTwice:
		step = xs[1] - xs[0]
		dst = appendVarint(dst, step)
	}
	if !squeeze {
		return appendBlocks(dst, xs, m, step)
	}
	blocks, sparse := len(dst), s.sparse
	dst = appendSqueezed(dst, xs, m, step, s)
	if size := len(dst) - blocks; size >= fewBytes {
		if most := int(float64(size) * (1 - worthwhile)); s.promising(xs, m, step, most) {
			if frame := s.deflateInts(); len(frame) < most {
				s.sparse = sparse
				dst[at] |= flagZstd
				dst = binary.AppendUvarint(dst[:blocks], uint64(len(frame)))
				dst = append(dst, frame...)
			}
		}
	}
	return dst
}

// appendSqueezed is appendBlocks with sparse blocks among them.
func appendSqueezed(dst []byte, xs []int64, m model, step int64, s *scratch) []byte {
	var buf [blockLen]int64
	before := int64(0)
	for from := 1; from < len(xs); from += blockLen {
		dst, before = appendFitting(dst, m.rest(&buf, xs, from, step), before, s)
	}
	return dst
}

// appendBlocks packs what a model leaves of xs[1:].
func appendBlocks(dst []byte, xs []int64, m model, step int64) []byte {
	var buf [blockLen]int64
	before := int64(0)
	for from := 1; from < len(xs); from += blockLen {
		rest := m.rest(&buf, xs, from, step)
		f := fit(rest)
		dst = appendBlock(dst, rest, f, before)
		before = f.base
	}
	return dst
}

// varints writes what a model leaves of xs[1:] into the scratch.
func (s *scratch) varints(xs []int64, m model, step int64) {
	var buf [blockLen]int64
	plain := s.bytes[:0]
	for from := 1; from < len(xs); from += blockLen {
		for _, x := range m.rest(&buf, xs, from, step) {
			plain = appendVarint(plain, x)
		}
	}
	s.bytes = plain
}

// deflateInts is a zstd frame of the varints in the scratch, in which it lies too.
func (s *scratch) deflateInts() []byte {
	s.deflated = deflate(s.deflated[:0], s.bytes)
	return s.deflated
}

// appendBlock packs numbers in a frame, and those that it does not hold behind it.
func appendBlock(dst []byte, xs []int64, f frame, before int64) []byte {
	var packed block
	var aside [blockLen]byte
	exceptions := aside[:0]
	for i, x := range xs {
		if f.holds(x) {
			packed[i] = uint64(x) - uint64(f.base)
		} else {
			exceptions = append(exceptions, byte(i))
		}
	}
	head := byte(f.width)
	if len(exceptions) > 0 {
		head |= flagExceptions
	}
	dst = append(dst, head)
	dst = appendVarint(dst, f.base-before)
	dst = pack(dst, packed[:len(xs)], f.width)
	if len(exceptions) == 0 {
		return dst
	}
	dst = append(dst, byte(len(exceptions)))
	dst = append(dst, exceptions...)
	for _, i := range exceptions {
		dst = appendVarint(dst, xs[i]-f.base)
	}
	return dst
}

// reduce turns integers into their differences to the first one, divided by the greatest factor that all share, and
// returns the factor; 1 when there is none to speak of.
func reduce(xs []int64) uint64 {
	first := xs[0]
	var factor uint64
	for i, x := range xs {
		xs[i] = x - first
		if factor != 1 {
			factor = shared(factor, uint64(abs(xs[i])))
		}
	}
	if factor < 2 {
		return 1
	}
	for i, x := range xs {
		xs[i] = x / int64(factor)
	}
	return factor
}

// shared is the greatest common divisor, with one division where the second number is a multiple of the first. Every
// number divides zero.
func shared(a, b uint64) uint64 {
	for a != 0 {
		if (a|b)>>32 == 0 {
			a, b = uint64(uint32(b)%uint32(a)), a // a shorter division
		} else {
			a, b = b%a, a
		}
	}
	return b
}
