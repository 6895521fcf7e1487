package log

import (
	"encoding/binary"
	"fmt"
)

// MaxBatch is the most packed bytes of a batch.
const MaxBatch = 128 << 20

// Batch is records that are one: after a crash either all of them are read or none.
type Batch struct {
	frames []byte
	starts []int
}

// Len is the number of records.
func (b *Batch) Len() int { return len(b.starts) }

// Add packs a record into the batch.
func (b *Batch) Add(record []byte) error {
	start := len(b.frames)
	frames, err := appendPacked(b.frames, record, batchHeader)
	if err != nil {
		return err
	}
	if len(frames) > MaxBatch {
		return fmt.Errorf("a batch of more than %d packed bytes, of which %d records fill %d: cut it into smaller ones", MaxBatch, len(b.starts), start)
	}
	b.frames, b.starts = frames, append(b.starts, start)
	return nil
}

// finish fills in the headers and returns the bytes to be written.
func (b *Batch) finish() []byte {
	for i, start := range b.starts {
		end := len(b.frames)
		if i+1 < len(b.starts) {
			end = b.starts[i+1]
		}
		frame := b.frames[start:end]
		binary.BigEndian.PutUint32(frame[12:], uint32(i))
		binary.BigEndian.PutUint32(frame[16:], uint32(len(b.starts)))
		putHeader(frame, batchMark, batchHeader)
	}
	return b.frames
}

// batchLeft looks at a batch from the first frame on that src has of it, where it begins. Left is how many bytes are
// traces of it alone: all of src where the batch is not whole and nothing else is behind it, as a crash leaves it, and 0
// otherwise. Known is how many bytes need not be looked at again.
func batchLeft(src, buf []byte, first frame) (left, known int) {
	torn := first.place != 0
	last := first
	for at := first.size; ; at += last.size {
		if last.place == last.count-1 && !torn {
			return 0, at
		}
		next, err := parseFrame(src[at:])
		if err != nil {
			torn = true
			if at += nextFrame(src[at:], buf); at == len(src) {
				return at, at
			}
			next, err = parseFrame(src[at:])
		}
		if err != nil || next.count != first.count || next.place <= last.place {
			return 0, at // something else was written behind it
		}
		torn = torn || next.place != last.place+1
		last = next
	}
}
