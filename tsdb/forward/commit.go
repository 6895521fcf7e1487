package forward

import (
	"errors"
	"fmt"
	"os"
)

var errQueueClosed = errors.New("the queue is closed")

// leaving is a segment that is no longer in a queue, and whose file is to be removed.
type leaving struct {
	number uint64
	size   int64
	// uncounted is set where nobody knows yet how many samples were lost with it: those behind at.
	uncounted bool
	at        position
}

// drop takes the oldest segment out of the queue, with what was not sent of it; the caller holds mu, and sweeps after.
func (q *queue) drop() {
	oldest := q.segments[0]
	if oldest.counted {
		q.counts.full += oldest.samples - oldest.taken
	}
	q.segments = q.segments[1:]
	q.leaving = append(q.leaving, leaving{number: oldest.number, size: oldest.size, uncounted: !oldest.counted, at: q.at})
}

// forget takes the segments that lie before a position out of the queue; the caller holds mu, and sweeps after.
func (q *queue) forget(at position) {
	for len(q.segments) > 1 && q.segments[0].number < at.segment {
		oldest := q.segments[0]
		q.segments = q.segments[1:]
		q.leaving = append(q.leaving, leaving{number: oldest.number, size: oldest.size})
	}
}

// sweep removes the files of the segments that have left the queue, and counts what was lost with them. It waits for the
// disk: the caller does not hold mu. What cannot be removed is tried again by the next commit.
func (q *queue) sweep() error {
	q.mu.Lock()
	all := q.leaving
	q.leaving = nil
	q.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	var errs []error
	var stay []leaving
	lost := int64(0)
	for _, one := range all {
		if one.uncounted {
			samples, taken := q.countSegment(one.number, one.at)
			lost += samples - taken
			one.uncounted = false
		}
		if err := q.log.Remove(one.number); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs, stay = append(errs, fmt.Errorf("a segment of the queue stays: %w", err)), append(stay, one)
		}
	}
	err := errors.Join(errs...)
	q.mu.Lock()
	defer q.unlock()
	q.leaving = append(stay, q.leaving...)
	q.counts.full += lost
	if err != nil {
		q.counts.lastFailure = err
	}
	return err
}

// commit notes that everything before a position was acknowledged or given up. Appending does not wait for it.
func (q *queue) commit(at position) error {
	q.committing.Lock()
	defer q.committing.Unlock()
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return errQueueClosed
	}
	err := q.cursor.put(at, q.cfg.now())
	q.mu.Lock()
	q.at = at
	for _, s := range q.segments {
		s.acked = s.taken // all that is given out is acknowledged at one time
	}
	q.forget(at)
	q.unlock()
	return errors.Join(err, q.sweep())
}
