package log

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/s2"
)

// Reader reads the records of one segment one by one, from any frame on, while others may be written behind them. It
// changes nothing, and knows nothing of batches: the records of one are records like others.
type Reader struct {
	segment  uint64
	file     *os.File
	at       int64
	src, buf []byte
	// failures are how often in a row the disk could not be read here.
	failures int
}

// readTries is how often the disk may fail to read a place before what is there is given up.
const readTries = 10

// OpenReader opens a segment at the offset of a frame, such as 0 or what Offset told before.
func OpenReader(dir string, segment uint64, offset int64) (*Reader, error) {
	file, err := os.Open(filepath.Join(dir, name(segment)))
	if err != nil {
		return nil, fmt.Errorf("reading log segment %d: %w", segment, err)
	}
	return &Reader{segment: segment, file: file, at: offset}, nil
}

// Segment is the number of the segment that is read.
func (r *Reader) Segment() uint64 { return r.segment }

// Offset is where the next frame begins: everything before it was read.
func (r *Reader) Offset() int64 { return r.at }

// Size is how long the segment's file is.
func (r *Reader) Size() (int64, error) {
	info, err := r.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading log segment %d: %w", r.segment, err)
	}
	return info.Size(), nil
}

// Next gives the next record of those before end, an offset that no frame crosses; it is valid until the call after.
// At the end it is io.EOF. Damaged bytes are passed over and told of, beside the record behind them or io.EOF. An error
// of the disk is told as it is, to be tried again; after ten in a row all from here to the end is damage.
func (r *Reader) Next(end int64) (record []byte, damage *Damage, err error) {
	if r.at >= end {
		return nil, nil, io.EOF
	}
	record, cause := r.record(end)
	if cause == nil {
		r.failures = 0
		return record, nil, nil
	}
	if !errors.Is(cause, errTorn) {
		return r.failed(end, cause)
	}
	if damage, err = r.skip(end, cause); err != nil {
		return r.failed(end, err)
	}
	r.failures = 0
	if damage.Tail {
		return nil, damage, io.EOF
	}
	record, err = r.record(end)
	return record, damage, err
}

// failed counts an error of the disk, and gives up the rest once it has failed too often.
func (r *Reader) failed(end int64, cause error) ([]byte, *Damage, error) {
	if r.failures++; r.failures < readTries {
		return nil, nil, cause
	}
	d := &Damage{Segment: r.segment, Offset: r.at, Length: end - r.at, Cause: cause}
	r.at, r.failures = end, 0
	return nil, d, io.EOF
}

// record reads the frame at the present place and goes behind it.
func (r *Reader) record(end int64) ([]byte, error) {
	head, err := r.bytes(min(end-r.at, batchHeader))
	if err != nil {
		return nil, err
	}
	size, err := frameSize(head, end-r.at)
	if err != nil {
		return nil, err
	}
	src, err := r.bytes(size)
	if err != nil {
		return nil, err
	}
	f, err := parseFrame(src)
	if err != nil {
		return nil, err
	}
	record, err := f.unpack(r.buf)
	if err != nil {
		return nil, err
	}
	if cap(record) > cap(r.buf) {
		r.buf = record
	}
	r.at += size
	return record, nil
}

// skip goes to the next whole frame behind a damaged one.
func (r *Reader) skip(end int64, cause error) (*Damage, error) {
	src := make([]byte, end-r.at)
	if _, err := r.file.ReadAt(src, r.at); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading log segment %d at %d: %w", r.segment, r.at, err)
	}
	took := int64(nextFrame(src, r.buf))
	d := &Damage{Segment: r.segment, Offset: r.at, Length: took, Tail: r.at+took == end, Cause: cause}
	r.at += took
	return d, nil
}

// bytes reads some behind the present place; they are valid until the next call.
func (r *Reader) bytes(n int64) ([]byte, error) {
	if int64(cap(r.src)) < n {
		r.src = make([]byte, n)
	}
	r.src = r.src[:n]
	if _, err := r.file.ReadAt(r.src, r.at); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the file ends before %d", errTorn, r.at+n)
	} else if err != nil {
		return nil, fmt.Errorf("reading log segment %d at %d: %w", r.segment, r.at, err)
	}
	return r.src, nil
}

// frameSize is that of the whole frame with this header. One longer than most, the bytes that are there, is torn.
func frameSize(head []byte, most int64) (int64, error) {
	size, header, err := headerOf(head)
	if err != nil {
		return 0, err
	}
	if size <= 0 || size > s2.MaxEncodedLen(MaxRecord) || int64(size+header) > most {
		return 0, fmt.Errorf("%w: length %d with %d bytes left", errTorn, size, most)
	}
	return int64(size + header), nil
}

// Close ends reading.
func (r *Reader) Close() error { return r.file.Close() }
