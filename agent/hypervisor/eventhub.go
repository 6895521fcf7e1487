package hypervisor

import (
	"context"
	"sync"
)

// eventBuffer is how many events a subscriber may lag behind before it loses some.
const eventBuffer = 256

// EventHub hands events to any number of subscribers without ever waiting for one. Drivers embed it.
type EventHub struct {
	mu   sync.Mutex
	subs map[chan Event]struct{}
}

// Events sends what is published until the context ends, then closes the channel.
func (h *EventHub) Events(ctx context.Context) (<-chan Event, error) {
	ch := make(chan Event, eventBuffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[chan Event]struct{}{}
	}
	h.subs[ch] = struct{}{}
	context.AfterFunc(ctx, func() { h.leave(ch) })
	return ch, nil
}

func (h *EventHub) leave(ch chan Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, ch)
	close(ch)
}

// Publish sends an event to every subscriber that has room.
func (h *EventHub) Publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subs {
		select {
		case ch <- e:
		default:
		}
	}
}
