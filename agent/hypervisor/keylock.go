package hypervisor

import (
	"context"
	"sync"
)

// keyLock is one lock per key, taken with a context. Keys cost nothing while nobody holds or awaits them.
type keyLock struct {
	mu   sync.Mutex
	held map[string]*keyHold
}

type keyHold struct {
	users int
	token chan struct{}
}

// lock waits for the key and returns the function that gives it back.
func (l *keyLock) lock(ctx context.Context, key string) (func(), error) {
	h := l.enter(key)
	select {
	case h.token <- struct{}{}:
		return func() { <-h.token; l.leave(key) }, nil
	case <-ctx.Done():
		l.leave(key)
		return nil, ctx.Err()
	}
}

func (l *keyLock) enter(key string) *keyHold {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]*keyHold{}
	}
	h := l.held[key]
	if h == nil {
		h = &keyHold{token: make(chan struct{}, 1)}
		l.held[key] = h
	}
	h.users++
	return h
}

func (l *keyLock) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[key]; h.users == 1 {
		delete(l.held, key)
	} else {
		h.users--
	}
}
