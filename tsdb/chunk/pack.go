package chunk

import "encoding/binary"

// blockLen is how many numbers are packed with one width: with 64 of them, a width of w bits fills w words.
const blockLen = 64

// slack is how far an unpacker may look past the end of a block.
const slack = 9

// block is a block of numbers, of which only the first ones may count.
type block [blockLen]uint64

// packedLen is the number of bytes that n numbers of w bits take.
func packedLen(n int, w uint) int { return (n*int(w) + 7) / 8 }

// pack appends the low w bits of each number, lowest bits first, without gaps.
func pack(dst []byte, xs []uint64, w uint) []byte {
	if w == 0 {
		return dst
	}
	end := len(dst) + packedLen(len(xs), w)
	mask := ^uint64(0) >> (64 - w)
	var word uint64
	var filled uint
	for _, x := range xs {
		x &= mask
		word |= x << filled
		if filled += w; filled >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, word)
			filled -= 64
			word = x >> (w - filled) // a shift by 64 leaves nothing
		}
	}
	for ; len(dst) < end; word >>= 8 {
		dst = append(dst, byte(word))
	}
	return dst
}

// unpack reads n numbers of w bits that begin at src[0] and adds base to each; src holds all of them, and may go on.
func unpack(dst *block, src []byte, n int, w uint, base uint64) {
	if w == 0 {
		for i := range dst {
			dst[i] = base
		}
		return
	}
	if len(src) < blockLen/8*int(w)+slack {
		var padded [blockLen*8 + slack]byte
		copy(padded[:], src[:packedLen(n, w)])
		src = padded[:]
	}
	switch {
	case w <= 15:
		unpackFours(dst, src, w, base)
	case w <= 29:
		unpackTwos(dst, src, w, base)
	case w <= 56:
		unpackOnes(dst, src, w, base)
	default:
		unpackWide(dst, src, w, base)
	}
}

// The unpackers take eight numbers, which are w bytes, in a round. A word that begins at the byte of a number's first
// bit holds at least 57 bits from there on, 60 where every fourth number begins and 58 where every second does: one
// whole number or four or two of them.

func unpackFours(dst *block, src []byte, w uint, base uint64) {
	mask := uint64(1)<<w - 1
	half, odd := w>>1, 4*w&7
	w &= 63 // a shift by less than 64 needs no check
	for g := 0; g < blockLen; g += 8 {
		out := (*[8]uint64)(dst[g:])
		x := binary.LittleEndian.Uint64(src)
		y := binary.LittleEndian.Uint64(src[half:]) >> odd
		src = src[w:]
		out[0], out[4] = x&mask+base, y&mask+base
		x, y = x>>w, y>>w
		out[1], out[5] = x&mask+base, y&mask+base
		x, y = x>>w, y>>w
		out[2], out[6] = x&mask+base, y&mask+base
		x, y = x>>w, y>>w
		out[3], out[7] = x&mask+base, y&mask+base
	}
}

func unpackTwos(dst *block, src []byte, w uint, base uint64) {
	mask := uint64(1)<<w - 1
	w &= 63
	for g := 0; g < blockLen; g += 8 {
		out := (*[8]uint64)(dst[g:])
		x := binary.LittleEndian.Uint64(src)
		out[0], out[1] = x&mask+base, x>>w&mask+base
		x = binary.LittleEndian.Uint64(src[2*w>>3:]) >> (2 * w & 7)
		out[2], out[3] = x&mask+base, x>>w&mask+base
		x = binary.LittleEndian.Uint64(src[4*w>>3:]) >> (4 * w & 7)
		out[4], out[5] = x&mask+base, x>>w&mask+base
		x = binary.LittleEndian.Uint64(src[6*w>>3:]) >> (6 * w & 7)
		out[6], out[7] = x&mask+base, x>>w&mask+base
		src = src[w:]
	}
}

func unpackOnes(dst *block, src []byte, w uint, base uint64) {
	mask := uint64(1)<<w - 1
	for g := 0; g < blockLen; g += 8 {
		out := (*[8]uint64)(dst[g:])
		in := src[:w+8]
		src = src[w:]
		out[0] = binary.LittleEndian.Uint64(in)&mask + base
		for i := uint(1); i < 8; i++ {
			out[i] = binary.LittleEndian.Uint64(in[i*w>>3:])>>(i*w&7)&mask + base
		}
	}
}

// unpackWide is for numbers that may lie across nine bytes.
func unpackWide(dst *block, src []byte, w uint, base uint64) {
	mask := ^uint64(0) >> (64 - w)
	for i := range dst {
		bit := uint(i) * w
		in, shift := src[bit>>3:], bit&7
		low, high := binary.LittleEndian.Uint64(in)>>shift, uint64(in[8])<<(64-shift)
		dst[i] = (low|high)&mask + base
	}
}
