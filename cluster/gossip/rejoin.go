package gossip

import (
	"context"
	"math/rand/v2"
	"sync"
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
		seeds := g.missing(g.cfg.Seeds())
		if len(seeds) == 0 || g.join(ctx, seeds) > 0 {
			break
		}
		g.logger.Warn("no gossip seed answers, will retry", "seeds", seeds, "in", pause)
		sleep(ctx, pause/2+rand.N(pause))
	}
	g.readyOnce.Do(func() {
		if ctx.Err() == nil {
			close(g.ready)
		}
	})
	for sleep(ctx, g.cfg.RejoinEvery/2+rand.N(g.cfg.RejoinEvery)) {
		g.rejoin(ctx)
	}
}

// rejoin asks the seeds and remembered members that are not alive here.
func (g *Gossip) rejoin(ctx context.Context) {
	targets := g.missing(g.cfg.Seeds())
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

// join asks all addresses, dials at a time, and counts those that answered. It waits for all of them, or for ctx.
func (g *Gossip) join(ctx context.Context, addrs []string) int {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		answered int
		slots    = make(chan struct{}, dials)
	)
	for _, a := range addrs {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			n, err := g.list.Join([]string{a})
			if err != nil {
				g.logger.Debug("gossip peer did not answer", "addr", a, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			answered += n
		})
	}
	wg.Wait()
	return answered
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
