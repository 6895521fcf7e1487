package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

const (
	frameHeader = 12
	// batchHeader is that of a frame that is one of several: its place and how many there are come behind the others.
	batchHeader = frameHeader + 8
	// MaxRecord is the most bytes of a record: longer batches are cut by their writer.
	MaxRecord = 16 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	mark       = []byte{0xA7, 0xC3, 0x5E, 0x19}
	batchMark  = []byte{0xA7, 0xC3, 0x5E, 0xE6}
	// markStart is what all marks begin with.
	markStart = mark[:3]
	// errTorn is a frame that is not whole or not what was written.
	errTorn = errors.New("damaged frame")
)

// appendFrame packs a record behind dst.
func appendFrame(dst, record []byte) ([]byte, error) {
	start := len(dst)
	dst, err := appendPacked(dst, record, frameHeader)
	if err == nil {
		putHeader(dst[start:], mark, frameHeader)
	}
	return dst, err
}

// appendPacked packs a record behind dst and room for a header.
func appendPacked(dst, record []byte, header int) ([]byte, error) {
	if len(record) == 0 || len(record) > MaxRecord {
		return dst, fmt.Errorf("record of %d bytes: 1 to %d can be logged; cut the batch into smaller ones", len(record), MaxRecord)
	}
	start := len(dst)
	dst = slices.Grow(dst, header+s2.MaxEncodedLen(len(record)))
	room := dst[start : start+header+s2.MaxEncodedLen(len(record))]
	packed := s2.EncodeSnappy(room[header:], record)
	return dst[:start+header+len(packed)], nil
}

// putHeader fills in the header of a frame, whose checksum is of everything behind it.
func putHeader(frame, mark []byte, header int) {
	copy(frame, mark)
	binary.BigEndian.PutUint32(frame[4:], uint32(len(frame)-header))
	binary.BigEndian.PutUint32(frame[8:], crc32.Checksum(frame[frameHeader:], castagnoli))
}

// frame is a record as it lies in a segment.
type frame struct {
	packed []byte
	// size is that of the whole frame.
	size int
	// place and count say that it is one of several records that are one batch; both are 0 where it stands alone.
	place, count uint32
}

// headerOf reads the length of a packed record, and that of the header in front of it.
func headerOf(src []byte) (size, header int, err error) {
	if len(src) < frameHeader || !bytes.HasPrefix(src, markStart) {
		return 0, 0, fmt.Errorf("%w: no header of %d bytes", errTorn, frameHeader)
	}
	header = frameHeader
	switch {
	case bytes.HasPrefix(src, batchMark):
		header = batchHeader
	case !bytes.HasPrefix(src, mark):
		return 0, 0, fmt.Errorf("%w: unknown mark %x", errTorn, src[:len(mark)])
	}
	return int(binary.BigEndian.Uint32(src[4:])), header, nil
}

// parseFrame finds the frame at the start of src.
func parseFrame(src []byte) (frame, error) {
	size, header, err := headerOf(src)
	if err != nil {
		return frame{}, err
	}
	if size == 0 || size > s2.MaxEncodedLen(MaxRecord) || size > len(src)-header {
		return frame{}, fmt.Errorf("%w: length %d with %d bytes left", errTorn, size, len(src)-frameHeader)
	}
	f := frame{packed: src[header : header+size], size: header + size}
	if sum, want := crc32.Checksum(src[frameHeader:f.size], castagnoli), binary.BigEndian.Uint32(src[8:]); sum != want {
		return frame{}, fmt.Errorf("%w: checksum %08x, written was %08x", errTorn, sum, want)
	}
	if header == batchHeader {
		f.place, f.count = binary.BigEndian.Uint32(src[12:]), binary.BigEndian.Uint32(src[16:])
		if f.place >= f.count {
			return frame{}, fmt.Errorf("%w: record %d of a batch of %d", errTorn, f.place, f.count)
		}
	}
	return f, nil
}

// unpack returns the frame's record, in buf where it fits.
func (f frame) unpack(buf []byte) ([]byte, error) {
	length, err := s2.DecodedLen(f.packed)
	if err != nil || length > MaxRecord {
		return nil, fmt.Errorf("%w: unpacked length %d, at most %d", errTorn, length, MaxRecord)
	}
	record, err := s2.Decode(buf[:cap(buf)], f.packed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTorn, err)
	}
	return record, nil
}

// nextFrame is the distance to the first whole frame behind a damaged one; the length of src when there is none.
func nextFrame(src, buf []byte) int {
	for at := 1; ; at++ {
		found := bytes.Index(src[min(at, len(src)):], markStart)
		if found < 0 {
			return len(src)
		}
		at += found
		if f, err := parseFrame(src[at:]); err == nil {
			if _, err = f.unpack(buf); err == nil {
				return at
			}
		}
	}
}
