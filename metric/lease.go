package metric

import (
	"sync"
	"time"
)

// A source has one collector at most. The cluster's state says whose it is, by an epoch that is never used again. A host
// collects only while it holds a lease of the present epoch, and a controller gives one only as the leader, from a state
// that is proven to be no older than the question. So once the state says that an epoch ends, no question asked later is
// answered with a lease; the last one runs out Lease after it was asked for; and whoever leads waits LeaseWait from when
// it sees the end, by its own clock, before it gives the source to another host.
const (
	// Lease is how long a host may collect after it asked: four reports.
	Lease = 20 * time.Second
	// LeaseWait is how long a leader waits for one that it cannot hear: a lease, and time for clocks that run apart and
	// for a collection to be broken off.
	LeaseWait = Lease + 5*time.Second
)

// Leases are those that a host holds. They are safe for concurrent use.
type Leases struct {
	mu   sync.Mutex
	held map[string]lease
}

type lease struct {
	epoch uint64
	// asked is when the report was sent that the lease answers.
	asked time.Time
	until time.Time
}

// Grant is one lease of an answer.
type Grant struct {
	Source   string
	Epoch    uint64
	Duration time.Duration
}

// Renew takes the answer to a report that was sent at a time: it has all that the host may have. Answers that come out
// of order do not shorten what a later question brought.
func (l *Leases) Renew(asked time.Time, grants []Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := map[string]lease{}
	for _, g := range grants {
		next[g.Source] = lease{epoch: g.Epoch, asked: asked, until: asked.Add(g.Duration)}
	}
	for source, had := range l.held {
		if had.asked.After(asked) {
			next[source] = had
		}
	}
	l.held = next
}

// Until is when the lease of an epoch ends; ok is false where there is none that holds now.
func (l *Leases) Until(source string, epoch uint64, now time.Time) (until time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, known := l.held[source]
	if !known || held.epoch != epoch || !held.holds(now) {
		return time.Time{}, false
	}
	return held.until, true
}

// holds asks both clocks: that of the wall goes on while a machine sleeps, the monotonic one is not set by people. Which
// runs ahead only ends the lease early.
func (l lease) holds(now time.Time) bool {
	return now.Before(l.until) && now.Round(0).Before(l.until.Round(0))
}
