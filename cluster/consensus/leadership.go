package consensus

import (
	"context"
	"sync"
	"time"
)

// Leadership is one change of who leads, as seen by this node.
type Leadership struct {
	// Leader is true when this node leads and its state machine contains everything that was committed before.
	Leader bool
	// Term grows with each election. Two values with Leader and different terms mean that leadership was lost between.
	Term uint64
}

// leadershipHub tells subscribers about changes; each holds only the newest.
type leadershipHub struct {
	mu     sync.Mutex
	latest Leadership
	subs   map[chan Leadership]struct{} // nil once closed
	change chan struct{}                // closed at each change
}

func newLeadershipHub() *leadershipHub {
	return &leadershipHub{subs: make(map[chan Leadership]struct{}), change: make(chan struct{})}
}

func (h *leadershipHub) publish(l Leadership) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = l
	close(h.change)
	h.change = make(chan struct{})
	for ch := range h.subs {
		replace(ch, l)
	}
}

// replace puts l into a channel of capacity one, over what was not yet read.
func replace(ch chan Leadership, l Leadership) {
	select {
	case <-ch:
	default:
	}
	ch <- l
}

func (h *leadershipHub) subscribe() (ch chan Leadership, cancel func()) {
	ch = make(chan Leadership, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	ch <- h.latest
	if h.subs == nil {
		close(ch)
		return ch, func() {}
	}
	h.subs[ch] = struct{}{}
	return ch, func() { h.unsubscribe(ch) }
}

func (h *leadershipHub) unsubscribe(ch chan Leadership) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.subs[ch]; ok {
		delete(h.subs, ch)
		close(ch)
	}
}

// close ends every subscription.
func (h *leadershipHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subs {
		close(ch)
	}
	h.subs = nil
}

// waitSettled returns once this node leads with a current state machine, or is no leader any more.
func (h *leadershipHub) waitSettled(ctx context.Context, n *Node) error {
	for {
		h.mu.Lock()
		change := h.change
		h.mu.Unlock()
		if n.settled.Load() != 0 {
			return nil
		}
		if err := n.ready(); err != nil {
			return err
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.gone.done:
			return n.gone.err()
		}
	}
}

// Leadership subscribes to changes of this node's leadership. The channel starts with the present state and always
// holds the newest; it is closed by cancel and by Close.
func (n *Node) Leadership() (changes <-chan Leadership, cancel func()) { return n.leaders.subscribe() }

// Leader returns the leader that this node knows of, empty during an election.
func (n *Node) Leader() (id, addr string) {
	a, i := n.raft.LeaderWithID()
	return string(i), string(a)
}

// IsLeader tells whether this node leads and its state machine is current. Another leader may exist already: only
// ReadIndex and Propose are sure.
func (n *Node) IsLeader() bool { return n.settled.Load() != 0 }

// observeLeadership turns Raft's notices into announcements until Close; Raft blocks while nobody reads them. On
// winning, the node commits a marker first: once that is applied, so is everything before it.
func (n *Node) observeLeadership(notices <-chan bool) {
	endTenure := func() {}
	for {
		select {
		case <-n.closing:
			endTenure()
			return
		case leads := <-notices:
			endTenure()
			endTenure = func() {}
			n.resign()
			if leads {
				endTenure = n.beginTenure()
			}
		}
	}
}

// resign announces that this node does not lead.
func (n *Node) resign() {
	n.settled.Store(0)
	n.leaders.publish(Leadership{Term: n.raft.CurrentTerm()})
}

// beginTenure settles in the background until end is called.
func (n *Node) beginTenure() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var settling sync.WaitGroup
	settling.Go(func() { n.settle(ctx) })
	return func() {
		cancel()
		settling.Wait()
	}
}

// settle commits the marker of a new leader and announces the leader's term.
func (n *Node) settle(ctx context.Context) {
	for ctx.Err() == nil && n.ready() == nil {
		result, _, err := n.append(ctx, kindMarker, nil)
		if term, ok := result.(uint64); ok && err == nil && ctx.Err() == nil {
			n.settled.Store(term)
			n.leaders.publish(Leadership{Leader: true, Term: term})
			return
		}
		// Refused while a hand-over is under way, which ends either way soon.
		select {
		case <-ctx.Done():
		case <-time.After(n.cfg.Timing.Commit):
		}
	}
}
