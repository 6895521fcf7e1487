package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/novacron/novacron/tsdb/log"
)

// imageName is the file in the store's folder that holds the head as it was when the store was closed, so that opening
// it again needs not read the log. It is only ever a short cut: nothing is removed from the log for its sake, and an
// image that does not fit the log and the blocks, or is damaged, is left aside. DESIGN.md says its bytes.
const imageName = "head.image"

// imageMagic leads the file: four letters, the version, three zeros.
const imageMagic = "NCHI\x01\x00\x00\x00"

// The sections of an image, in their order. Each is framed: its letter, the length of its bytes (u32, least first), the
// bytes, and the CRC32C of all that (u32).
const (
	imagePosition   = 'P'
	imagePairs      = 'N'
	imageSeries     = 'S'
	imageSpan       = 'C'
	imageMemory     = 'M'
	imageLate       = 'L'
	imageStarts     = 'T'
	imageHistograms = 'H'
	imageExemplars  = 'E'
	imageEnd        = 'Z'
)

const (
	imageFrame = 1 + 4 // bytes in front of a section's own
	imageSum   = 4     // bytes behind them
	// imageSection is the size from which on a section is ended, imageMost the most bytes that one can have.
	imageSection = 256 << 10
	imageMost    = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errImage is an image that cannot be used.
var errImage = errors.New("the image of the head is of no use")

// position says which log and blocks an image was made with.
type position struct {
	span   int64 // length in milliseconds
	sealed int64 // what the blocks say
	// minT and maxT are the times of the oldest and newest sample that the head was given.
	minT, maxT int64
	// numbers is the newest number of a span.
	numbers  uint32
	segments []imageSegment
}

// imageSegment is a segment of the log whose records the image has: its size, and the time of the newest sample in it or
// in an older one.
type imageSegment struct {
	number, size uint64
	newest       int64
}

// position is where the store stands. Nobody appends any more.
func (s *Store) position() (position, error) {
	p := position{span: s.head.spanLength, sealed: s.sealedThrough(), numbers: s.head.numbers}
	p.minT, p.maxT = s.head.bounds()
	numbers, err := log.Segments(s.path("log"))
	if err != nil {
		return p, err
	}
	for _, number := range numbers {
		size, err := s.segmentSize(number)
		if err != nil {
			return p, err
		}
		newest, known := s.segments.of(number)
		if !known {
			newest = p.maxT
		}
		p.segments = append(p.segments, imageSegment{number, size, newest})
	}
	return p, nil
}

func (s *Store) segmentSize(number uint64) (uint64, error) {
	info, err := os.Stat(filepath.Join(s.path("log"), fmt.Sprintf("%016d", number)))
	if err != nil {
		return 0, err
	}
	return uint64(info.Size()), nil
}

// fits tells whether the log begins with what the image has, and nothing was sealed since. Later segments may follow.
func (p *position) fits(s *Store, segments []uint64) error {
	switch {
	case p.span != s.head.spanLength:
		return fmt.Errorf("%w: it has spans of %d ms, now they have %d", errImage, p.span, s.head.spanLength)
	case p.sealed != s.sealedThrough():
		return fmt.Errorf("%w: it begins where %d is sealed, the blocks say %d", errImage, p.sealed, s.sealedThrough())
	case len(p.segments) > len(segments):
		return fmt.Errorf("%w: it has %d segments of the log, there are %d", errImage, len(p.segments), len(segments))
	}
	for i, segment := range p.segments {
		size, err := s.segmentSize(segments[i])
		if err != nil {
			return err
		}
		if segment.number != segments[i] || segment.size != size {
			return fmt.Errorf("%w: it has log segment %d of %d bytes, the log has %d of %d", errImage, segment.number, segment.size, segments[i], size)
		}
	}
	return nil
}

func (p *position) append(dst []byte) []byte {
	for _, n := range [...]int64{p.span, p.sealed, p.minT, p.maxT} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = binary.AppendUvarint(dst, uint64(p.numbers))
	dst = binary.AppendUvarint(dst, uint64(len(p.segments)))
	for _, segment := range p.segments {
		dst = binary.AppendUvarint(dst, segment.number)
		dst = binary.AppendUvarint(dst, segment.size)
		dst = binary.AppendVarint(dst, segment.newest)
	}
	return dst
}

func readPosition(in *recordReader) position {
	p := position{span: in.Varint(), sealed: in.Varint(), minT: in.Varint(), maxT: in.Varint(), numbers: in.ID()}
	for range in.Count(3) {
		p.segments = append(p.segments, imageSegment{in.Uvarint(), in.Uvarint(), in.Varint()})
	}
	return p
}

// dropImage removes the image, where there is one: what it says is about to be wrong, or was.
func (s *Store) dropImage() error {
	if err := os.Remove(s.path(imageName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the image of the head: %w", err)
	}
	return nil
}
