package forward

import (
	"maps"
	"sync"
	"time"
)

// The reasons for which samples are not sent.
const (
	// ReasonQueueFull: they went with the oldest segment of a queue that was full.
	ReasonQueueFull = "queue_full"
	// ReasonQueueFailed: the queue could not be written.
	ReasonQueueFailed = "queue_failed"
	// ReasonTooOld: they waited for longer than they may.
	ReasonTooOld = reasonTooOld
	// ReasonRefused: the remote refuses them for good.
	ReasonRefused = reasonRefused
)

const (
	reasonTooOld  = "too_old"
	reasonRefused = "refused"
)

// Status is how a forward goes. Counts are since the process was started.
type Status struct {
	Name       string
	ID         uint64
	Generation uint64
	// Pending are samples that were stored and not delivered yet, QueueBytes what the queue takes of the disk, and Lag how
	// long the oldest of them has been waiting.
	Pending, QueueBytes int64
	Lag                 time.Duration
	// Sent are samples that were delivered, and Exemplars, Requests and Bytes what was sent to do it.
	Sent, Exemplars, Requests, Bytes int64
	// Retried are requests that were sent again, Dropped samples that never are, by reason.
	Retried int64
	Dropped map[string]int64
	// Damaged are bytes of the queue that could not be read back.
	Damaged int64
	Shards  int
	// Protocol is the version of remote write that was spoken last, 0 before the first delivery.
	Protocol int
	// Success is when something was delivered last, Failure when something failed, and Error what it was; it is empty
	// once something was delivered since.
	Success, Failure time.Time
	Error            string
}

// telling is what there is to tell of a forward besides its queue.
type telling struct {
	mu     sync.Mutex
	status Status
	// oldest is when the oldest of what is being sent was stored, in milliseconds; 0 while nothing is.
	oldest  int64
	trouble int64
}

func newTelling() *telling { return &telling{status: Status{Dropped: map[string]int64{}}} }

func (t *telling) holds(written int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.oldest = written
}

func (t *telling) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.oldest = 0
}

func (t *telling) sending(shards int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Shards = shards
}

func (t *telling) posted(bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Requests++
	t.status.Bytes += int64(bytes)
}

func (t *telling) delivered(c counts, version int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Sent += c.samples()
	t.status.Exemplars += c.exemplars
	t.status.Protocol, t.status.Success, t.status.Error = version, now, ""
}

// refused counts what the remote does not take; of a part that it has written it says so.
func (t *telling) refused(c counts, a answer, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	written := min(a.written.samples(), c.samples())
	t.status.Sent += written
	t.status.Dropped[reasonRefused] += c.samples() - written
	t.remember(a.err, now)
}

func (t *telling) dropped(reason string, c counts, err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Dropped[reason] += c.samples()
	t.remember(err, now)
}

func (t *telling) retried(err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trouble++
	t.status.Retried++
	t.remember(err, now)
}

func (t *telling) failed(err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remember(err, now)
}

// remember keeps an error: all that is told of one goes through here, and so does what a remote has said in it. The
// caller holds mu.
func (t *telling) remember(err error, now time.Time) {
	t.status.Error, t.status.Failure = Clean(err.Error()), now
}

// troubles counts the requests that have to be sent again.
func (t *telling) troubles() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trouble
}

// describe is the status with what the queue says.
func (t *telling) describe(q queueState, now time.Time) Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.status
	all.Dropped = maps.Clone(t.status.Dropped)
	all.Pending, all.QueueBytes, all.Damaged = q.pending, q.bytes, q.damaged
	if t.oldest > 0 {
		all.Lag = max(0, now.Sub(time.UnixMilli(t.oldest)))
	}
	for reason, n := range map[string]int64{ReasonQueueFull: q.full, ReasonQueueFailed: q.failed} {
		if n > 0 {
			all.Dropped[reason] += n
		}
	}
	if all.Error == "" && q.lastFailure != nil {
		all.Error = Clean(q.lastFailure.Error())
	}
	return all
}
