package azuremonitor

import (
	"context"
	"time"
)

// cache keeps what changes rarely. What could not be read is not asked for again at once; what was read before stays
// good meanwhile. It is for one goroutine at a time.
type cache[T any] struct {
	// fresh is how long a value is good, retry how long after a failure it is asked for again.
	fresh, retry time.Duration
	entries      map[string]*entry[T]
}

type entry[T any] struct {
	value T
	known bool
	err   error
	next  time.Time
}

// get reads a value or gives the one that is kept; known is false where there is none. An error stays until a read succeeds.
func (c *cache[T]) get(ctx context.Context, key string, now time.Time, read func(ctx context.Context) (T, error)) (value T, known bool, err error) {
	if c.entries == nil {
		c.entries = map[string]*entry[T]{}
	}
	e := c.entries[key]
	if e == nil {
		e = &entry[T]{}
		c.entries[key] = e
	}
	if now.Before(e.next) {
		return e.value, e.known, e.err
	}
	fresh, err := read(ctx)
	if err != nil {
		e.err, e.next = err, now.Add(c.retry)
		return e.value, e.known, err
	}
	*e = entry[T]{value: fresh, known: true, next: now.Add(c.fresh)}
	return e.value, true, nil
}
