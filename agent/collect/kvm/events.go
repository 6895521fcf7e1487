package kvm

import (
	"slices"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
)

// countedEvents are those of a machine's life. A definition that changes is none.
var countedEvents = []string{"started", "stopped", "crashed", "rebooted", "paused", "resumed"}

// maxPending bounds the events that wait for a collection; more are counted without a point of their own.
const maxPending = 1024

// eventBook counts events, and keeps when they were until the next collection: each is a point of its own, at its own
// time, so that a chart can mark it.
type eventBook struct {
	mu      sync.Mutex
	counts  map[string]map[string]float64
	pending []pendingEvent
}

type pendingEvent struct {
	id, kind string
	at       time.Time
	count    float64
}

func newEventBook() *eventBook { return &eventBook{counts: map[string]map[string]float64{}} }

func (e *eventBook) note(event hypervisor.Event, at time.Time) {
	if event.ID == "" || !slices.Contains(countedEvents, event.Kind) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts[event.ID] == nil {
		e.counts[event.ID] = map[string]float64{}
	}
	e.counts[event.ID][event.Kind]++
	if len(e.pending) < maxPending {
		e.pending = append(e.pending, pendingEvent{event.ID, event.Kind, at, e.counts[event.ID][event.Kind]})
	}
}

// points are those of the events since the last collection.
func (e *eventBook) points(b *batch, machines map[string]*machine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	later := e.pending[:0]
	for _, p := range e.pending {
		m := machines[p.id]
		switch {
		case !p.at.Before(b.at):
			later = append(later, p)
		case m != nil && !m.hidden:
			b.addAt(p.at, "vm_lifecycle_events_total", collect.Libvirt, with(m.labels, "type", p.kind), p.count)
		}
	}
	e.pending = later
}

// tell gives the counters as they are: from 0, so that the first event shows.
func (e *eventBook) tell(b *batch, machines map[string]*machine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, m := range machines {
		if m.hidden {
			continue
		}
		for _, kind := range countedEvents {
			b.add("vm_lifecycle_events_total", collect.Libvirt, with(m.labels, "type", kind), e.counts[id][kind])
		}
	}
}

func (e *eventBook) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.counts, id)
}
