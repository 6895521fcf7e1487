package consensus

import (
	"context"
	"sync"
)

// appliedIndex is the highest index that the state machine has executed, and who waits for more.
type appliedIndex struct {
	mu      sync.Mutex
	index   uint64
	waiters map[chan struct{}]uint64
}

func newAppliedIndex() *appliedIndex {
	return &appliedIndex{waiters: make(map[chan struct{}]uint64)}
}

func (a *appliedIndex) get() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.index
}

// set raises the index and wakes those who waited for it; a lower index changes nothing.
func (a *appliedIndex) set(index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if index <= a.index {
		return
	}
	a.index = index
	for ch, want := range a.waiters {
		if want <= index {
			close(ch)
			delete(a.waiters, ch)
		}
	}
}

// wait returns once index is reached, or with the cause when ctx ends or gone closes.
func (a *appliedIndex) wait(ctx context.Context, index uint64, gone *gone) error {
	a.mu.Lock()
	if a.index >= index {
		a.mu.Unlock()
		return nil
	}
	ch := make(chan struct{})
	a.waiters[ch] = index
	a.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		a.forget(ch)
		return ctx.Err()
	case <-gone.done:
		a.forget(ch)
		return gone.err()
	}
}

func (a *appliedIndex) forget(ch chan struct{}) {
	a.mu.Lock()
	delete(a.waiters, ch)
	a.mu.Unlock()
}

// gone says that the node does no more work, and why.
type gone struct {
	once  sync.Once
	done  chan struct{}
	cause error
}

func newGone() *gone { return &gone{done: make(chan struct{})} }

// set records the first cause; it reports whether this call was the first.
func (g *gone) set(cause error) (first bool) {
	g.once.Do(func() {
		g.cause, first = cause, true
		close(g.done)
	})
	return first
}

// err returns the cause, or nil while the node works.
func (g *gone) err() error {
	select {
	case <-g.done:
		return g.cause
	default:
		return nil
	}
}
