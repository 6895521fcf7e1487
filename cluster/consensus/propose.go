package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Propose commits a command of at most MaxCommand bytes and returns what the state machine made of it, and its index
// in the log. Only the leader commits. The error tells whether the command may still take effect: see
// ErrOutcomeUnknown. Propose keeps cmd no longer than it runs.
func (n *Node) Propose(ctx context.Context, cmd []byte) (result any, index uint64, err error) {
	if len(cmd) > MaxCommand {
		return nil, 0, fmt.Errorf("%w: %d bytes, the limit is %d; store large data as a blob", ErrTooLarge, len(cmd), MaxCommand)
	}
	return n.append(ctx, kindCommand, cmd)
}

// append commits one entry of the given kind.
func (n *Node) append(ctx context.Context, kind byte, payload []byte) (any, uint64, error) {
	entry := encodeEntry(kind, payload)
	for {
		p, err := n.enqueue(ctx, entry)
		if err == nil {
			err = n.answer(ctx, p)
		}
		switch {
		case errors.Is(err, raft.ErrEnqueueTimeout):
			continue
		case err != nil:
			return nil, 0, fmt.Errorf("propose: %w", err)
		}
		if err, ok := p.future.Response().(error); ok && errors.Is(err, ErrHalted) {
			return nil, p.future.Index(), err
		}
		return p.future.Response(), p.future.Index(), nil
	}
}

// enqueueSlice is how long a proposal waits for Raft's main loop before it looks at its context again; the library
// looks only at time.
const enqueueSlice = 50 * time.Millisecond

// proposal is an entry that was offered to Raft.
type proposal struct {
	future raft.ApplyFuture
	err    error
	done   chan struct{} // closed once err is set
}

// enqueue offers an entry to Raft. It runs on the caller's goroutine: all that wait are then taken as one batch.
func (n *Node) enqueue(ctx context.Context, entry []byte) (*proposal, error) {
	if err := n.ready(); err != nil {
		return nil, err
	}
	if err := n.inflight.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("not started, %d proposals are in flight: %w", n.cfg.MaxInFlight, err)
	}
	p := &proposal{future: n.raft.Apply(entry, enqueueSlice), done: make(chan struct{})}
	n.proposals <- p // never full: each holds a place in flight
	return p, nil
}

// finish collects the answers in the order of the proposals, which is nearly that of the log; one goroutine for all
// costs less than one for each. It ends with the node.
func (n *Node) finish() {
	for {
		select {
		case p := <-n.proposals:
			p.err = p.future.Error()
			close(p.done)
			n.inflight.Release(1)
		case <-n.closing:
			return
		}
	}
}

// answer waits for the answer to p, for ctx or for the end of the node. raft.ErrEnqueueTimeout is passed on: the
// entry was not taken.
func (n *Node) answer(ctx context.Context, p *proposal) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	case <-n.gone.done:
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, n.gone.err())
	}
	if errors.Is(p.err, raft.ErrEnqueueTimeout) {
		return p.err
	}
	return n.translate(p.err)
}

// ready says quickly what would fail anyway, also while Raft's main loop hangs.
func (n *Node) ready() error {
	if err := n.gone.err(); err != nil {
		return err
	}
	if n.raft.State() != raft.Leader {
		return n.notLeader()
	}
	return nil
}

func (n *Node) notLeader() error {
	id, addr := n.Leader()
	if id == n.cfg.ID {
		// On its way out: the successor is not known yet.
		id, addr = "", ""
	}
	return &NotLeaderError{LeaderID: id, LeaderAddr: addr}
}

// await runs a call of the library, which knows no contexts, and waits for its future, for ctx or for the end of the
// node. after runs when the library has answered, which can be later than await returns.
func (n *Node) await(ctx context.Context, start func(enqueue time.Duration) raft.Future, after func()) (raft.Future, error) {
	if err := ctx.Err(); err != nil {
		after()
		return nil, fmt.Errorf("not started: %w", err)
	}
	var enqueue time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		enqueue = max(time.Until(deadline), time.Nanosecond)
	}
	type answer struct {
		f   raft.Future
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		defer after()
		f := start(enqueue)
		answered <- answer{f, f.Error()}
	}()
	select {
	case a := <-answered:
		return a.f, n.translate(a.err)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	case <-n.gone.done:
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, n.gone.err())
	}
}

// translate maps the library's errors to ours.
func (n *Node) translate(err error) error {
	switch {
	case err == nil:
		n.handover.accepted()
		return nil
	case errors.Is(err, raft.ErrNotLeader):
		n.handover.accepted()
		return n.notLeader()
	case errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return n.handingOver()
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("not started: %w", context.DeadlineExceeded)
	case errors.Is(err, raft.ErrLeadershipLost):
		return fmt.Errorf("%w: %w", ErrLeadershipLost, ErrOutcomeUnknown)
	case errors.Is(err, raft.ErrAbortedByRestore):
		return ErrAborted
	case errors.Is(err, raft.ErrRaftShutdown):
		return fmt.Errorf("%w: %w", ErrClosed, ErrOutcomeUnknown)
	default:
		// A failed append may be on disk all the same and be committed after a restart.
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
}
