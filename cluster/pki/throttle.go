package pki

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Throttle slows down guessing: each remote address has a number of attempts per window. Its memory is bounded; when
// full it forgets the address seen longest ago. Safe for concurrent use.
type Throttle struct {
	limit    int
	window   time.Duration
	capacity int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *attempts, most recent first
}

type attempts struct {
	key   string
	count int
	ends  time.Time
}

// NewThrottle allows limit attempts per window and address, and remembers at most capacity addresses.
func NewThrottle(limit int, window time.Duration, capacity int) *Throttle {
	return &Throttle{limit: limit, window: window, capacity: max(capacity, 1), byKey: map[string]*list.Element{}, order: list.New()}
}

// Attempt counts one attempt of remote ("host:port" or "host") before it is judged, so that parallel guesses count too.
// When the address has none left it returns false and how long to wait.
func (t *Throttle) Attempt(remote string) (retryAfter time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	a := t.touch(throttleKey(remote), now)
	if a.count >= t.limit {
		return a.ends.Sub(now), false
	}
	a.count++
	return 0, true
}

// Succeeded gives back the attempt that turned out genuine.
func (t *Throttle) Succeeded(remote string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byKey[throttleKey(remote)]; e != nil {
		if a := e.Value.(*attempts); a.count > 0 {
			a.count--
		}
	}
}

// Len is the number of remembered addresses.
func (t *Throttle) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.order.Len()
}

func (t *Throttle) touch(key string, now time.Time) *attempts {
	e := t.byKey[key]
	if e == nil {
		t.evict()
		e = t.order.PushFront(&attempts{key: key, ends: now.Add(t.window)})
		t.byKey[key] = e
	}
	t.order.MoveToFront(e)
	a := e.Value.(*attempts)
	if !now.Before(a.ends) {
		a.count, a.ends = 0, now.Add(t.window)
	}
	return a
}

func (t *Throttle) evict() {
	if t.order.Len() >= t.capacity {
		oldest := t.order.Back()
		delete(t.byKey, oldest.Value.(*attempts).key)
		t.order.Remove(oldest)
	}
}

// throttleKey drops the port, and all but the network half of an IPv6 address: one host owns 2^64 of those.
func throttleKey(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if ap, apErr := netip.ParseAddrPort(remote); apErr == nil {
		addr, err = ap.Addr(), nil
	}
	if err != nil {
		return clip(remote)
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
