package chunk

import (
	"encoding/binary"
	"math"
	"slices"
)

// The forms of a column of values.
const (
	formConstant = iota // one value for all
	formDecimal         // integers, divided by a power of ten
	formXOR             // each value's bits, xor those of the one before
	formBits            // the bits as integers
	formZstd            // a zstd frame of the bits
	formNear            // integers divided by a power of ten, and how many steps of a float64 the values are off
	forms
)

// fewDecimals is the most that people and programs write; sums that lost something in rounding have more.
const fewDecimals = 6

// goodEnough is how many bytes for each value make it needless to look for more than decimals.
const goodEnough = 3

func bitsOf(v float64) uint64 { return math.Float64bits(v) }

// AppendValues appends a column of values in the smallest form that gives back every bit of every one. It panics for
// more than MaxSamples.
func AppendValues(dst []byte, vs []float64) []byte {
	checkCount(len(vs))
	if len(vs) == 0 {
		return append(dst, lead(formConstant))
	}
	if constant(vs) {
		return binary.LittleEndian.AppendUint64(append(dst, lead(formConstant)), bitsOf(vs[0]))
	}
	s := borrow()
	defer s.giveBack()
	return s.appendSmallest(dst, vs)
}

// appendSmallest tries the forms one after the other, as long as they may gain something: what is decimal throughout has
// nothing that lies near one, and its bits differ by more than it does.
func (s *scratch) appendSmallest(dst []byte, vs []float64) []byte {
	at, sparse := len(dst), false
	try := func(form func([]byte, []float64, *scratch) []byte) (enough bool) {
		s.sparse = false
		var second bool
		if dst, second = keep(form(dst, vs, s), at, len(dst)); second {
			sparse = s.sparse
		}
		size := len(dst) - at
		return size > 0 && size <= goodEnough*len(vs)
	}
	enough := try(appendDecimal)
	if throughout := len(dst) > at && dst[at+1] <= fewDecimals; !throughout {
		enough = enough || try(appendNear) || try(appendXOR) || try(appendBits)
	}
	if !enough && recurring(vs) {
		try(appendZstd)
	}
	if sparse {
		markSparse(dst[at:])
	}
	return dst
}

// recurring tells whether half of the values are among those not long before them: zstd would save little else.
func recurring(vs []float64) bool {
	var seen [64]uint64
	found := 0
	for _, v := range vs {
		b := bitsOf(v)
		slot := b * 0x9e3779b97f4a7c15 >> 58
		if seen[slot] == b {
			found++
		}
		seen[slot] = b
	}
	return 2*found >= len(vs)
}

// keep leaves the shorter of two forms that stand behind each other, either of which may not be there, and tells whether
// that is the second.
func keep(dst []byte, first, second int) (kept []byte, isSecond bool) {
	if was, is := second-first, len(dst)-second; was > 0 && (was <= is || is == 0) {
		return dst[:second], false
	}
	return append(dst[:first], dst[second:]...), true
}

func constant(vs []float64) bool {
	first := bitsOf(vs[0])
	for _, v := range vs {
		if bitsOf(v) != first {
			return false
		}
	}
	return true
}

// appendDecimal appends the decimal form; nothing when most values have none.
func appendDecimal(dst []byte, vs []float64, s *scratch) []byte {
	var e int
	var ok bool
	s.ints, s.places, e, ok = decimals(s.ints, s.places, vs)
	if !ok {
		return dst
	}
	head := byte(e)
	if len(s.places) > 0 {
		head |= flagExceptions
	}
	dst = append(dst, lead(formDecimal), head)
	if len(s.places) > 0 {
		dst = appendOdd(dst, vs, s.places)
	}
	return appendInts(dst, s.ints, s.places, s, true)
}

// appendBits appends the form of bits as integers.
func appendBits(dst []byte, vs []float64, s *scratch) []byte {
	s.ints = s.ints[:0]
	for _, v := range vs {
		s.ints = append(s.ints, int64(bitsOf(v)))
	}
	return appendInts(append(dst, lead(formBits)), s.ints, nil, s, false)
}

// appendZstd appends the form of a zstd frame of the bits.
func appendZstd(dst []byte, vs []float64, s *scratch) []byte {
	s.bytes = s.bytes[:0]
	for _, v := range vs {
		s.bytes = binary.LittleEndian.AppendUint64(s.bytes, bitsOf(v))
	}
	s.deflated = deflate(s.deflated[:0], s.bytes)
	dst = binary.AppendUvarint(append(dst, lead(formZstd)), uint64(len(s.deflated)))
	return append(dst, s.deflated...)
}

// DecodeValues appends the n values of a column to dst. Errors wrap ErrCorrupt; dst is then returned as it came.
func DecodeValues(dst []float64, src []byte, n int) ([]float64, error) {
	in := open("values", src, n)
	out := decodeValues(dst, in, n)
	if err := in.close(); err != nil {
		return dst, err
	}
	return out, nil
}

// decodeValues reads a column from the front of the input.
func decodeValues(dst []float64, in *input, n int) []float64 {
	form := in.form(forms - 1)
	if in.err != nil || n == 0 {
		return dst
	}
	switch form {
	case formConstant:
		v := math.Float64frombits(in.uint64())
		if in.err != nil {
			return dst
		}
		dst = slices.Grow(dst, n)
		for range n {
			dst = append(dst, v)
		}
		return dst
	case formDecimal:
		return decodeDecimal(dst, in, n)
	case formXOR:
		return decodeXOR(dst, in, n)
	case formBits:
		return decodeBits(dst, in, n)
	case formZstd:
		return decodeZstd(dst, in, n)
	}
	return decodeNear(dst, in, n)
}

func decodeDecimal(dst []float64, in *input, n int) []float64 {
	head := in.byte()
	e := int(head &^ flagExceptions)
	if e >= len(powers) {
		in.fail("exponent %d, at most %d", e, len(powers)-1)
		return dst
	}
	var odds []odd
	if head&flagExceptions != 0 {
		odds = readOdd(in, n)
	}
	r := newIntReader(in, n)
	defer r.close()
	if in.err != nil {
		return dst
	}
	dst, values := grown(dst, n)
	r.quotients(values, e)
	for _, o := range odds {
		values[o.place] = math.Float64frombits(o.bits)
	}
	return dst
}

// grown makes room for n more, and returns the room by itself, too.
func grown[T any](dst []T, n int) (all, room []T) {
	at := len(dst)
	all = slices.Grow(dst, n)[:at+n]
	return all, all[at:]
}

// quotients reads all integers and divides them by a power of ten.
func (r *intReader) quotients(dst []float64, e int) {
	var b block
	power := powers[e]
	for got := r.next(&b); got > 0; got = r.next(&b) {
		out := dst[:got]
		dst = dst[got:]
		if e == 0 {
			for i := range out {
				out[i] = float64(int64(b[i]))
			}
			continue
		}
		for i := range out {
			out[i] = float64(int64(b[i])) / power
		}
	}
}

func decodeBits(dst []float64, in *input, n int) []float64 {
	r := newIntReader(in, n)
	defer r.close()
	if in.err != nil {
		return dst
	}
	dst, values := grown(dst, n)
	var b block
	for got := r.next(&b); got > 0; got = r.next(&b) {
		for i, x := range b[:got] {
			values[i] = math.Float64frombits(x)
		}
		values = values[got:]
	}
	return dst
}

func decodeZstd(dst []float64, in *input, n int) []float64 {
	packed := in.take(in.uvarint())
	if in.err != nil {
		return dst
	}
	s := borrow()
	defer s.giveBack()
	plain, err := inflate(s.bytes, packed, 8*n)
	if err != nil || len(plain) != 8*n {
		in.fail("%d bytes of %d values: %v", len(plain), n, err)
		return dst
	}
	s.bytes = plain
	dst = slices.Grow(dst, n)
	for ; len(plain) > 0; plain = plain[8:] {
		dst = append(dst, math.Float64frombits(binary.LittleEndian.Uint64(plain)))
	}
	return dst
}
