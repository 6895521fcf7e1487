package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// XOR is the state of a chunk that grows sample by sample: times as differences of differences, values as what changed
// in their bits (Pelkonen et al., «Gorilla», VLDB 2015). It holds no pointer, so that a million of them cost the
// garbage collector nothing; the bytes lie in a buffer that its owner keeps.
//
// Layout: uint16 samples, then a bit stream, most significant bit first: time and value of the first sample as 64 bits
// each; of each later one
//
//	time   0                    same distance as before
//	       10  + 7 bits         difference of distances, -64..63 ms
//	       110 + 14 bits        -8192..8191 ms
//	       111 + 64 bits        all others
//	value  0                    same bits as before
//	       10  + changed bits   within the window of the sample before
//	       11  + 5 bits leading zeros, 6 bits (length of the window - 1), changed bits
type XOR struct {
	t, delta int64
	v        uint64
	// word holds the last bits, less than 64, at its top: the buffer is touched once for every 64 bits.
	word    uint64
	bits    uint32
	n       uint16
	leading uint8
	width   uint8
}

const (
	xorHeader = 2
	// XORSlack is the most bytes that one sample adds to a chunk, with the word that is written behind it.
	XORSlack = 32
	// xorSample is the least bits that a sample after the first takes.
	xorSample = 2
)

// Len is the number of samples.
func (x *XOR) Len() int { return int(x.n) }

// Last is the time in milliseconds and the value, as bits, of the newest sample.
func (x *XOR) Last() (t int64, v uint64) { return x.t, x.v }

// Size is the length of the chunk in bytes.
func (x *XOR) Size() int {
	if x.n == 0 {
		return 0
	}
	return xorHeader + int(x.bits+7)/8
}

// Reset begins a new chunk; Last still tells the newest sample of the one before.
func (x *XOR) Reset() { x.word, x.bits, x.n, x.delta = 0, 0, 0, 0 }

// Append adds a sample to the chunk in buf, of which AppendTo makes bytes to keep. It reports false, and does nothing,
// where buf has less than XORSlack bytes behind the chunk: the owner then moves the chunk to a larger buffer or ends it.
// Times must grow.
func (x *XOR) Append(buf []byte, t int64, v float64) bool {
	if x.Size()+XORSlack > len(buf) {
		return false
	}
	value := math.Float64bits(v)
	if x.n == 0 {
		x.write(buf, uint64(t), 64)
		x.write(buf, value, 64)
		x.leading, x.width = 0, 0
	} else {
		delta := t - x.t
		code, n := x.time(buf, delta-x.delta)
		x.delta = delta
		x.value(buf, value^x.v, code, n)
	}
	x.t, x.v = t, value
	x.n++
	return true
}

// AppendTo adds the chunk that grows in buf to dst.
func (x *XOR) AppendTo(dst, buf []byte) []byte {
	return x.appendStream(binary.BigEndian.AppendUint16(dst, x.n), buf)
}

// appendStream adds the bits written so far to dst, filled up to a byte.
func (x *XOR) appendStream(dst, buf []byte) []byte {
	dst = append(dst, buf[:x.bits/64*8]...)
	var rest [8]byte
	binary.BigEndian.PutUint64(rest[:], x.word)
	return append(dst, rest[:(x.bits%64+7)/8]...)
}

// Repeat is Append for a sample with the value of the one before, at about the same distance, where there is room for it
// in the word: the buffer, of which only the size is told, stays out of the processor's cache. It reports false, and does
// nothing, for all other samples.
func (x *XOR) Repeat(size int, t int64, v float64) bool {
	delta := t - x.t
	change := delta - x.delta
	code, n := uint64(0), uint32(2) // of the time and of the value
	if change != 0 {
		code, n = 0b10<<8|uint64(change)&(1<<7-1)<<1, 10
	}
	used := x.bits % 64
	if x.v != math.Float64bits(v) || x.n == 0 || used+n > 63 || uint64(change+64) > 127 || x.Size()+XORSlack > size {
		return false
	}
	x.word |= code << (64 - n - used)
	x.bits += n
	x.t, x.delta = t, delta
	x.n++
	return true
}

// time returns what says how much the distance to the sample before has changed, and its bits; what is long it writes.
func (x *XOR) time(buf []byte, change int64) (code uint64, n uint8) {
	switch {
	case change == 0:
		return 0, 1
	case -64 <= change && change <= 63:
		return 0b10<<7 | uint64(change)&(1<<7-1), 9
	case -8192 <= change && change <= 8191:
		return 0b110<<14 | uint64(change)&(1<<14-1), 17
	}
	x.write(buf, 0b111, 3)
	x.write(buf, uint64(change), 64)
	return 0, 0
}

// value writes the n bits of a code, at most 17, and what says how the value's bits have changed.
func (x *XOR) value(buf []byte, changed, code uint64, n uint8) {
	if changed == 0 {
		x.write(buf, code<<1, n+1)
		return
	}
	leading := uint8(min(bits.LeadingZeros64(changed), 31))
	trailing := uint8(bits.TrailingZeros64(changed))
	width := 64 - leading - trailing
	// The old window is kept while it wastes less than what saying a new one takes.
	if x.width > 0 && leading >= x.leading && trailing >= 64-x.leading-x.width && x.width < width+11 {
		changed >>= 64 - x.leading - x.width
		if n += 2; n+x.width <= 64 {
			x.write(buf, (code<<2|0b10)<<x.width|changed, n+x.width)
			return
		}
		x.write(buf, code<<2|0b10, n)
		x.write(buf, changed, x.width)
		return
	}
	x.leading, x.width = leading, width
	x.write(buf, code<<13|0b11<<11|uint64(leading)<<6|uint64(width-1), n+13)
	x.write(buf, changed>>trailing, width)
}

// write adds the lowest n bits of v, 1 to 64; v has no others.
func (x *XOR) write(buf []byte, v uint64, n uint8) {
	used := uint8(x.bits % 64)
	free := 64 - used
	if n < free {
		x.word |= v << (free - n)
		x.bits += uint32(n)
		return
	}
	binary.BigEndian.PutUint64(buf[x.bits/64*8:], x.word|v>>(n-free))
	x.word = v << (64 - (n - free)) // nothing where n is free: Go shifts by 64 to zero
	x.bits += uint32(n)
}

// bitReader reads what XOR wrote. Reading past the end yields zeros and sets over.
type bitReader struct {
	src  []byte
	word uint64
	// left are the unread bits in word, which stand at its top.
	left uint
	over bool
}

func (r *bitReader) fill() {
	if len(r.src) >= 8 {
		// Whole bytes only: what does not fit is read again.
		r.word |= binary.BigEndian.Uint64(r.src) >> r.left
		took := (64 - r.left) >> 3
		r.src = r.src[took:]
		r.left += took << 3
		// The bits below left belong to a byte that stays unread.
		r.word &^= math.MaxUint64 >> r.left
		return
	}
	for r.left <= 56 && len(r.src) > 0 {
		r.word |= uint64(r.src[0]) << (56 - r.left)
		r.src = r.src[1:]
		r.left += 8
	}
}

// read takes n bits, 1 to 56.
func (r *bitReader) read(n uint) uint64 {
	if r.left < n {
		r.fill()
		if r.left < n {
			r.over = true
			return 0
		}
	}
	v := r.word >> (64 - n)
	r.word <<= n
	r.left -= n
	return v
}

func (r *bitReader) long(n uint) uint64 {
	if n <= 56 {
		return r.read(n)
	}
	high := r.read(n - 32)
	return high<<32 | r.read(32)
}

// DecodeXOR appends the samples of a chunk to ts (milliseconds) and vs. A chunk that is cut short or damaged is an
// error; the slices then come back as they were.
func DecodeXOR(ts []int64, vs []float64, src []byte) ([]int64, []float64, error) {
	if len(src) < xorHeader {
		return ts, vs, fmt.Errorf("XOR chunk of %d bytes: at least %d are needed", len(src), xorHeader)
	}
	n := int(binary.BigEndian.Uint16(src))
	if n == 0 {
		return ts, vs, nil
	}
	stream := src[xorHeader:]
	if least := 128 + (n-1)*xorSample; len(stream)*8 < least {
		return ts, vs, fmt.Errorf("XOR chunk of %d bytes says it holds %d samples: those take at least %d bits", len(src), n, least)
	}
	oldT, oldV := len(ts), len(vs)
	ts, vs = slices.Grow(ts, n)[:oldT+n], slices.Grow(vs, n)[:oldV+n]
	if err := decodeStream(ts[oldT:], vs[oldV:], stream); err != nil {
		return ts[:oldT], vs[:oldV], fmt.Errorf("XOR chunk of %d bytes and %d samples: %w", len(src), n, err)
	}
	return ts, vs, nil
}

// XORPadding is how many bytes behind a chunk can be looked at while it is decoded. One that lies in a slice with so
// much more capacity is decoded where it is, whatever stands there; another is copied first.
const XORPadding = 32

// decodeStream fills ts and vs from a bit stream.
func decodeStream(ts []int64, vs []float64, stream []byte) error {
	if n := len(stream) + XORPadding; n <= cap(stream) {
		d := xorDecoder{bits: stream[:n], end: uint(len(stream)) * 8}
		return d.decode(ts, vs)
	}
	return decodeCopy(ts, vs, stream)
}

func decodeCopy(ts []int64, vs []float64, stream []byte) error {
	var space [1024]byte
	d := xorDecoder{bits: padded(space[:], stream), end: uint(len(stream)) * 8}
	return d.decode(ts, vs)
}

// padded copies a stream so that words can be read at every place of it, into space where that is large enough.
func padded(space, stream []byte) []byte {
	if len(stream)+XORPadding > len(space) {
		space = make([]byte, len(stream)+XORPadding)
	}
	copy(space, stream)
	return space
}

// xorDecoder reads a padded stream of end bits.
type xorDecoder struct {
	bits []byte
	end  uint
}

// peek returns the bits from a place on at the top of a word, at least 57 of them.
func (d *xorDecoder) peek(at uint) uint64 {
	return binary.BigEndian.Uint64(d.bits[at>>3:]) << (at & 7)
}

// word returns n bits from a place on, 1 to 64.
func (d *xorDecoder) word(at, n uint) uint64 {
	if n <= 57 {
		return d.peek(at) >> (64 - n)
	}
	return d.peek(at)>>32<<(n-32) | d.peek(at+32)>>(96-n)
}

var (
	errXOREnds   = errors.New("it ends within its samples")
	errXORWindow = errors.New("a value names a window of bits that does not exist")
)

// decode fills ts and vs. It works on one word for most samples, which hold their time and their value both.
func (d *xorDecoder) decode(ts []int64, vs []float64) error {
	s := xorPlace{t: int64(d.word(0, 64)), v: d.word(64, 64), at: 128}
	ts[0], vs[0] = s.t, math.Float64frombits(s.v)
	return d.decodeFrom(s, ts[1:], vs[1:])
}

// xorPlace is a place in a stream behind a sample, with what the next one hangs on.
type xorPlace struct {
	t, delta            int64
	v                   uint64
	at, trailing, width uint
}

// decodeFrom fills ts and vs from a place on.
func (d *xorDecoder) decodeFrom(s xorPlace, ts []int64, vs []float64) error {
	t, delta, v, at, trailing, width := s.t, s.delta, s.v, s.at, s.trailing, s.width
	vs = vs[:len(ts)]
	for i := range ts {
		if at >= d.end {
			return errXOREnds
		}
		w := d.peek(at)
		used := uint(1)
		switch {
		case w>>63 == 0:
		case w>>62 == 0b10:
			delta += int64(w<<2) >> 57
			used = 9
		case w>>61 == 0b110:
			delta += int64(w<<3) >> 50
			used = 17
		default:
			delta += int64(d.word(at+3, 64))
			at += 3 + 64
			w, used = d.peek(at), 0
		}
		t += delta
		w <<= used
		switch {
		case w>>63 == 0:
			at += used + 1
		case w>>62 == 0b10:
			if width == 0 {
				return errXORWindow
			}
			at += used + 2
			v ^= d.word(at, width) << trailing
			at += width
		default:
			leading := uint(w << 2 >> 59)
			width = uint(w<<7>>58) + 1
			if leading+width > 64 {
				return errXORWindow
			}
			trailing = 64 - leading - width
			at += used + 13
			v ^= d.word(at, width) << trailing
			at += width
		}
		ts[i], vs[i] = t, math.Float64frombits(v)
	}
	if at > d.end {
		return errXOREnds
	}
	return nil
}
