package chunk

import (
	"encoding/binary"
	"errors"
)

// StateSize is the length in bytes of what AppendState appends.
const StateSize = 4*8 + 4 + 2 + 1 + 1

// AppendState appends the state of a growing chunk, so that it can go on growing in another process. Of the chunk's
// buffer, the first Flushed bytes belong to it.
func (x *XOR) AppendState(dst []byte) []byte {
	for _, word := range [...]uint64{uint64(x.t), uint64(x.delta), x.v, x.word} {
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	dst = binary.LittleEndian.AppendUint32(dst, x.bits)
	dst = binary.LittleEndian.AppendUint16(dst, x.n)
	return append(dst, x.leading, x.width)
}

// Flushed is how many bytes of the chunk lie in its buffer; the state has the others.
func (x *XOR) Flushed() int { return int(x.bits / 64 * 8) }

var errXORState = errors.New("the state of a growing chunk is not one that appending makes")

// LoadState takes the state back from the StateSize bytes that AppendState has appended. It refuses what could make
// later calls fail.
func (x *XOR) LoadState(src []byte) error {
	if len(src) != StateSize {
		return errXORState
	}
	words := [4]uint64{}
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(src[8*i:])
	}
	got := XOR{
		t: int64(words[0]), delta: int64(words[1]), v: words[2], word: words[3],
		bits: binary.LittleEndian.Uint32(src[32:]), n: binary.LittleEndian.Uint16(src[36:]), leading: src[38], width: src[39],
	}
	least := uint32(0)
	if got.n > 0 {
		least = 128 + (uint32(got.n)-1)*xorSample
	}
	if got.bits < least || got.n == 0 && got.bits > 0 || got.leading > 31 || int(got.leading)+int(got.width) > 64 {
		return errXORState
	}
	*x = got
	return nil
}
