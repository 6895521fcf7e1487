package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Gossip is this node's part in the gossip network. All methods are safe for concurrent use.
type Gossip struct {
	cfg        Config
	meta       meta
	list       *memberlist.Memberlist
	keys       *memberlist.Keyring
	delegate   *delegate
	table      *table
	queue      *queue
	dispatcher *dispatcher
	guard      *guard
	logger     *slog.Logger
	ready      chan struct{}
	stop       context.CancelFunc
	loops      sync.WaitGroup

	mu     sync.Mutex // guards closed and orders Leave before Close
	closed bool
}

// Start listens and begins to join in the background: unreachable seeds are no error, they are tried until they answer.
// The loops end with ctx or Close; Close must be called in either case.
func Start(ctx context.Context, cfg Config) (*Gossip, error) {
	p, err := cfg.prepare(ctx)
	if err != nil {
		return nil, err
	}
	g := newGossip(cfg, p)
	if err := g.delegate.setMeta(p.meta); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	conf := cfg.memberlistConfig(p, g.delegate)
	if err := g.listen(conf); err != nil {
		return nil, err
	}
	if g.list, err = memberlist.Create(conf); err != nil {
		return nil, errors.Join(fmt.Errorf("start gossip: %w", err), g.guard.Shutdown())
	}
	g.keys = conf.Keyring
	ctx, g.stop = context.WithCancel(ctx)
	g.loops.Go(func() { g.dispatcher.run(ctx) })
	g.loops.Go(func() { g.stayJoined(ctx) })
	return g, nil
}

func newGossip(cfg Config, p prepared) *Gossip {
	q := newQueue(maxQueue)
	t := newTable(cfg.ID, q)
	return &Gossip{
		cfg: cfg, meta: p.meta, table: t, queue: q, logger: cfg.Logger,
		delegate:   &delegate{table: t, logger: cfg.Logger},
		dispatcher: newDispatcher(t, q, cfg.Logger),
		ready:      make(chan struct{}),
	}
}

// listen opens the network behind the guard.
func (g *Gossip) listen(conf *memberlist.Config) error {
	inner := g.cfg.Transport
	if inner == nil {
		nt, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{conf.BindAddr}, BindPort: conf.BindPort, Logger: conf.Logger,
		})
		if err != nil {
			return fmt.Errorf("listen for gossip at %s: %w", g.cfg.BindAddr, err)
		}
		if conf.AdvertisePort == 0 {
			conf.AdvertisePort = nt.GetAutoBindPort()
		}
		inner = nt
	}
	aware, ok := inner.(memberlist.NodeAwareTransport)
	if !ok {
		aware = plainTransport{inner}
	}
	g.guard = newGuard(aware)
	conf.Transport = g.guard
	return nil
}

// Addr is the address that others reach this node at.
func (g *Gossip) Addr() string { return g.list.LocalNode().Address() }

// Ready is closed once a seed has answered, or when there is none to ask.
func (g *Gossip) Ready() <-chan struct{} { return g.ready }

// Members lists all known members by id, this one, failed ones and gone ones included: look at State.
func (g *Gossip) Members() []Member { return g.table.list() }

// Subscribe calls sub for every event from here on, one at a time, until cancel. sub may be slow: it delays other
// subscribers but never the gossip; events that do not fit the queue are replaced by the difference to Members, marked
// Resync. To miss nobody, subscribe first and read Members after. sub must not call Close.
func (g *Gossip) Subscribe(sub func(Event)) (cancel func()) { return g.dispatcher.subscribe(sub) }

// Stats counts what was thrown away since the start.
type Stats struct {
	// DroppedEvents did not fit the queue of slow subscribers.
	DroppedEvents uint64
	// Rejected packets and streams were not encrypted as they must be. Those with a wrong key are not counted here.
	Rejected uint64
	// Replayed packets had been received before.
	Replayed uint64
	// Crowded streams were closed because too many were open.
	Crowded uint64
}

// Stats gives the counters.
func (g *Gossip) Stats() Stats {
	return Stats{
		DroppedEvents: g.queue.droppedCount(), Rejected: g.guard.rejected.Load(),
		Replayed: g.guard.replayed.Load(), Crowded: g.guard.crowded.Load(),
	}
}

// leaveTimeout bounds a good-bye whose context has no deadline.
const leaveTimeout = 5 * time.Second

// Leave says good-bye, so that others see Left and not Failed, and stops looking for members. Close comes after.
func (g *Gossip) Leave(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.stop()
	leaving := g.meta
	leaving.leaving = true
	if err := g.delegate.setMeta(leaving); err != nil {
		return err
	}
	if err := g.list.UpdateNode(timeLeft(ctx) / 2); err != nil {
		g.logger.Warn("others may see this node as failed", "error", err)
	}
	if err := g.list.Leave(timeLeft(ctx)); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// timeLeft is positive: memberlist takes zero for no limit.
func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return leaveTimeout
	}
	return max(time.Until(deadline), time.Millisecond)
}

// Close stops everything at once; without Leave the others see this node fail. Further calls do nothing.
func (g *Gossip) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.stop()
	err := g.list.Shutdown()
	g.loops.Wait()
	return err
}
