package durable

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/novacron/novacron/tsdb/index"
)

// restore reads the image of the head, where there is one that fits. It returns how many of the log's segments need
// not be read any more, and the time of the newest sample in them.
func (s *Store) restore(segments []uint64) (covered int, newest int64) {
	at, err := s.readImage(segments)
	if err == nil {
		for _, segment := range at.segments {
			s.segments.set(segment.number, segment.newest)
			newest = segment.newest
		}
		return len(at.segments), newest
	}
	if !errors.Is(err, fs.ErrNotExist) {
		s.options.Log.Info("the head was not saved as it is now, the log is read instead", "reason", err)
	}
	return 0, math.MinInt64
}

func (s *Store) readImage(segments []uint64) (*position, error) {
	file, err := os.Open(s.path(imageName))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	r := newImageReader(s, bufio.NewReaderSize(file, 1<<20), info.Size())
	if err := r.read(func(at *position) error { return at.fits(s, segments) }); err != nil {
		r.head.close()
		return nil, err
	}
	s.head, s.index, s.exemplars = r.head, r.index, r.exemplars
	return &r.at, nil
}

// imageReader makes a head, and what belongs to it, of an image.
type imageReader struct {
	in   *bufio.Reader
	left int64 // bytes of the file
	// kind and section are what was read last.
	kind     byte
	section  []byte
	sections uint64

	at        position
	head      *head
	index     *index.Mem
	exemplars *exemplarRing
	restorer  *index.Restorer
	pairs     []uint32 // their numbers, by their places in the image
	named     int64    // how many series all pairs together have
	loaded    []loadedSeries
	series    uint32
	spans     []*span
	chunks    chunkPlaces
}

// loadedSeries is what of a series is checked against the spans, which come later.
type loadedSeries struct {
	id    uint32
	until int64
}

func newImageReader(s *Store, in *bufio.Reader, size int64) *imageReader {
	r := &imageReader{in: in, left: size, head: newHead(s.head.spanLength), exemplars: newExemplarRing(s.options.Exemplars)}
	r.index = index.New(index.Limits{}, s.options.Clock)
	r.restorer = r.index.Restore()
	return r
}

func (r *imageReader) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s (section %d, %q)", errImage, fmt.Sprintf(format, args...), r.sections, r.kind)
}

// read takes everything in. Fits decides whether it is worth the while.
func (r *imageReader) read(fits func(*position) error) error {
	magic := make([]byte, len(imageMagic))
	if err := r.take(magic); err != nil {
		return err
	}
	if string(magic) != imageMagic {
		return r.wrong("its first bytes are %q, this version writes %q", magic, imageMagic)
	}
	if err := r.first(fits); err != nil {
		return err
	}
	for stage := 0; ; {
		if err := r.next(); err != nil {
			return err
		}
		if r.kind == imageEnd {
			return r.finish()
		}
		if stage = stageOf(r.kind, stage); stage < 0 {
			return r.wrong("it is not expected here")
		}
		if err := r.use(); err != nil {
			return err
		}
	}
}

// stageOf is the place of a letter in the order of sections, from a place on; negative where it does not belong there.
func stageOf(kind byte, from int) int {
	const order = string(imagePairs) + string(imageSeries) + string(imageSpan) + string(imageLate) + string(imageStarts) + string(imageHistograms) + string(imageExemplars)
	if at := strings.IndexByte(order[from:], kind); at >= 0 {
		return from + at
	}
	return -1
}

// first reads the position.
func (r *imageReader) first(fits func(*position) error) error {
	if err := r.next(); err != nil {
		return err
	}
	in := newRecordReader(r.section)
	r.at = readPosition(&in)
	if r.kind != imagePosition || in.Err != nil || in.More() {
		return r.wrong("the position cannot be read: %v", in.Err)
	}
	if err := fits(&r.at); err != nil {
		return err
	}
	r.head.numbers = r.at.numbers
	r.head.times.widen(r.at.minT, r.at.maxT)
	return nil
}

// next reads a section.
func (r *imageReader) next() error {
	frame := make([]byte, imageFrame)
	if err := r.take(frame); err != nil {
		return err
	}
	size := int64(binary.LittleEndian.Uint32(frame[1:]))
	if size > imageMost || size > r.left-imageSum {
		return r.wrong("a section of %d bytes with %d left, at most %d are read", size, r.left, imageMost)
	}
	r.section = slices.Grow(r.section[:0], int(size))[:size]
	return r.fill(frame, r.section)
}

// fill reads a section's bytes and checks them.
func (r *imageReader) fill(frame, section []byte) error {
	r.kind = frame[0]
	r.sections++
	if err := r.take(section); err != nil {
		return err
	}
	var sum [imageSum]byte
	if err := r.take(sum[:]); err != nil {
		return err
	}
	if got := crc32.Update(crc32.Checksum(frame, castagnoli), castagnoli, section); got != binary.LittleEndian.Uint32(sum[:]) {
		return r.wrong("its checksum is %08x, written was %08x", got, binary.LittleEndian.Uint32(sum[:]))
	}
	return nil
}

func (r *imageReader) take(dst []byte) error {
	n, err := io.ReadFull(r.in, dst)
	if r.left -= int64(n); err != nil {
		return r.wrong("it is cut short: %v", err)
	}
	return nil
}

// use takes one section in.
func (r *imageReader) use() error {
	record := newRecordReader(r.section)
	in := &record
	var read func(*recordReader) error
	switch r.kind {
	case imagePairs:
		read = r.readPair
	case imageSeries:
		read = r.readSeries
	case imageSpan:
		read = r.readSpan
	case imageLate:
		read = r.readLate
	case imageStarts:
		read = r.readStarts
	case imageHistograms:
		read = r.readHistograms
	case imageExemplars:
		read = r.readExemplars
	}
	for in.More() {
		if err := read(in); err != nil {
			return err
		}
	}
	if in.Err != nil {
		return r.wrong("%v", in.Err)
	}
	return nil
}

// finish checks what only the whole can tell.
func (r *imageReader) finish() error {
	in := newRecordReader(r.section)
	if n := in.Uvarint(); in.Err != nil || in.More() || n+1 != r.sections || r.left > 0 {
		return r.wrong("it has %d sections, written were %d; %d bytes are left over", r.sections-1, n, r.left)
	}
	if err := r.restorer.Done(); err != nil {
		return r.wrong("%v", err)
	}
	return r.checkSeries()
}
