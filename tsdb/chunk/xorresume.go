package chunk

import (
	"encoding/binary"
	"math"
	"slices"
)

// ResumeSize is the length in bytes of what MarkResume writes.
const ResumeSize = 8 + 8 + 4 + 2 + 1 + 1

// MarkResume writes down the state behind the newest sample, so that those that follow can be decoded without those
// before. It reports false where the state does not fit: samples lie weeks apart, or the chunk has more than 8 KiB.
func (x *XOR) MarkResume(dst []byte) bool {
	if x.bits > math.MaxUint16 || x.delta != int64(int32(x.delta)) {
		return false
	}
	binary.LittleEndian.PutUint64(dst, uint64(x.t))
	binary.LittleEndian.PutUint64(dst[8:], x.v)
	binary.LittleEndian.PutUint32(dst[16:], uint32(x.delta))
	binary.LittleEndian.PutUint16(dst[20:], uint16(x.bits))
	dst[22], dst[23] = x.leading, x.width
	return true
}

// ResumeTime is the time of the sample that a mark stands behind, in milliseconds.
func ResumeTime(mark []byte) int64 { return int64(binary.LittleEndian.Uint64(mark)) }

// Tail is what follows a mark in a growing chunk: n samples, and words of the stream from the one on that the mark ends in.
type Tail struct {
	place xorPlace
	n     int
	bits  []byte
}

// CopyTail copies what follows a mark of the chunk that grows in buf into the tail, whose memory is used again. The mark
// was made when the chunk had so many samples.
func (x *XOR) CopyTail(dst *Tail, buf, mark []byte, samples int) {
	at := uint(binary.LittleEndian.Uint16(mark[20:]))
	leading, width := uint(mark[22]), uint(mark[23])
	dst.place = xorPlace{
		t: ResumeTime(mark), delta: int64(int32(binary.LittleEndian.Uint32(mark[16:]))), v: binary.LittleEndian.Uint64(mark[8:]),
		at: at % 64, trailing: 64 - leading - width, width: width,
	}
	dst.n = int(x.n) - samples
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], x.word)
	dst.bits = append(dst.bits[:0], buf[at/64*8:x.bits/64*8]...)
	dst.bits = append(dst.bits, word[:(x.bits%64+7)/8]...)
}

// Decode appends the samples to ts (milliseconds) and vs.
func (t *Tail) Decode(ts []int64, vs []float64) ([]int64, []float64, error) {
	n, oldT, oldV := len(t.bits), len(ts), len(vs)
	t.bits = append(t.bits, make([]byte, XORPadding)...)
	ts, vs = slices.Grow(ts, t.n)[:oldT+t.n], slices.Grow(vs, t.n)[:oldV+t.n]
	d := xorDecoder{bits: t.bits, end: uint(n) * 8}
	err := d.decodeFrom(t.place, ts[oldT:], vs[oldV:])
	t.bits = t.bits[:n]
	if err != nil {
		return ts[:oldT], vs[:oldV], err
	}
	return ts, vs, nil
}
