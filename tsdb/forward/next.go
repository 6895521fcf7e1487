package forward

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/log"
)

// series is what is sent of the labels of one.
type series struct {
	lset labels.Labels
	hash uint64
}

// reading is where a queue is read. What is unread there is given out once in the life of a process.
type reading struct {
	queue *queue
	// external are labels that every series gets which does not have them.
	external labels.Labels
	file     *log.Reader
	known    map[uint32]*series
	record   record
	builder  *labels.Builder
}

func newReading(q *queue, external labels.Labels) *reading {
	return &reading{queue: q, external: external, known: map[uint32]*series{}, builder: labels.NewBuilder(labels.EmptyLabels())}
}

// next gives the next record and the position behind it; ok is false where there is none yet. The record is valid until
// the next call, and so is what it holds of bytes.
func (r *reading) next() (got *record, end position, ok bool, err error) {
	for {
		number, last, size, err := r.place()
		if err != nil {
			return nil, position{}, false, err
		}
		src, damage, err := r.file.Next(size)
		r.damaged(damage, last)
		end = position{number, r.file.Offset()}
		switch {
		case errors.Is(err, io.EOF) && last:
			return nil, end, false, nil
		case errors.Is(err, io.EOF):
			r.close()
			if err := r.queue.passed(number); err != nil {
				return nil, end, false, err
			}
		case err != nil:
			return nil, end, false, err
		default:
			if err := r.record.parse(src); err != nil { // written by a later release, as its checksum is right
				r.queue.damagedBytes(int64(len(src)), err)
				continue
			}
			r.define()
			if r.queue.take(end, r.record.count()) {
				return &r.record, end, true, nil
			}
		}
	}
}

// place opens the segment to read in: the one that is read, or the oldest where that one is gone. It tells whether it is
// the one that grows, and how far it may be read.
func (r *reading) place() (number uint64, last bool, size int64, err error) {
	q := r.queue
	for {
		number, size, last = q.reading(r.file)
		if r.file != nil && r.file.Segment() == number {
			return number, last, size, nil
		}
		r.close()
		if r.file, err = log.OpenReader(q.segmentsDir(), number, 0); err == nil {
			return number, last, size, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, false, 0, err
		}
		if gone := q.gone(number); gone != nil {
			return 0, false, 0, fmt.Errorf("%w: %w", gone, err)
		}
	}
}

// define learns the series of a record.
func (r *reading) define() {
	for _, d := range r.record.series {
		r.known[d.id] = r.seriesOf(d.lset)
	}
}

func (r *reading) seriesOf(lset labels.Labels) *series {
	r.builder.Reset(lset)
	r.external.Range(func(l labels.Label) {
		if !lset.Has(l.Name) {
			r.builder.Set(l.Name, l.Value)
		}
	})
	all := r.builder.Labels()
	return &series{lset: all, hash: all.Hash()}
}

// damaged counts what could not be read. The end of a segment that is not written any more is what a crash has left.
func (r *reading) damaged(d *log.Damage, last bool) {
	if d == nil || d.Tail && !last {
		return
	}
	r.queue.damagedBytes(d.Length, errors.New(d.String()))
}

func (r *reading) close() {
	if r.file != nil {
		_ = r.file.Close() // it was only read
		r.file = nil
	}
	clear(r.known)
}

// reading is the segment to go on in, how far it may be read, and whether it grows.
func (q *queue) reading(file *log.Reader) (number uint64, size int64, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.segments[0]
	for _, one := range q.segments {
		if file != nil && one.number == file.Segment() {
			s = one
		}
	}
	if file == nil && q.passedTo > 0 {
		for _, one := range q.segments {
			if one.number <= q.passedTo {
				continue
			}
			s = one
			break
		}
	}
	return s.number, s.size, s == q.current()
}

// passed notes that a segment was read to its end.
func (q *queue) passed(number uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errQueueClosed
	}
	q.passedTo = number
	return nil
}

// gone tells whether a segment that cannot be opened should be there.
func (q *queue) gone(number uint64) error {
	q.mu.Lock()
	defer q.unlock()
	if q.closed {
		return errQueueClosed
	}
	for i, one := range q.segments {
		if one.number == number {
			if one == q.current() {
				return errors.New("the growing segment of the queue is gone: somebody removed it")
			}
			q.segments = append(q.segments[:i:i], q.segments[i+1:]...)
		}
	}
	return nil
}

// take notes that the record before a position is given out; it is false for one that was acknowledged before.
func (q *queue) take(end position, samples int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.at.before(end) {
		return false
	}
	for _, one := range q.segments {
		if one.number == end.segment {
			one.taken += int64(samples)
		}
	}
	return true
}

func (q *queue) damagedBytes(n int64, cause error) {
	q.mu.Lock()
	defer q.unlock()
	q.counts.damaged += n
	q.counts.lastFailure = fmt.Errorf("the queue is damaged, and what could not be read is not sent: %w", cause)
}
