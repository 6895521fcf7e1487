package gossip

import (
	"context"
	"log/slog"
	"sync"
)

// EventType is what happened to a member.
type EventType string

// The four events.
const (
	EventJoined  EventType = "joined"
	EventLeft    EventType = "left"
	EventFailed  EventType = "failed"
	EventUpdated EventType = "updated"
)

// Event is one change of one member.
type Event struct {
	Type   EventType
	Member Member
	// Resync marks an event that was worked out after the subscribers fell behind: changes in between were dropped,
	// the member's state is right.
	Resync bool
}

// maxQueue is how many events wait for slow subscribers before they are dropped and worked out anew.
const maxQueue = 1024

// queue hands events from memberlist, which must never block, to the subscribers, who may.
type queue struct {
	limit int
	wake  chan struct{}

	mu      sync.Mutex
	events  []Event
	lost    bool
	dropped uint64
}

func newQueue(limit int) *queue { return &queue{limit: limit, wake: make(chan struct{}, 1)} }

func (q *queue) push(e Event) {
	q.mu.Lock()
	if q.lost = q.lost || len(q.events) >= q.limit; q.lost {
		q.dropped++
	} else {
		q.events = append(q.events, e)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take empties the queue. lost tells that events after these were dropped.
func (q *queue) take() (events []Event, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, lost = q.events, q.lost
	q.events, q.lost = nil, false
	return events, lost
}

func (q *queue) droppedCount() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// dispatcher gives queued events to the subscribers, one at a time.
type dispatcher struct {
	queue  *queue
	table  *table
	logger *slog.Logger
	told   map[string]Member // what the subscribers believe; used by run only

	mu   sync.Mutex
	next int
	subs map[int]func(Event)
}

func newDispatcher(t *table, q *queue, logger *slog.Logger) *dispatcher {
	return &dispatcher{queue: q, table: t, logger: logger, told: map[string]Member{}, subs: map[int]func(Event){}}
}

func (d *dispatcher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.queue.wake:
			d.drain()
		}
	}
}

func (d *dispatcher) drain() {
	events, lost := d.queue.take()
	for _, e := range events {
		d.tell(e)
	}
	if lost {
		d.logger.Warn("gossip events dropped, a subscriber is too slow; telling the difference instead",
			"dropped_total", d.queue.droppedCount(), "queue", d.queue.limit)
		for _, m := range d.table.list() {
			d.tell(Event{Type: difference(d.told[m.ID], m), Member: m, Resync: true})
		}
	}
}

// difference names the event that leads from one belief to the other.
func difference(old, now Member) EventType {
	switch {
	case now.State == Failed:
		return EventFailed
	case now.State == Left:
		return EventLeft
	case old.State != Alive:
		return EventJoined
	default:
		return EventUpdated
	}
}

// tell skips what the subscribers know already, which happens after a resync.
func (d *dispatcher) tell(e Event) {
	if e.Member.ID == d.table.self || d.told[e.Member.ID] == e.Member {
		return
	}
	d.told[e.Member.ID] = e.Member
	for _, sub := range d.subscribers() {
		sub(e)
	}
}

func (d *dispatcher) subscribers() []func(Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]func(Event), 0, len(d.subs))
	for i := range d.next {
		if sub := d.subs[i]; sub != nil {
			list = append(list, sub)
		}
	}
	return list
}

func (d *dispatcher) subscribe(sub func(Event)) (cancel func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.next
	d.next++
	d.subs[id] = sub
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.subs, id)
	}
}
