package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// readBatcher lets all readers that arrive during one round of heartbeats share the next.
type readBatcher struct {
	mu      sync.Mutex
	next    *readRound
	running bool
}

// readRound is one confirmation of leadership.
type readRound struct {
	done  chan struct{}
	index uint64
	err   error
}

// join returns the round that starts after this call, and whether the caller has to run it.
func (b *readBatcher) join() (round *readRound, run bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = &readRound{done: make(chan struct{})}
	}
	run = !b.running
	b.running = true
	return b.next, run
}

// take returns the round to run, nil when nobody waits.
func (b *readBatcher) take() *readRound {
	b.mu.Lock()
	defer b.mu.Unlock()
	round := b.next
	b.next = nil
	b.running = round != nil
	return round
}

// run runs rounds until nobody waits.
func (b *readBatcher) run(confirm func() (uint64, error)) {
	for round := b.take(); round != nil; round = b.take() {
		round.index, round.err = confirm()
		close(round.done)
	}
}

// ReadIndex returns once a read of the local state machine is linearizable: it then contains every command that was
// acknowledged before the call. Only the leader can tell; concurrent callers share one round of heartbeats.
func (n *Node) ReadIndex(ctx context.Context) error {
	if err := n.ready(); err != nil {
		return err
	}
	round, run := n.reads.join()
	if run {
		go n.reads.run(n.confirm)
	}
	select {
	case <-round.done:
	case <-ctx.Done():
		return fmt.Errorf("read index: %w", ctx.Err())
	case <-n.gone.done:
		return n.gone.err()
	}
	if round.err != nil {
		return fmt.Errorf("read index: %w", round.err)
	}
	return n.WaitApplied(ctx, round.index)
}

// confirm returns an index that covers all that was acknowledged before it was called. A commit index means
// something only once the leader has committed in its own term, which its marker shows; so the term is compared before
// and after.
func (n *Node) confirm() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*n.cfg.Timing.Election)
	defer cancel()
	for {
		if err := n.leaders.waitSettled(ctx, n); err != nil {
			return 0, err
		}
		term := n.settled.Load()
		index := n.raft.CommitIndex()
		if err := n.verifyLeader(ctx); err != nil {
			return 0, err
		}
		if term != 0 && n.settled.Load() == term && n.raft.CurrentTerm() == term {
			return index, nil
		}
	}
}

// verifyLeader asks a quorum whether this node still leads.
func (n *Node) verifyLeader(ctx context.Context) error {
	_, err := n.await(ctx, func(time.Duration) raft.Future { return n.raft.VerifyLeader() }, func() {})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no quorum confirmed the leader within %v: %w", 4*n.cfg.Timing.Election, context.DeadlineExceeded)
	default:
		return or(n.gone.err(), n.notLeader())
	}
}

// WaitApplied returns once the local state machine has executed the entry at index, as returned by Propose.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	if err := n.applied.wait(ctx, index, n.gone); err != nil {
		return fmt.Errorf("wait for index %d, at %d: %w", index, n.applied.get(), err)
	}
	return nil
}
