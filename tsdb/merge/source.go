package merge

import (
	"cmp"
	"slices"
)

// Source is what one place has of a series.
type Source struct {
	// Chunks are in order of time and do not overlap.
	Chunks []Chunk
	// Rank decides between samples with the same time: the greater stays; of equal ranks, the later source.
	Rank uint64
	// Deleted are joined intervals whose samples of this source are left out.
	Deleted []Interval
}

// cursor walks over one source.
type cursor struct {
	Source
	// next is the place of the first chunk that is not decoded yet.
	next int
	// from is the time before which samples are left out.
	from int64
	// batch are decoded samples, of which those from place i on are still to be told.
	batch Columns
	i     int
	buf   *buffer
	// gap is set when samples between the last one told and the one at i were left out, or may have been in other
	// sources.
	gap bool
	// alone is set for the only source of a walk: what is skipped in it is still what stands before the next sample.
	alone bool
}

// loaded tells whether decoded samples wait.
func (c *cursor) loaded() bool { return c.i < len(c.batch.Times) }

// bound is a time that the next sample is not before, or at exactly when a batch is loaded; false at the end.
func (c *cursor) bound() (int64, bool) {
	if c.loaded() {
		return c.batch.Times[c.i], true
	}
	if c.next < len(c.Chunks) {
		return max(c.Chunks[c.next].Min, c.from), true
	}
	return 0, false
}

// seek leaves out what is before t.
func (c *cursor) seek(t int64) {
	c.from = max(c.from, t)
	if c.loaded() {
		skip, _ := slices.BinarySearch(c.batch.Times[c.i:], t)
		c.i += skip
		c.gap = c.gap || skip > 0 && !c.alone
	}
	if !c.loaded() {
		c.skipChunks()
	}
}

// skipChunks leaves out chunks that end too early.
func (c *cursor) skipChunks() {
	skip, _ := slices.BinarySearchFunc(c.Chunks[c.next:], c.from, func(k Chunk, t int64) int { return cmp.Compare(k.Max, t) })
	c.next += skip
	c.gap = c.gap || skip > 0 && !c.alone
}

// load decodes the next chunk; there is one, and nothing else waits. Nothing may be left of it.
func (c *cursor) load(it *Iterator) error {
	k := &c.Chunks[c.next]
	c.next++
	c.batch, c.i = Columns{}, 0
	if c.buf == nil {
		c.buf = it.borrow()
	}
	batch, err := k.decode(c.buf, it.columns)
	if err != nil {
		c.gap = true
		return err
	}
	c.batch = batch
	c.cut(it.until)
	c.takeOut(Interval{k.Min, k.Max})
	return nil
}

// cut leaves out what is out of bounds.
func (c *cursor) cut(until int64) {
	n := len(c.batch.Times)
	if c.batch.Times[0] < c.from {
		c.i, _ = slices.BinarySearch(c.batch.Times, c.from)
		c.gap = c.gap || !c.alone
	}
	if c.batch.Times[n-1] > until {
		n, _ = slices.BinarySearchFunc(c.batch.Times, until, func(t, until int64) int {
			if t <= until {
				return -1
			}
			return 1
		})
		c.batch.Times = c.batch.Times[:n]
	}
	c.i = min(c.i, n)
}

// takeOut leaves out what is deleted. The samples may be those of others, so they are copied.
func (c *cursor) takeOut(span Interval) {
	if len(c.Deleted) == 0 || !touched(c.Deleted, span) {
		return
	}
	kept := keep(nil, c.batch.Times, c.Deleted)
	c.gap = c.gap || len(kept) < len(c.batch.Times)
	c.i, _ = slices.BinarySearch(kept, c.i)
	c.batch = c.batch.pick(kept)
}

// pick copies the samples at some places.
func (c *Columns) pick(places []int) Columns {
	picked := Columns{Type: c.Type, Times: pick(c.Times, places), Values: pick(c.Values, places)}
	picked.Histograms, picked.Floats = pick(c.Histograms, places), pick(c.Floats, places)
	picked.Starts = pick(c.Starts, places)
	if c.Windows != nil {
		picked.Windows = pickWindows(c.Windows, places)
	}
	picked.giveUpHints(places)
	return picked
}

func pick[T any](from []T, places []int) []T {
	if from == nil {
		return nil
	}
	to := make([]T, len(places))
	for i, at := range places {
		to[i] = from[at]
	}
	return to
}
