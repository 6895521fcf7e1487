// Package cache keeps answers to range queries for the times at which they no longer change.
package cache

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// DefaultBytes is how much a Cache holds where nothing else is said.
const DefaultBytes = 64 << 20

// Key is a question, but for when it begins and ends: times that Step and Phase, the start modulo the step, do not have
// in common are not the same. All but the expression are milliseconds.
type Key struct {
	Expr                  string
	Step, Phase, Lookback int64
}

// State stands for the shards that have a say in an answer, and for their revisions.
type State [sha256.Size]byte

// Member is a shard that has a say.
type Member struct {
	Name     string
	Revision engine.Revision
}

// StateOf is the same for the same members, in any order, in the same state.
func StateOf(members []Member) (s State) {
	sorted := slices.SortedFunc(slices.Values(members), func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	hash, buf := sha256.New(), []byte(nil)
	for _, m := range sorted {
		buf = binary.AppendUvarint(buf[:0], uint64(len(m.Name)))
		buf = append(buf, m.Name...)
		buf = binary.BigEndian.AppendUint64(buf, m.Revision.Epoch)
		buf = binary.BigEndian.AppendUint64(buf, m.Revision.Changes)
		for _, since := range m.Revision.Since {
			buf = binary.BigEndian.AppendUint64(buf, uint64(since))
		}
		_, _ = hash.Write(buf) // a hash takes everything
	}
	return State(hash.Sum(nil))
}

// Row is one series of values by step, with a stale marker where there is none. Histograms is nil, or has one for each
// step; nil where there is none. What a cache gives is not to be changed.
type Row struct {
	Labels     labels.Labels
	Values     []float64
	Histograms []*histogram.FloatHistogram
}

// Cache holds extents of answers, the ones used last. All methods may be called at the same time.
type Cache struct {
	most int64

	mu      sync.Mutex
	entries map[Key]*list.Element // of *entry
	order   *list.List            // the one used last first
	stats   Stats
	// versions counts what was put.
	versions uint64
}

// Stats say what a cache holds and did. Steps that were asked for are Hits or Misses.
type Stats struct {
	Hits, Misses uint64
	// Evicted were dropped for want of room, Outdated since a shard had changed. Entries are questions.
	Evicted, Outdated uint64
	// Shared are queries that got an answer which was being computed for another.
	Shared          uint64
	Entries         int
	Bytes, MaxBytes int64
}

type entry struct {
	key   Key
	state State
	// extents are in order of time, with a gap between any two. They are replaced, not changed: they are read outside of
	// the lock.
	extents []Extent
	bytes   int64
	version uint64
}

// New makes a cache for an amount of bytes, about; 0 is DefaultBytes.
func New(most int64) *Cache {
	if most <= 0 {
		most = DefaultBytes
	}
	return &Cache{most: most, entries: map[Key]*list.Element{}, order: list.New()}
}

// Get gives what is known between two times of the key's grid, both inclusive, in order of time. What is known of
// another state is forgotten.
func (c *Cache) Get(key Key, state State, from, to int64) (found []Extent) {
	for _, x := range c.find(key, state, from, to) {
		if x.From <= to && x.To >= from {
			found = append(found, x.within(from, to, key.Step))
		}
	}
	return found
}

// find gives the extents of a question, and counts how much of it they answer.
func (c *Cache) find(key Key, state State, from, to int64) []Extent {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := uint64(steps(from, to, key.Step))
	at := c.entries[key]
	if at != nil && at.Value.(*entry).state != state {
		c.stats.Outdated++
		c.drop(at)
		at = nil
	}
	if at == nil {
		c.stats.Misses += asked
		return nil
	}
	c.order.MoveToFront(at)
	e := at.Value.(*entry)
	known := uint64(e.known(from, to))
	c.stats.Hits += known
	c.stats.Misses += asked - known
	return e.extents
}

// known is how many of the times between two are known.
func (e *entry) known(from, to int64) (n int) {
	for _, x := range e.extents {
		n += steps(max(from, x.From), min(to, x.To), e.key.Step)
	}
	return n
}

// share is which part of the cache one question may take.
const share = 8

// Fits tells whether an extent of so many rows and steps is small enough to be kept.
func (c *Cache) Fits(rows, steps int) bool {
	return int64(rows) <= c.most/share/(rowBytes+8*int64(steps))
}

// putTries is how often Put begins anew since somebody else has put something meanwhile.
const putTries = 3

// Put keeps an extent, which is not to be changed any more. A question takes an eighth of the cache at most: what is
// oldest of it is forgotten, and an extent that takes more is not kept.
func (c *Cache) Put(key Key, state State, x Extent) {
	most := c.most / share
	if x.bytes() > most {
		return
	}
	for range putTries {
		old, version := c.look(key, state)
		if c.replace(key, state, version, join(old, x, key.Step, most)) {
			return
		}
	}
}

// look gives the extents of a question, and a version by which replace sees whether others have come since.
func (c *Cache) look(key Key, state State) (extents []Extent, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.entries[key]
	if at == nil {
		return nil, 0
	}
	e := at.Value.(*entry)
	if e.state != state {
		return nil, e.version
	}
	return e.extents, e.version
}

// replace puts extents in the place of those of a version, 0 for none, and tells whether they were still there.
func (c *Cache) replace(key Key, state State, version uint64, extents []Extent) bool {
	bytes := entryBytes + int64(len(key.Expr))
	for _, x := range extents {
		bytes += x.bytes()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.entries[key]
	switch {
	case at == nil && version != 0, at != nil && at.Value.(*entry).version != version:
		return false
	case at == nil:
		at = c.order.PushFront(&entry{key: key})
		c.entries[key] = at
		c.stats.Entries++
	}
	e := at.Value.(*entry)
	c.versions++
	c.stats.Bytes += bytes - e.bytes
	e.state, e.extents, e.bytes, e.version = state, extents, bytes, c.versions
	c.order.MoveToFront(at)
	for c.stats.Bytes > c.most {
		c.stats.Evicted++
		c.drop(c.order.Back())
	}
	return true
}

// entryBytes is about what an entry takes besides its extents.
const entryBytes = 256

func (c *Cache) drop(at *list.Element) {
	e := c.order.Remove(at).(*entry)
	delete(c.entries, e.key)
	c.stats.Entries--
	c.stats.Bytes -= e.bytes
}

// Peek tells how many of the times between two, both inclusive, are known. It changes nothing.
func (c *Cache) Peek(key Key, state State, from, to int64) (known int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.entries[key]
	if at == nil || at.Value.(*entry).state != state {
		return 0
	}
	return at.Value.(*entry).known(from, to)
}

// NoteShared counts a query that got the answer to another, which asked the same at one time.
func (c *Cache) NoteShared() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Shared++
}

// Stats looks at the cache.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.MaxBytes = c.most
	return stats
}
