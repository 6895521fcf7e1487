package kvm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
)

var (
	errNoAnswer    = errors.New("no answer in time")
	errStillAsking = errors.New("the question before has not been answered yet")
)

// asker asks each question once at a time. A call to a hypervisor may hang for as long as a machine's disk does: it is
// left to itself then, and not repeated before it has returned.
type asker struct {
	mu     sync.Mutex
	asking map[string]bool
}

func (a *asker) begin(question string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asking == nil {
		a.asking = map[string]bool{}
	}
	if a.asking[question] {
		return false
	}
	a.asking[question] = true
	return true
}

func (a *asker) end(question string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asking, question)
}

// ask waits for an answer with patience. The call itself sees no deadline: where it hangs, it hangs, and is known to.
func ask[T any](ctx context.Context, a *asker, question string, patience time.Duration, call func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	if !a.begin(question) {
		return none, errStillAsking
	}
	done := make(chan answer, 1)
	go func() {
		value, err := call(context.WithoutCancel(ctx))
		a.end(question)
		done <- answer{value, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case got := <-done:
		return got.value, got.err
	case <-timer.C:
		return none, errNoAnswer
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// reading is what was read of the machines.
type reading struct {
	stats []hypervisor.DomainStats
	// stuck are the machines that did not answer.
	stuck map[string]bool
	err   error
}

func (r reading) partial() bool { return r.err != nil }

// read asks for all machines at once and, where that takes too long, for each by itself: then only those are missing
// that are stuck.
func (c *Collector) read(ctx context.Context) reading {
	all, err := ask(ctx, &c.asked, "all", c.cfg.Patience, func(ctx context.Context) ([]hypervisor.DomainStats, error) {
		return c.cfg.Hypervisor.DomainStats(ctx)
	})
	if !errors.Is(err, errNoAnswer) && !errors.Is(err, errStillAsking) {
		return reading{stats: all, err: err}
	}
	return c.readEach(ctx)
}

// atOnce is how many machines are asked at the same time: fewer than the calls that the driver has room for.
const atOnce = 4

func (c *Collector) readEach(ctx context.Context) reading {
	r := reading{stuck: map[string]bool{}}
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	if err := c.redescribe(ctx, time.Now()); err != nil && len(c.machines) == 0 {
		return reading{err: err}
	}
	for _, id := range slices.Sorted(maps.Keys(c.machines)) {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			one, err := ask(ctx, &c.asked, id, c.cfg.PatienceEach, func(ctx context.Context) ([]hypervisor.DomainStats, error) {
				return c.cfg.Hypervisor.DomainStats(ctx, id)
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.stuck[id] = true
			}
			r.stats = append(r.stats, one...)
		})
	}
	group.Wait()
	slices.SortFunc(r.stats, func(a, b hypervisor.DomainStats) int { return strings.Compare(a.ID, b.ID) })
	r.err = fmt.Errorf("the hypervisor did not tell of all machines within %v, so each was asked by itself; %d did not answer: %v", c.cfg.Patience, len(r.stuck), slices.Sorted(maps.Keys(r.stuck)))
	return r
}
