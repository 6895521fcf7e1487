package chunk

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// The XOR form follows Pelkonen et al., «Gorilla: a fast, scalable, in-memory time series database» (2015): a value
// that repeats is one bit, and one that differs in the same stretch of bits as that before tells only that stretch.

// bitSink collects bits, first ones highest.
type bitSink struct {
	out  []byte
	word uint64
	free uint // bits of the word
}

// put appends the low n bits, 1 to 64.
func (s *bitSink) put(x uint64, n uint) {
	if n < s.free {
		s.free -= n
		s.word |= x << s.free
		return
	}
	n -= s.free
	s.out = binary.BigEndian.AppendUint64(s.out, s.word|x>>n)
	s.free = 64 - n
	s.word = x << s.free // a shift by 64 leaves nothing
}

// flush appends the last bytes.
func (s *bitSink) flush() []byte {
	for ; s.free < 64; s.free += 8 {
		s.out = append(s.out, byte(s.word>>56))
		s.word <<= 8
		if s.free > 56 {
			break
		}
	}
	return s.out
}

// appendXOR appends the XOR form: the bytes it takes, the first value, then the bits.
func appendXOR(dst []byte, vs []float64, s *scratch) []byte {
	sink := bitSink{out: s.bytes[:0], free: 64}
	last, lead0, tail0 := bitsOf(vs[0]), uint(64), uint(0)
	for _, v := range vs[1:] {
		x := bitsOf(v) ^ last
		last = bitsOf(v)
		if x == 0 {
			sink.put(0, 1)
			continue
		}
		leading, trailing := min(uint(bits.LeadingZeros64(x)), 31), uint(bits.TrailingZeros64(x))
		if lead0 <= leading && tail0 <= trailing {
			sink.put(0b10, 2)
			sink.put(x>>tail0, 64-lead0-tail0)
			continue
		}
		lead0, tail0 = leading, trailing
		length := 64 - leading - trailing
		sink.put(0b11<<11|uint64(leading)<<6|uint64(length-1), 13)
		sink.put(x>>trailing, length)
	}
	s.bytes = sink.flush()
	dst = binary.AppendUvarint(append(dst, lead(formXOR)), uint64(len(s.bytes)))
	dst = binary.LittleEndian.AppendUint64(dst, bitsOf(vs[0]))
	return append(dst, s.bytes...)
}

// bitSource gives back the bits of a bitSink. Behind the end it gives zeros, and counts them.
type bitSource struct {
	b    []byte
	word uint64
	left uint // bits of the word
	past bool // whether more was asked for than there was
}

// fill makes at least 32 bits ready.
func (s *bitSource) fill() {
	for s.left <= 56 {
		if len(s.b) == 0 {
			return
		}
		s.word |= uint64(s.b[0]) << (56 - s.left)
		s.b = s.b[1:]
		s.left += 8
	}
}

// get reads n bits, 1 to 64.
func (s *bitSource) get(n uint) uint64 {
	if n > 32 {
		high := s.get(n - 32)
		return high<<32 | s.get(32)
	}
	if s.left < n {
		s.fill()
	}
	if s.left < n {
		s.past = true
		return 0
	}
	x := s.word >> (64 - n)
	s.word <<= n
	s.left -= n
	return x
}

func decodeXOR(dst []float64, in *input, n int) []float64 {
	size := in.uvarint()
	last := in.uint64()
	source := bitSource{b: in.take(size)}
	if in.err != nil {
		return dst
	}
	if n-1 > 8*len(source.b) {
		in.fail("%d values in %d bytes", n, size)
		return dst
	}
	dst = append(slices.Grow(dst, n), math.Float64frombits(last))
	lead0, tail0 := uint(0), uint(0)
	for range n - 1 {
		if source.get(1) == 1 {
			if source.get(1) == 1 {
				lead0 = uint(source.get(5))
				length := uint(source.get(6)) + 1
				if lead0+length > 64 {
					in.fail("%d bits after %d zeros, a value has 64", length, lead0)
					return dst
				}
				tail0 = 64 - lead0 - length
			}
			last ^= source.get(64-lead0-tail0) << tail0
		}
		dst = append(dst, math.Float64frombits(last))
	}
	if source.past || len(source.b) > 0 || source.left >= 8 {
		in.fail("%d bytes for %d values: too few or too many", size, n)
	}
	return dst
}
