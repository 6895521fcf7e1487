package rollup

import (
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
)

// timestamp is milliseconds since 1970. By this name vet does not take Seek for the one of io.Seeker.
type timestamp = int64

// Needs are the columns of windows that reading one takes.
func Needs(c engine.Column) chunk.Columns {
	return [...]chunk.Columns{
		engine.ColumnLast:    chunk.ColumnEnd | chunk.ColumnLast,
		engine.ColumnCount:   chunk.ColumnEnd | chunk.ColumnCount,
		engine.ColumnSum:     chunk.ColumnEnd | chunk.ColumnSum,
		engine.ColumnMin:     chunk.ColumnEnd | chunk.ColumnMin,
		engine.ColumnMax:     chunk.ColumnEnd | chunk.ColumnMax,
		engine.ColumnCounter: chunk.ColumnEnd | chunk.CounterColumns,
	}[c]
}

// Between cuts columns to the windows that end in the bounds, both inclusive. It shares their memory.
func Between(w *chunk.Windows, minEnd, maxEnd int64) chunk.Windows {
	from := sort.Search(len(w.End), func(i int) bool { return w.End[i] >= minEnd })
	to := max(from, sort.Search(len(w.End), func(i int) bool { return w.End[i] > maxEnd }))
	return chunk.Windows{
		End: cut(w.End, from, to), FirstT: cut(w.FirstT, from, to), LastT: cut(w.LastT, from, to),
		Count: cut(w.Count, from, to), Sum: cut(w.Sum, from, to), Min: cut(w.Min, from, to), Max: cut(w.Max, from, to),
		Last: cut(w.Last, from, to), First: cut(w.First, from, to), Increase: cut(w.Increase, from, to),
	}
}

func cut[T any](column []T, from, to int) []T {
	if len(column) == 0 {
		return nil
	}
	return column[from:to:to]
}

// Iterator reads a column of windows as samples. Its zero value has none.
type Iterator struct {
	ts      []int64
	vs      []float64
	at      int // -1 before the first
	counter chunk.Windows
}

var _ chunkenc.Iterator = (*Iterator)(nil)

// NewIterator reads a column of windows, of which those that it Needs must be there; they must not change meanwhile.
// An iterator of this kind that is no longer needed is used again.
func NewIterator(w *chunk.Windows, c engine.Column, reuse chunkenc.Iterator) *Iterator {
	it, ok := reuse.(*Iterator)
	if !ok {
		it = new(Iterator)
	}
	it.at = -1
	if c == engine.ColumnCounter {
		it.count(w)
	} else {
		it.ts = w.End
		it.vs = [...][]float64{
			engine.ColumnLast: w.Last, engine.ColumnCount: w.Count, engine.ColumnSum: w.Sum, engine.ColumnMin: w.Min, engine.ColumnMax: w.Max,
		}[c]
	}
	return it
}

// count lists the first and the last sample of each window as a counter that never began again.
func (it *Iterator) count(w *chunk.Windows) {
	room := &it.counter
	room.End, room.Last = slices.Grow(room.End[:0], 2*len(w.End)), slices.Grow(room.Last[:0], 2*len(w.End))
	var c counting
	for i := range w.End {
		r := at(w, i)
		first, last := c.next(&r)
		room.End, room.Last = append(room.End, r.firstT), append(room.Last, first)
		if r.lastT != r.firstT {
			room.End, room.Last = append(room.End, r.lastT), append(room.Last, last)
		}
	}
	it.ts, it.vs = room.End, room.Last
}

// counting is a counter through all windows so far.
type counting struct {
	total, last float64
	begun       bool
}

// next is what the counter shows at the first and the last sample of the next window. It begins as the first value,
// by which PromQL tells how long ago it was zero.
func (c *counting) next(r *row) (first, last float64) {
	if c.begun {
		c.total += rise(c.last, r.first)
	} else {
		c.total, c.begun = rise(0, r.first), true
	}
	first = c.total
	c.total += r.increase
	c.last = r.last
	return first, c.total
}

func (it *Iterator) kind() chunkenc.ValueType {
	if it.at < len(it.ts) {
		return chunkenc.ValFloat
	}
	return chunkenc.ValNone
}

// Next implements chunkenc.Iterator.
func (it *Iterator) Next() chunkenc.ValueType {
	if it.at < len(it.ts) {
		it.at++
	}
	return it.kind()
}

// Seek implements chunkenc.Iterator.
func (it *Iterator) Seek(t timestamp) chunkenc.ValueType {
	it.at = max(it.at, 0)
	if it.at < len(it.ts) && it.ts[it.at] < t {
		rest := it.ts[it.at:]
		it.at += sort.Search(len(rest), func(i int) bool { return rest[i] >= t })
	}
	return it.kind()
}

// Floats gives all samples from a time on that were not given before, as arrays, which hold until the iterator is used
// again; ValNone where there are none. It is not to be called between steps of a walk.
func (it *Iterator) Floats(from timestamp) (times []int64, values []float64, starts []int64, kind chunkenc.ValueType) {
	if it.Seek(from) == chunkenc.ValNone {
		return nil, nil, nil, chunkenc.ValNone
	}
	times, values = it.ts[it.at:], it.vs[it.at:]
	it.at = len(it.ts)
	return times, values, nil, chunkenc.ValFloat
}

// At implements chunkenc.Iterator.
func (it *Iterator) At() (t timestamp, v float64) { return it.ts[it.at], it.vs[it.at] }

// AtT implements chunkenc.Iterator.
func (it *Iterator) AtT() timestamp { return it.ts[it.at] }

// AtST implements chunkenc.Iterator: windows have no start time.
func (it *Iterator) AtST() timestamp { return 0 }

// AtHistogram implements chunkenc.Iterator: there are none.
func (it *Iterator) AtHistogram(*histogram.Histogram) (timestamp, *histogram.Histogram) {
	return it.AtT(), nil
}

// AtFloatHistogram implements chunkenc.Iterator: there are none.
func (it *Iterator) AtFloatHistogram(*histogram.FloatHistogram) (timestamp, *histogram.FloatHistogram) {
	return it.AtT(), nil
}

// Err implements chunkenc.Iterator.
func (it *Iterator) Err() error { return nil }
