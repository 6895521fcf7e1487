package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"
)

// Node is one member of the cluster. Its methods may be called concurrently.
type Node struct {
	cfg     Config
	log     *slog.Logger
	raft    *raft.Raft
	sm      StateMachine
	applied *appliedIndex
	watch   *watchdog
	stores  *stores
	streams *streams

	gone      *gone // the node does no more work
	fatalOnce sync.Once
	inflight  *semaphore.Weighted
	proposals chan *proposal
	reads     readBatcher
	handover  handover
	leaders   *leadershipHub
	observed  sync.WaitGroup
	settled   atomic.Uint64 // term in which this node leads with a current state machine, or 0

	opening   atomic.Bool // a damaged log is Open's error, not yet OnFatal's
	closeOnce sync.Once
	closing   chan struct{}
	closed    chan struct{}
	closeErr  error
}

// Open starts a node on what its data directory holds. An empty directory gives a node that waits to be
// bootstrapped or added by a leader. The node owns cfg.Listener, also when Open fails.
func Open(cfg Config, sm StateMachine) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	n := newNode(cfg, sm)
	if err := n.open(); err != nil {
		n.streams.Close()
		return nil, fmt.Errorf("open node %s in %s: %w", cfg.ID, cfg.DataDir, err)
	}
	return n, nil
}

func newNode(cfg Config, sm StateMachine) *Node {
	return &Node{
		cfg: cfg, sm: sm, log: cfg.Logger.With("node", cfg.ID),
		applied:   newAppliedIndex(),
		watch:     newWatchdog(cfg.StallLimit),
		streams:   newStreams(cfg.Listener, cfg.AdvertiseAddr, cfg.Dial),
		gone:      newGone(),
		inflight:  semaphore.NewWeighted(int64(cfg.MaxInFlight)),
		proposals: make(chan *proposal, cfg.MaxInFlight),
		leaders:   newLeadershipHub(),
		closing:   make(chan struct{}),
		closed:    make(chan struct{}),
	}
}

func (n *Node) open() (err error) {
	n.opening.Store(true)
	if n.stores, err = openStores(n.cfg, n.watch, n.damaged); err != nil {
		return err
	}
	rc := n.cfg.raftConfig(n.watch)
	notify := make(chan bool, 16)
	rc.NotifyCh = notify
	trans := transport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: n.streams, MaxPool: 3, Timeout: n.cfg.Timing.IO, Logger: rc.Logger,
	})}
	f := &fsm{sm: n.sm, applied: n.applied, watch: n.watch, onHalt: n.fatal}
	if n.raft, err = startRaft(rc, f, n.stores, trans); err != nil {
		trans.Close()
		return errors.Join(err, n.stores.bolt.Close())
	}
	n.opening.Store(false)
	n.watch.start(func() bool { return n.raft.State() == raft.Leader }, n.stalled)
	n.observed.Go(func() { n.observeLeadership(notify) })
	go n.finish() // not waited for: the library leaves some futures unanswered when it stops
	return nil
}

// startRaft turns the panics with which the library meets a damaged log into errors.
func startRaft(rc *raft.Config, f *fsm, s *stores, trans raft.Transport) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("%w: read the log: %v", ErrCorrupt, p)
		}
	}()
	r, err = raft.NewRaft(rc, f, s.logs, s.stable, s.snaps, trans)
	if err != nil {
		return nil, errors.Join(err, s.snaps.bad, f.halted)
	}
	return r, nil
}

// stalled isolates the node, so that the others elect even if the process takes long to end.
func (n *Node) stalled(op string, d time.Duration) {
	first := n.gone.set(fmt.Errorf("%w: %s took %v, the limit is %v; restart the process", ErrStalled, op, d.Round(time.Millisecond), n.cfg.StallLimit))
	n.settled.Store(0)
	n.streams.Close()
	if first && n.cfg.OnStall != nil {
		n.cfg.OnStall(op, d)
	}
}

// damaged reports an entry that cannot be read.
func (n *Node) damaged(err error) {
	if !n.opening.Load() {
		n.fatal(err)
	}
}

// fatal reports once that the node cannot go on.
func (n *Node) fatal(err error) {
	n.fatalOnce.Do(func() {
		n.gone.set(err)
		n.settled.Store(0)
		if n.cfg.OnFatal != nil {
			n.cfg.OnFatal(err)
		}
	})
}

// Bootstrap gives a new cluster its first members; call it on one of them. A node that has state returns
// ErrBootstrapped and is left as it is.
func (n *Node) Bootstrap(servers []Server) error {
	err := n.raft.BootstrapCluster(configuration(servers)).Error()
	if errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("%w: %s", ErrBootstrapped, n.cfg.DataDir)
	}
	return n.translate(err)
}

// Close hands leadership over, then stops; it is idempotent. When ctx ends first Close returns its error and the
// rest goes on in the background: a hung disk may never let go.
func (n *Node) Close(ctx context.Context) error {
	n.closeOnce.Do(func() { go n.close(ctx) })
	select {
	case <-n.closed:
		return n.closeErr
	case <-ctx.Done():
		return fmt.Errorf("close node %s: %w", n.cfg.ID, ctx.Err())
	}
}

func (n *Node) close(ctx context.Context) {
	defer close(n.closed)
	if n.gone.err() == nil && n.IsLeader() && n.hasOtherVoters() {
		if err := n.TransferLeadership(ctx, ""); err != nil {
			n.log.Warn("leadership not handed over before stopping", "error", err)
		}
	}
	n.gone.set(ErrClosed)
	close(n.closing)
	err := n.raft.Shutdown().Error()
	n.streams.Close()
	n.observed.Wait()
	n.watch.close()
	n.leaders.close()
	n.closeErr = errors.Join(err, n.stores.bolt.Close())
}
