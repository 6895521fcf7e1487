package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

const (
	// firstTry and lastTry bound the pause between attempts to reach the first seed.
	firstTry = 500 * time.Millisecond
	lastTry  = 15 * time.Second
	// dials is how many nodes are asked at once: one that does not answer costs ten seconds.
	dials = 16
	// perRound bounds the missing members asked in one round; after one answer gossip brings the rest.
	perRound = 32
)

// stayJoined reaches the seeds, all of them at once since a crowd that goes through one takes minutes, and from then on
// looks for missing members. memberlist forgets its dead after half a minute and never asks for them again: without this
// two halves of a partition would stay apart for ever.
func (g *Gossip) stayJoined(ctx context.Context) {
	for pause := firstTry; ctx.Err() == nil; pause = min(2*pause, lastTry) {
		seeds := g.missing(g.seeds(ctx))
		// One that answers may be this node itself under another address: somebody else has to appear, or all answer.
		if g.join(ctx, seeds) == len(seeds) || g.hasCompany() {
			break
		}
		g.logger.Warn("no gossip seed answers, will retry", "seeds", seeds, "in", pause)
		sleep(ctx, pause/2+rand.N(pause))
	}
	if ctx.Err() != nil {
		return
	}
	close(g.ready)
	g.catchUp(ctx)
	for sleep(ctx, g.cfg.RejoinEvery/2+rand.N(g.cfg.RejoinEvery)) {
		g.rejoin(ctx)
	}
}

// catchUp asks one seed again a moment later: when a whole cluster boots, those who came to the same seed after this node
// would otherwise be learnt one rumour at a time.
func (g *Gossip) catchUp(ctx context.Context) {
	if seeds := g.seeds(ctx); sleep(ctx, firstTry+rand.N(firstTry)) && len(seeds) > 0 {
		g.join(ctx, seeds[rand.IntN(len(seeds)):][:1])
	}
}

// rejoin asks the seeds and remembered members that are not alive here.
func (g *Gossip) rejoin(ctx context.Context) {
	targets := g.missing(g.seeds(ctx))
	lost := g.missing(g.failed())
	rand.Shuffle(len(lost), func(i, j int) { lost[i], lost[j] = lost[j], lost[i] })
	targets = append(targets, lost[:min(len(lost), perRound)]...)
	if len(targets) == 0 {
		return
	}
	if n := g.join(ctx, targets); n > 0 {
		g.logger.Info("found missing members again", "asked", len(targets), "answered", n)
	}
}

// seeds gives the configured addresses as "ip:port", to be comparable with members'; a name may stand for several.
func (g *Gossip) seeds(ctx context.Context) []string {
	var list []string
	for _, s := range g.cfg.Seeds() {
		addrs, err := resolve(ctx, s)
		if err != nil {
			g.logger.Warn("gossip seed left out", "seed", s, "error", err)
		}
		list = append(list, addrs...)
	}
	return list
}

func resolve(ctx context.Context, address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{net.JoinHostPort(ip.Unmap().String(), port)}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	list := make([]string, 0, len(ips))
	for _, ip := range ips {
		list = append(list, net.JoinHostPort(ip.Unmap().String(), port))
	}
	return list, err
}

func (g *Gossip) hasCompany() bool {
	for _, m := range g.table.list() {
		if m.State == Alive && m.ID != g.cfg.ID {
			return true
		}
	}
	return false
}

func (g *Gossip) failed() []string {
	var addrs []string
	for _, m := range g.table.list() {
		if m.State == Failed {
			addrs = append(addrs, m.Addr)
		}
	}
	return addrs
}

// missing gives those addresses, each once, that no live member has.
func (g *Gossip) missing(addrs []string) []string {
	have := map[string]bool{}
	for _, m := range g.table.list() {
		have[m.Addr] = have[m.Addr] || m.State == Alive
	}
	var list []string
	for _, a := range addrs {
		if !have[a] {
			have[a] = true
			list = append(list, a)
		}
	}
	return list
}

// join asks all addresses, dials at a time, and counts those that answered. When ctx ends it does not wait for the rest.
func (g *Gossip) join(ctx context.Context, addrs []string) int {
	answers := make(chan int, len(addrs))
	slots := make(chan struct{}, dials)
	for _, a := range addrs {
		go func() {
			select {
			case slots <- struct{}{}:
				answers <- g.ask(a)
				<-slots
			case <-ctx.Done():
			}
		}()
	}
	answered := 0
	for range addrs {
		select {
		case n := <-answers:
			answered += n
		case <-ctx.Done():
			return answered
		}
	}
	return answered
}

func (g *Gossip) ask(addr string) int {
	n, err := g.list.Join([]string{addr})
	if err != nil {
		g.logger.Debug("gossip peer did not answer", "addr", addr, "error", err)
	}
	return n
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
