package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

const (
	frameHeader = 12
	// MaxRecord is the most bytes of a record: longer batches are cut by their writer.
	MaxRecord = 16 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	mark       = []byte{0xA7, 0xC3, 0x5E, 0x19}
	// errTorn is a frame that is not whole or not what was written.
	errTorn = errors.New("damaged frame")
)

// appendFrame packs a record behind dst.
func appendFrame(dst, record []byte) ([]byte, error) {
	if len(record) == 0 || len(record) > MaxRecord {
		return dst, fmt.Errorf("record of %d bytes: 1 to %d can be logged; cut the batch into smaller ones", len(record), MaxRecord)
	}
	start := len(dst)
	dst = append(dst, make([]byte, frameHeader+s2.MaxEncodedLen(len(record)))...)
	packed := s2.EncodeSnappy(dst[start+frameHeader:], record)
	copy(dst[start:], mark)
	binary.BigEndian.PutUint32(dst[start+4:], uint32(len(packed)))
	binary.BigEndian.PutUint32(dst[start+8:], crc32.Checksum(packed, castagnoli))
	return dst[:start+frameHeader+len(packed)], nil
}

// readFrame unpacks the frame at the start of src into buf and tells how many bytes of src it took.
func readFrame(src, buf []byte) (record []byte, took int, err error) {
	if len(src) < frameHeader || !bytes.Equal(src[:len(mark)], mark) {
		return nil, 0, fmt.Errorf("%w: no header of %d bytes", errTorn, frameHeader)
	}
	size := int(binary.BigEndian.Uint32(src[4:]))
	if size == 0 || size > s2.MaxEncodedLen(MaxRecord) || size > len(src)-frameHeader {
		return nil, 0, fmt.Errorf("%w: length %d with %d bytes left", errTorn, size, len(src)-frameHeader)
	}
	packed := src[frameHeader : frameHeader+size]
	if sum, want := crc32.Checksum(packed, castagnoli), binary.BigEndian.Uint32(src[8:]); sum != want {
		return nil, 0, fmt.Errorf("%w: checksum %08x, written was %08x", errTorn, sum, want)
	}
	length, err := s2.DecodedLen(packed)
	if err != nil || length > MaxRecord {
		return nil, 0, fmt.Errorf("%w: unpacked length %d, at most %d", errTorn, length, MaxRecord)
	}
	if record, err = s2.Decode(buf[:cap(buf)], packed); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errTorn, err)
	}
	return record, frameHeader + size, nil
}

// nextFrame is the distance to the first whole frame behind a damaged one; the length of src when there is none.
func nextFrame(src, buf []byte) int {
	for at := 1; ; at++ {
		found := bytes.Index(src[min(at, len(src)):], mark)
		if found < 0 {
			return len(src)
		}
		at += found
		if _, _, err := readFrame(src[at:], buf); err == nil {
			return at
		}
	}
}
