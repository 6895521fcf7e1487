package chunk

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxFrame is the most bytes that a frame may hold: the longest varint for each sample.
const maxFrame = MaxSamples * binary.MaxVarintLen64

// window is how far back zstd looks for what it has seen; chunks are smaller.
const window = 64 << 10

// scratch is room that encoders and decoders use over and over.
type scratch struct {
	ints, steps     []int64
	places          []uint16
	bytes, deflated []byte
	sparse          bool // a sparse block was written
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func borrow() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) giveBack() { scratches.Put(s) }

// One encoder and one decoder serve all; each keeps room for as many callers at once as there are processors.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithSingleSegment(true))
	})
	decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(0),
			zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecodeAllCapLimit(true))
	})
)

// deflate appends a zstd frame; dst itself when zstd is not to be had.
func deflate(dst, plain []byte) []byte {
	enc, err := encoder()
	if err != nil {
		panic("chunk: the settings of zstd are wrong: " + err.Error())
	}
	return enc.EncodeAll(plain, dst)
}

// inflate unpacks a frame of at most a number of bytes into dst, whose room it uses and otherwise makes anew.
func inflate(dst, packed []byte, most int) ([]byte, error) {
	dec, err := decoder()
	if err != nil {
		panic("chunk: the settings of zstd are wrong: " + err.Error())
	}
	var head zstd.Header
	if err := head.Decode(packed); err != nil {
		return nil, fmt.Errorf("the head of a zstd frame: %w", err)
	}
	if !head.HasFCS || head.FrameContentSize > uint64(most) {
		return nil, fmt.Errorf("a zstd frame of %d bytes, at most %d and with the size said", head.FrameContentSize, most)
	}
	size := int(head.FrameContentSize)
	if cap(dst) < size {
		dst = make([]byte, 0, size)
	}
	plain, err := dec.DecodeAll(packed, dst[:0:size])
	if err != nil {
		return nil, fmt.Errorf("a zstd frame of %d bytes: %w", size, err)
	}
	return plain, nil
}
