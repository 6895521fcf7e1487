package chunk

import (
	"encoding/binary"
	"math"
	"slices"
)

// Columns of values without times use the values' part of the stream of XOR.

// appendXOR appends the XOR form: the bytes that the stream takes, the first value, the stream.
func appendXOR(dst []byte, vs []float64, s *scratch) []byte {
	s.bytes = slices.Grow(s.bytes[:0], len(vs)*10+XORSlack)
	buf := s.bytes[:cap(s.bytes)]
	var x XOR
	last := bitsOf(vs[0])
	for _, v := range vs[1:] {
		x.value(buf, bitsOf(v)^last, 0, 0)
		last = bitsOf(v)
	}
	dst = binary.AppendUvarint(append(dst, lead(formXOR)), uint64(x.bits+7)/8)
	dst = binary.LittleEndian.AppendUint64(dst, bitsOf(vs[0]))
	return x.appendStream(dst, buf)
}

func decodeXOR(dst []float64, in *input, n int) []float64 {
	size := in.uvarint()
	last := in.uint64()
	r := bitReader{src: in.take(size)}
	if in.err == nil && uint64(n-1) > 8*size { // a value takes at least a bit
		in.fail("%d values in %d bytes", n, size)
	}
	if in.err != nil {
		return dst
	}
	dst, values := grown(dst, n)
	var trailing, width uint
	for i := range values {
		if i > 0 && r.read(1) != 0 {
			if r.read(1) != 0 {
				leading := uint(r.read(5))
				width = uint(r.read(6)) + 1
				if leading+width > 64 {
					in.fail("%d bits behind %d zeros, a value has 64", width, leading)
					return dst
				}
				trailing = 64 - leading - width
			} else if width == 0 {
				in.fail("a stretch of bits that was not set before")
				return dst
			}
			last ^= r.long(width) << trailing
		}
		values[i] = math.Float64frombits(last)
	}
	if r.over || len(r.src) > 0 || r.left >= 8 {
		in.fail("%d bytes for %d values: too few or too many", size, n)
	}
	return dst
}
