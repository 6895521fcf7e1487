package forward

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/log"
)

const (
	// maxRecordPoints bounds one record.
	maxRecordPoints = 5000
	// maxSegment is the size at which a queue goes on to its next segment, or a sixteenth of its bound where that is less.
	maxSegment = 16 << 20
	minSegment = 16 << 10
	// definitionShare is how many times as large as its definitions a segment is, up to a quarter of the queue.
	definitionShare = 8
	// maxIDs bounds the series of one segment.
	maxIDs = 4 << 20
	// MinQueueBytes is the least that a queue can be bounded to.
	MinQueueBytes = 1 << 20
)

// queueConfig says how a queue is kept.
type queueConfig struct {
	dir string
	// max is the most bytes of its segments.
	max int64
	// sync is the longest that what was appended may stay out of stable storage.
	sync time.Duration
	now  func() time.Time
}

// segment is what is known of one file of a queue.
type segment struct {
	number uint64
	size   int64
	// samples are those in it, taken those that were given out to be sent, and acked those that are done with; all of
	// them once it is counted.
	samples, taken, acked int64
	counted               bool
	// ids is the newest id of a series in it.
	ids uint32
}

// nextID is an id that no series of the segment has.
func (s *segment) nextID() uint32 {
	s.ids++
	return s.ids
}

// queue keeps what is to be sent in the segments of a log, until it was acknowledged or until there is no room: the
// oldest segment goes then. Append may be called at any time; next and commit by one caller.
type queue struct {
	cfg queueConfig
	log *log.Log
	// more is told when something was appended.
	more chan struct{}

	// committing is held while the cursor is written, which waits for the disk; it is taken before mu.
	committing sync.Mutex
	cursor     *cursor

	mu       sync.Mutex
	match    matcher
	segments []*segment // the oldest first; the last one grows
	// leaving are segments that were in it, and whose files are to be removed.
	leaving []leaving
	// passedTo is the newest segment that was read to its end.
	passedTo uint64
	// at is up to where it was acknowledged.
	at position
	// ids are those of the growing segment; 0 is a series that is not sent.
	ids     map[engine.Ref]uint32
	defined int64
	record  record
	buf     []byte
	// messages are the histograms of record.
	messages []byte
	counts   queueCounts
	closed   bool

	// syncFailure is why a sync failed; nil once a later one did not.
	syncFailure atomic.Pointer[syncFailure]

	// showing is held for no longer than shown is copied.
	showing sync.Mutex
	shown   queueState
}

// openQueue opens the queue in a folder, or makes one.
func openQueue(cfg queueConfig, match matcher) (*queue, error) {
	if err := os.MkdirAll(cfg.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of a queue: %w", err)
	}
	q := &queue{cfg: cfg, match: match, more: make(chan struct{}, 1), ids: map[engine.Ref]uint32{}}
	if err := q.open(); err != nil {
		return nil, errors.Join(err, q.close())
	}
	return q, nil
}

func (q *queue) open() (err error) {
	if q.log, err = log.Open(q.segmentsDir(), log.Options{Sync: q.cfg.sync, Synced: q.synced}); err != nil {
		return err
	}
	if q.cursor, q.at, err = openCursor(filepath.Join(q.cfg.dir, "cursor")); err != nil {
		return err
	}
	numbers, err := log.Segments(q.segmentsDir())
	if err != nil {
		return err
	}
	for _, number := range numbers {
		info, err := os.Stat(filepath.Join(q.segmentsDir(), fmt.Sprintf("%016d", number)))
		if err != nil {
			return fmt.Errorf("a segment of the queue: %w", err)
		}
		q.segments = append(q.segments, &segment{number: number, size: info.Size(), counted: info.Size() == 0})
	}
	if err := q.realign(); err != nil {
		return err
	}
	q.mu.Lock()
	q.forget(q.at)
	q.unlock()
	return q.sweep()
}

// realign mends a cursor that names a segment which is gone. A crash may lose the names of the newest segments, as Turn does
// not wait for them, and so their numbers come back. The cursor never names a place that was written since: where it would,
// another is in stable storage before anything is appended.
func (q *queue) realign() error {
	switch newest := q.current().number; {
	case q.at.segment > newest:
		q.at = position{} // of segments that somebody has removed, or that a crash has
	case q.at.segment == newest:
		q.at = position{segment: newest} // that one was lost by a crash, and this one has its number
	default:
		return nil
	}
	if err := q.cursor.put(q.at, q.cfg.now()); err != nil {
		return err
	}
	return q.cursor.sync()
}

func (q *queue) segmentsDir() string { return filepath.Join(q.cfg.dir, "log") }

func (q *queue) current() *segment { return q.segments[len(q.segments)-1] }

// setMatch says what is taken from now on.
func (q *queue) setMatch(m matcher) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.match = m
	clear(q.ids) // a series gets another id, which does no harm
}

func (q *queue) setMax(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cfg.max = bytes
}

// append keeps what matches of what was stored. What cannot be kept is counted: storing goes on without it.
func (q *queue) append(stored Stored) {
	appended, dropped := q.writeAll(stored)
	if appended {
		select {
		case q.more <- struct{}{}:
		default:
		}
	}
	if dropped {
		_ = q.sweep() // which is told by the state
	}
}

// writeAll appends what was stored in records, and tells whether there is any and whether segments were dropped for it.
func (q *queue) writeAll(stored Stored) (appended, dropped bool) {
	q.mu.Lock()
	defer q.unlock()
	if q.closed {
		return false, false
	}
	before := len(q.leaving)
	for len(stored.Points) > 0 || len(stored.Examples) > 0 {
		part := Stored{Points: stored.Points[:min(len(stored.Points), maxRecordPoints)]}
		if stored.Points = stored.Points[len(part.Points):]; len(stored.Points) == 0 {
			part.Examples = stored.Examples[:min(len(stored.Examples), maxRecordPoints)]
			stored.Examples = stored.Examples[len(part.Examples):]
		}
		appended = q.write(part) || appended
	}
	return appended, len(q.leaving) > before
}

// write appends one record, or several where one would be too large; the caller holds mu.
func (q *queue) write(part Stored) bool {
	var stuck error
	if q.current().size > q.cfg.max {
		stuck = q.turn()
	}
	defined := q.defined
	q.fill(part)
	if q.record.empty() {
		return false
	}
	samples := int64(q.record.count())
	if stuck != nil {
		q.failed(samples, fmt.Errorf("its segment has more than the %d bytes that it may have, and another cannot be begun: %w", q.cfg.max, stuck))
		return false
	}
	q.buf = q.record.append(q.buf[:0])
	if len(q.buf) > log.MaxRecord {
		q.defined = defined
		return q.cut(part)
	}
	number, err := q.log.Append(q.buf)
	if err != nil {
		q.failed(samples, err)
		return false
	}
	if number != q.current().number {
		// The disk failed before, and the log went on to a new segment by itself: our series are not defined there.
		q.begin(number)
		q.current().samples += samples // it is read there, as far as it defines its series by itself
		return q.write(part)
	}
	s := q.current()
	_, s.size = q.log.Segment()
	s.samples += samples
	_ = q.turn() // what fails is told by the state, and tried again behind the next record
	return true
}

// cut writes the halves of what is too large for one record.
func (q *queue) cut(part Stored) bool {
	samples, size := int64(q.record.count()), len(q.buf)
	clear(q.ids) // what it defines was not written
	q.buf, q.messages = nil, nil
	left, right, ok := halves(part)
	if !ok {
		q.failed(samples, fmt.Errorf("one sample or exemplar with its labels takes %d bytes, at most %d can be queued", size, log.MaxRecord))
		return false
	}
	wrote := q.write(left)
	return q.write(right) || wrote
}

// halves are what was stored in two parts; it is false for one point or exemplar alone.
func halves(part Stored) (left, right Stored, ok bool) {
	points, examples := len(part.Points), len(part.Examples)
	switch {
	case points > 1:
		return Stored{Points: part.Points[:points/2]}, Stored{Points: part.Points[points/2:], Examples: part.Examples}, true
	case points == 1 && examples > 0:
		return Stored{Points: part.Points}, Stored{Examples: part.Examples}, true
	case examples > 1:
		return Stored{Examples: part.Examples[:examples/2]}, Stored{Examples: part.Examples[examples/2:]}, true
	}
	return Stored{}, Stored{}, false
}

// failed counts samples that are not in the queue. Series are defined again, since their definitions may be lost as well.
func (q *queue) failed(samples int64, err error) {
	clear(q.ids)
	q.counts.failed += samples
	q.counts.lastFailure = fmt.Errorf("the queue cannot be written: %w", err)
}

// fill makes a record of what matches.
func (q *queue) fill(part Stored) {
	q.record.reset()
	q.messages = q.messages[:0]
	q.record.written = q.cfg.now().UnixMilli()
	for i := range part.Points {
		p := &part.Points[i]
		id := q.id(p.Ref, p.Labels)
		switch {
		case id == 0:
		case p.Histogram != nil:
			from := len(q.messages)
			q.messages = appendHistogram(q.messages, p.Histogram, p.T)
			q.record.histograms = append(q.record.histograms, sample{id: id, t: p.T, st: p.ST, message: q.messages[from:len(q.messages):len(q.messages)]})
		default:
			q.record.samples = append(q.record.samples, sample{id: id, t: p.T, st: p.ST, v: p.V})
		}
	}
	for i := range part.Examples {
		e := &part.Examples[i]
		if id := q.id(e.Ref, e.Labels); id != 0 && e.HasTs {
			q.record.exemplars = append(q.record.exemplars, example{id, e.Ts, e.Value, e.Exemplar.Labels})
		}
	}
}

// id is that of a series in the growing segment, 0 where it is not sent.
func (q *queue) id(ref engine.Ref, lset labels.Labels) uint32 {
	if id, known := q.ids[ref]; known {
		return id
	}
	id := uint32(0)
	if q.match.matches(lset) {
		id = q.current().nextID()
		q.record.series = append(q.record.series, definition{id, lset})
		q.defined += int64(lset.ByteSize())
	}
	q.ids[ref] = id
	return id
}

// syncFailure is what a sync failed of, and when.
type syncFailure struct {
	err error
	at  time.Time
}

// synced is told of each sync, whoever waits for it. A failure is told until the watch has seen it, at least: of the files that
// are synced one after the other, the next may have no trouble.
func (q *queue) synced(_ time.Duration, err error) {
	before := q.syncFailure.Load()
	switch {
	case err != nil:
		err = fmt.Errorf("the queue cannot be brought into stable storage, and a crash of the machine would lose some of it: %w", err)
		q.syncFailure.Store(&syncFailure{err, time.Now()})
	case before != nil && time.Since(before.at) > watchEvery:
		q.syncFailure.CompareAndSwap(before, nil)
	}
}

// turn goes on to the next segment where this one is full, and makes room. Nobody waits for the disk here: what is lost
// of a segment by a crash is nothing to the next one, which defines its series by itself. It tells why there is no next one. The caller
// holds mu.
func (q *queue) turn() (err error) {
	most := max(minSegment, min(maxSegment, q.cfg.max/16))
	most = max(most, min(definitionShare*q.defined, q.cfg.max/4))
	if q.current().size >= most || len(q.ids) >= maxIDs {
		var number uint64
		if number, err = q.log.Turn(); err != nil {
			q.failed(0, err) // there may be segments to drop all the same
		} else {
			q.begin(number)
		}
	}
	for q.size() > q.cfg.max && len(q.segments) > 1 {
		q.drop()
	}
	return err
}

// begin notes a new segment, in which no series is defined.
func (q *queue) begin(number uint64) {
	q.segments = append(q.segments, &segment{number: number, counted: true})
	clear(q.ids)
	q.defined = 0
}

func (q *queue) size() (bytes int64) {
	for _, s := range q.segments {
		bytes += s.size
	}
	return bytes
}

func (q *queue) close() error {
	q.committing.Lock()
	defer q.committing.Unlock()
	q.mu.Lock()
	was := q.closed
	q.closed = true
	q.mu.Unlock()
	if was {
		return nil
	}
	var errs []error
	if q.log != nil {
		errs = append(errs, q.log.Close())
	}
	if q.cursor != nil {
		errs = append(errs, q.cursor.close())
	}
	return errors.Join(errs...)
}
