package forward

import (
	"context"
	"slices"

	"github.com/novacron/novacron/tsdb/log"
)

// queueCounts are what happened since the queue was opened.
type queueCounts struct {
	// full are samples that went with the oldest segment, failed those that could not be written.
	full, failed int64
	// damaged are bytes that could not be read back.
	damaged     int64
	lastFailure error
}

// state is what a queue tells of itself.
type queueState struct {
	queueCounts
	// pending are samples that were not acknowledged yet.
	pending, bytes int64
}

// state is how the queue was when it was changed last, with what syncs have come to since. It waits for no disk, as who holds
// mu may do.
func (q *queue) state() queueState {
	q.showing.Lock()
	defer q.showing.Unlock()
	s := q.shown
	if failed := q.syncFailure.Load(); failed != nil {
		s.lastFailure = failed.err
	}
	return s
}

// unlock tells how the queue is now, and gives mu free.
func (q *queue) unlock() {
	now := queueState{queueCounts: q.counts, bytes: q.size()}
	for _, s := range q.segments {
		now.pending += s.samples - s.acked
	}
	for _, one := range q.leaving {
		now.bytes += one.size
	}
	q.showing.Lock()
	q.shown = now
	q.showing.Unlock()
	q.mu.Unlock()
}

// countSegment tells how many samples a segment has, and how many of them lie before the cursor.
func (q *queue) countSegment(number uint64, cursor position) (samples, taken int64) {
	reader, err := log.OpenReader(q.segmentsDir(), number, 0)
	if err != nil {
		return 0, 0
	}
	defer reader.Close()
	size, _ := reader.Size()
	var r record
	for {
		src, _, err := reader.Next(size)
		if err != nil {
			return samples, taken
		}
		if r.parse(src) != nil {
			continue
		}
		samples += int64(r.count())
		if !cursor.before(position{number, reader.Offset()}) {
			taken = samples
		}
	}
}

// count looks at the segments that were there when the queue was opened.
func (q *queue) count(ctx context.Context) {
	q.mu.Lock()
	segments, cursor := slices.Clone(q.segments[:len(q.segments)-1]), q.at
	uncounted := slices.DeleteFunc(segments, func(s *segment) bool { return s.counted })
	q.mu.Unlock()
	for _, s := range uncounted {
		if ctx.Err() != nil {
			return
		}
		samples, taken := q.countSegment(s.number, cursor)
		q.mu.Lock()
		if !s.counted {
			s.samples, s.taken, s.acked, s.counted = samples, taken, taken, true
		}
		q.unlock()
	}
}

// rewind gives out again what was not acknowledged.
func (q *queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.passedTo = 0
	for _, s := range q.segments {
		s.taken = s.acked
	}
}
