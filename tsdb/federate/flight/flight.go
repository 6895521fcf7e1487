// Package flight has what many want at one time be made once.
package flight

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Group are flights by what they make. The zero value has none. All methods may be called at the same time.
type Group[K comparable, V any] struct {
	mu  sync.Mutex
	all map[K]*Flight[V]
}

// Flight makes one value for all who have joined it. It ends when the value is there, or when all have left before.
type Flight[V any] struct {
	done   chan struct{}
	cancel context.CancelFunc
	// forget has nobody join any more; the caller holds mu.
	forget func()
	free   func(V)
	mu     *sync.Mutex
	riders int
	ended  bool

	// Written before done is closed.
	value    V
	panicked any
}

// Join is the flight that makes the value of a key. Where there is none, one is begun, in a goroutine of its own: first is
// set then. It has the values of the context, but neither its deadline nor its end, and ends early only when all who have
// joined have left. Once the value is there nobody joins any more; free is called with it when the last one leaves. Each
// who has joined calls Leave once.
func (g *Group[K, V]) Join(ctx context.Context, key K, work func(context.Context) V, free func(V)) (f *Flight[V], first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f = g.all[key]; f != nil {
		f.riders++
		return f, false
	}
	if g.all == nil {
		g.all = map[K]*Flight[V]{}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f = &Flight[V]{done: make(chan struct{}), cancel: cancel, free: free, mu: &g.mu, riders: 1}
	f.forget = func() {
		if g.all[key] == f {
			delete(g.all, key)
		}
	}
	g.all[key] = f
	go f.run(ctx, work)
	return f, true
}

func (f *Flight[V]) run(ctx context.Context, work func(context.Context) V) {
	defer f.land()
	defer func() {
		if p := recover(); p != nil {
			f.panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
		}
	}()
	f.value = work(ctx)
}

// land ends the flight: who asks from now on begins another one.
func (f *Flight[V]) land() {
	f.cancel()
	f.mu.Lock()
	f.forget()
	f.ended = true
	abandoned := f.riders == 0
	f.mu.Unlock()
	if abandoned {
		f.dispose()
	}
	close(f.done)
}

// Done is closed when the value is there.
func (f *Flight[V]) Done() <-chan struct{} { return f.done }

// Value is what was made, once Done is closed, for all who have joined: it is not to be changed. Where making it panicked
// this panics, too.
func (f *Flight[V]) Value() V {
	if f.panicked != nil {
		panic(f.panicked)
	}
	return f.value
}

// Leave gives up the value. The last one who leaves before it is there ends the flight, and waits for that.
func (f *Flight[V]) Leave() {
	f.mu.Lock()
	f.riders--
	last, ended := f.riders == 0, f.ended
	if last {
		f.forget()
	}
	f.mu.Unlock()
	switch {
	case last && ended:
		f.dispose()
	case last:
		f.cancel()
		<-f.done
	}
}

func (f *Flight[V]) dispose() {
	if f.panicked == nil && f.free != nil {
		f.free(f.value)
	}
}
