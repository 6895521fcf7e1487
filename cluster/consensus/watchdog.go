package consensus

import (
	"sync"
	"time"
)

// watchdog times calls that may hang for ever. Raft keeps a leader in office while its disk hangs, because heartbeats
// do not touch the disk; so a call that outlives its limit while the node leads has to end the node.
//
// Only a leader is judged. A follower that hangs harms nobody: the others commit without it.
type watchdog struct {
	limit   time.Duration
	leading func() bool
	onStall func(op string, d time.Duration)

	mu    sync.Mutex
	next  uint64
	calls map[uint64]call

	stop chan struct{}
	done chan struct{}
}

// call is one call in flight.
type call struct {
	op    string
	start time.Time
	limit time.Duration
}

func newWatchdog(limit time.Duration) *watchdog {
	return &watchdog{
		limit: limit, calls: make(map[uint64]call),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// begin notes that op starts; the result goes to end.
func (w *watchdog) begin(op string) uint64 { return w.beginLimit(op, w.limit) }

func (w *watchdog) beginLimit(op string, limit time.Duration) uint64 {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	w.calls[w.next] = call{op: op, start: now, limit: limit}
	return w.next
}

func (w *watchdog) end(id uint64) {
	w.mu.Lock()
	delete(w.calls, id)
	w.mu.Unlock()
}

// start judges the calls until close; the hooks are fixed from here on.
func (w *watchdog) start(leading func() bool, onStall func(op string, d time.Duration)) {
	w.leading, w.onStall = leading, onStall
	go w.run()
}

func (w *watchdog) run() {
	defer close(w.done)
	tick := time.NewTicker(max(w.limit/16, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case now := <-tick.C:
			if op, d := w.overdue(now); op != "" && w.leading() {
				// In a goroutine: the hook may itself hang, and close must not wait for it.
				go w.onStall(op, d)
				return
			}
		}
	}
}

// close stops a started watchdog.
func (w *watchdog) close() {
	close(w.stop)
	<-w.done
}

// overdue returns the call that is furthest over its limit, or "".
func (w *watchdog) overdue(now time.Time) (op string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if age := now.Sub(c.start); age > c.limit && age > d {
			op, d = c.op, age
		}
	}
	return op, d
}

// oldest returns how long the oldest call has been in flight, 0 when none is.
func (w *watchdog) oldest(now time.Time) (d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		d = max(d, now.Sub(c.start))
	}
	return d
}
