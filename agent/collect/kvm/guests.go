package kvm

import (
	"context"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
)

const (
	// guestsAtOnce are asked at the same time: an agent that hangs holds a call of the driver until it gives up.
	guestsAtOnce = 2
	// guestPatience is how long one agent may take.
	guestPatience = 5 * time.Second
	// maxFilesystems and maxGuestText bound what a guest, which nobody has to trust, can put into the shard.
	maxFilesystems = 64
	maxGuestText   = 256
)

// guestRounds asks the agents in the guests beside the collections: nobody waits for them.
type guestRounds struct {
	mu     sync.Mutex
	busy   bool
	next   time.Time
	told   map[string]guestAnswer
	fresh  map[string]bool
	rounds sync.WaitGroup
}

type guestAnswer struct {
	at    time.Time
	usage hypervisor.GuestUsage
}

func newGuestRounds() *guestRounds {
	return &guestRounds{told: map[string]guestAnswer{}, fresh: map[string]bool{}}
}

// ask begins a round when it is time for one and the last has ended.
func (g *guestRounds) ask(ctx context.Context, c *Collector, now time.Time, all []hypervisor.DomainStats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy || c.cfg.GuestsEvery < 0 || now.Before(g.next) {
		return
	}
	var ids []string
	for i := range all {
		if m := c.machines[all[i].ID]; m != nil && !m.hidden && all[i].Values["state.state"] == 1 {
			ids = append(ids, all[i].ID)
		}
	}
	g.busy, g.next = true, now.Add(c.cfg.GuestsEvery)
	ctx = context.WithoutCancel(ctx)
	g.rounds.Go(func() {
		g.round(ctx, c, ids)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.busy = false
	})
}

func (g *guestRounds) round(ctx context.Context, c *Collector, ids []string) {
	slots := make(chan struct{}, guestsAtOnce)
	var asking sync.WaitGroup
	for _, id := range ids {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			usage, err := ask(ctx, &c.asked, "guest "+id, guestPatience, func(ctx context.Context) (hypervisor.GuestUsage, error) {
				return c.cfg.Hypervisor.GuestUsage(ctx, id)
			})
			if err == nil && usage.Answered {
				g.heard(id, usage, time.Now())
			}
		})
	}
	asking.Wait()
}

func (g *guestRounds) heard(id string, usage hypervisor.GuestUsage, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told[id], g.fresh[id] = guestAnswer{at, usage}, true
}

func (g *guestRounds) forget(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.told, id)
	delete(g.fresh, id)
}

// tell gives what was heard since the last collection, at the time of the answers.
func (g *guestRounds) tell(b *batch, machines map[string]*machine) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.fresh {
		if m := machines[id]; m != nil {
			b.guest(m, g.told[id])
		}
	}
	clear(g.fresh)
}

func (b *batch) guest(m *machine, a guestAnswer) {
	seen := map[string]bool{}
	for _, f := range a.usage.Filesystems {
		if f.TotalBytes == 0 || seen[f.MountPoint] || len(seen) == maxFilesystems {
			continue
		}
		seen[f.MountPoint] = true
		labels := with(m.labels, "mountpoint", cut(f.MountPoint), "device", cut(f.Device), "fstype", cut(f.Type))
		used := min(f.UsedBytes, f.TotalBytes)
		b.addAt(a.at, "vm_filesystem_size_bytes", collect.QemuGA, labels, float64(f.TotalBytes))
		b.addAt(a.at, "vm_filesystem_used_bytes", collect.QemuGA, labels, float64(used))
		b.addAt(a.at, "vm_filesystem_available_bytes", collect.QemuGA, labels, float64(f.TotalBytes-used))
		b.addAt(a.at, "vm_filesystem_utilization_ratio", collect.QemuGA, labels, float64(used)/float64(f.TotalBytes))
	}
	for i, name := range []string{"vm_load1", "vm_load5", "vm_load15"} {
		if i < len(a.usage.Load) {
			b.addAt(a.at, name, collect.QemuGA, m.labels, a.usage.Load[i])
		}
	}
}

func cut(text string) string { return text[:min(len(text), maxGuestText)] }
