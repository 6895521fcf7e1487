package agent

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
)

// maxQueuedEvents bounds the events that wait for a report; beyond it the oldest go, and the gap is logged.
const maxQueuedEvents = 1024

// eventQueue keeps what the hypervisor told until a report with it has been answered.
type eventQueue struct {
	bootID string

	mu      sync.Mutex
	next    uint64
	queued  []*agentv1.HypervisorEvent
	dropped int
}

func newEventQueue() *eventQueue { return &eventQueue{bootID: uuid.NewString()} }

func (q *eventQueue) add(event hypervisor.Event) {
	if event.ID == "" {
		return // about the connection, not about a machine
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next++
	q.queued = append(q.queued, &agentv1.HypervisorEvent{VmId: event.ID, Kind: event.Kind, Time: timestamppb.Now(), Sequence: q.next})
	if len(q.queued) > maxQueuedEvents {
		q.queued = slices.Delete(q.queued, 0, 1)
		q.dropped++
	}
}

// pending are the events to report, and how many were dropped since it was asked last.
func (q *eventQueue) pending() (events []*agentv1.HypervisorEvent, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped, q.dropped = q.dropped, 0
	return slices.Clone(q.queued), dropped
}

// reported forgets the events up to the last of a report that was answered.
func (q *eventQueue) reported(events []*agentv1.HypervisorEvent) {
	if len(events) == 0 {
		return
	}
	last := events[len(events)-1].GetSequence()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queued = slices.DeleteFunc(q.queued, func(e *agentv1.HypervisorEvent) bool { return e.GetSequence() <= last })
}

// collectEvents queues what the hypervisor tells, and has it reported soon.
func (d *daemon) collectEvents(ctx context.Context) error {
	events, err := d.machines.Subscribe(ctx)
	if err != nil {
		return err
	}
	for event := range events {
		d.events.add(event)
		switch event.Kind {
		case "started", "stopped", "crashed", "connected":
			d.shield()
		}
		if event.Kind == "started" || event.Kind == "rebooted" {
			d.guests.again(event.ID)
		}
		d.link.reportSoon()
	}
	return ctx.Err()
}
