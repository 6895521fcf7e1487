package consensus

import (
	"sync"
	"time"
)

// handover notices a hand-over of leadership that never ends. The library can forget that one is over, when its target
// vanishes or the leader is deposed meanwhile, and then refuses every command in this and all later terms
// (hashicorp/raft #696).
type handover struct {
	mu    sync.Mutex
	since time.Time // of the first refusal since the last success
}

// refused notes a refusal and returns for how long there was nothing else.
func (h *handover) refused(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = now
	}
	return now.Sub(h.since)
}

// accepted notes that the leader takes commands.
func (h *handover) accepted() {
	h.mu.Lock()
	h.since = time.Time{}
	h.mu.Unlock()
}

// handingOver judges a refusal: a hand-over takes an election timeout and one exchange at most.
func (n *Node) handingOver() error {
	limit := 2*n.cfg.Timing.Election + n.cfg.Timing.IO + n.cfg.StallLimit
	if d := n.handover.refused(time.Now()); d > limit && n.gone.err() == nil {
		go n.stalled("leadership hand-over", d)
	}
	return n.notLeader()
}
