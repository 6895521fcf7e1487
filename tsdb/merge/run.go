package merge

import (
	"math"
	"slices"
)

// Run is samples of one type in order of time. It holds until the next run is asked for, and nothing in it may be
// changed.
type Run struct {
	Columns
	// From is the place of the first sample of the run in the windows, when it is one of windows.
	From int
}

// Skip decides what happens when a chunk cannot be read: nil goes on without it, an error ends the walk.
type Skip func(damage error) error

// start begins a walk over sources between two times, both inclusive.
func (it *Iterator) start(from, until int64, sources []Source) {
	for i := range it.cursors {
		it.giveBack(&it.cursors[i])
	}
	it.cursors = slices.Grow(it.cursors[:0], len(sources))
	for _, source := range sources {
		alone := len(sources) == 1 && len(source.Deleted) == 0
		it.cursors = append(it.cursors, cursor{Source: source, from: from, alone: alone})
	}
	for i := range it.cursors {
		it.cursors[i].skipChunks()
		it.cursors[i].gap = false
	}
	it.until, it.last, it.err = min(until, math.MaxInt64-1), nil, nil // lowest needs a time after all others
	it.run, it.at, it.ready = Run{}, -1, false
}

// borrow hands out memory to decode into.
func (it *Iterator) borrow() *buffer {
	if n := len(it.free); n > 0 {
		buf := it.free[n-1]
		it.free = it.free[:n-1]
		return buf
	}
	return &buffer{}
}

func (it *Iterator) giveBack(c *cursor) {
	if c.buf != nil {
		it.free = append(it.free, c.buf)
		c.buf = nil
	}
}

// NextRun returns the next samples, as many as stand together in one chunk; false at the end, and after an error.
func (it *Iterator) NextRun() (*Run, bool) {
	if it.ready {
		if it.ready = false; it.at < 0 {
			return &it.run, true
		}
	}
	if it.last != nil && !it.last.loaded() {
		it.giveBack(it.last) // its run has been read
	}
	for it.err == nil {
		first, limit := it.lowest()
		switch {
		case first == nil:
			return nil, false
		case !first.loaded():
			it.load(first)
		case first.batch.Times[first.i] < limit:
			it.tell(first, limit)
			return &it.run, true
		default:
			it.settle(limit)
		}
	}
	return nil, false
}

// lowest finds the cursor that is first in time, and the time at which any other one comes in.
func (it *Iterator) lowest() (first *cursor, limit int64) {
	least := int64(0)
	limit = math.MaxInt64
	for i := range it.cursors {
		c := &it.cursors[i]
		t, ok := c.bound()
		switch {
		case !ok || t > it.until:
		case first == nil:
			first, least = c, t
		case t < least:
			first, least, limit = c, t, least
		default:
			limit = min(limit, t)
			if t == least && !c.loaded() {
				first = c // it may begin later than it seems
			}
		}
	}
	return first, limit
}

// load decodes the next chunk of a cursor, or asks what to do without it.
func (it *Iterator) load(c *cursor) {
	err := c.load(it)
	if err != nil && it.skip != nil {
		err = it.skip(err)
	}
	it.err = err
}

// settle decides between loaded cursors that all have a sample at t: the highest rank stays.
func (it *Iterator) settle(t int64) {
	var best *cursor
	for i := range it.cursors {
		c := &it.cursors[i]
		if !c.loaded() || c.batch.Times[c.i] != t {
			continue
		}
		lost := best
		if best == nil || c.Rank >= best.Rank {
			best = c
		} else {
			lost = c
		}
		if lost != nil {
			lost.i++
			lost.gap = true
		}
	}
}

// tell makes a run of the samples of a cursor that are before the limit; there is at least one.
func (it *Iterator) tell(c *cursor, limit int64) {
	times := c.batch.Times[c.i:]
	n := len(times)
	if times[n-1] >= limit {
		n, _ = slices.BinarySearch(times, limit)
	}
	it.run = Run{Columns: c.batch.slice(c.i, c.i+n), From: c.i}
	if c.gap || c != it.last && !c.alone {
		it.run.giveUpFirstHint()
	}
	it.at = -1
	c.i += n
	c.gap = false
	it.last = c
}
