package merge

import (
	"errors"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
)

// ErrWindows says that a chunk of windows was read as one of samples.
var ErrWindows = errors.New("the chunk holds windows: read its columns with Windows")

// Iterator walks over the samples of one series in order of time, one for each time. It is meant to be used again for
// one series after another, so that chunks are decoded into the same memory. The zero value is empty.
type Iterator struct {
	cursors []cursor
	until   int64
	columns chunk.Columns
	skip    Skip
	free    []*buffer

	// run are the samples that are being told, of the cursor last, and at is the place of the current one.
	run  Run
	at   int
	last *cursor
	err  error
	// ready is a run that was handed in whole and that NextRun has not told yet.
	ready bool
}

var _ chunkenc.Iterator = (*Iterator)(nil)

// Reset starts over with the samples of other sources between two times, both inclusive. The slice of sources may be
// used again at once, what is in it only after the walk.
func (it *Iterator) Reset(from, until int64, sources ...Source) {
	it.columns = chunk.ColumnEnd
	it.start(from, until, sources)
}

// ResetWindows is Reset for sources that may have windows, which only NextRun tells: their ends and the columns that
// are asked for.
func (it *Iterator) ResetWindows(from, until int64, columns chunk.Columns, sources ...Source) {
	it.columns = columns | chunk.ColumnEnd
	it.start(from, until, sources)
}

// ResetColumns starts over with samples that are decoded already; none is fine. Nothing in them may change until the
// walk has ended.
func (it *Iterator) ResetColumns(columns *Columns) {
	it.start(0, 0, nil)
	it.run.Columns, it.ready = *columns, len(columns.Times) > 0
}

// OnDamage sets what happens when a chunk cannot be read; without it, the first such chunk ends the walk.
func (it *Iterator) OnDamage(skip Skip) { it.skip = skip }

// Next goes to the next sample.
func (it *Iterator) Next() chunkenc.ValueType {
	if it.at+1 < len(it.run.Times) {
		it.at++
		return it.run.Type
	}
	return it.nextRun()
}

func (it *Iterator) nextRun() chunkenc.ValueType {
	if _, ok := it.NextRun(); !ok {
		it.run, it.at = Run{}, -1
		return chunkenc.ValNone
	}
	it.at = 0
	if it.run.Type == chunkenc.ValNone {
		it.err = ErrWindows
	}
	return it.run.Type
}

// Seek goes to the first sample at t or after it, and stays where it is when that is such a sample.
func (it *Iterator) Seek(t int64) chunkenc.ValueType {
	if it.at >= 0 && it.run.Times[it.at] >= t {
		return it.run.Type
	}
	rest := it.run.Times[it.at+1:]
	if n := len(rest); n > 0 && rest[n-1] >= t {
		it.at += 1 + ahead(rest, t)
		return it.run.Type
	}
	it.skipTo(t)
	return it.nextRun()
}

// skipTo leaves out what is before t of all that was not told yet.
func (it *Iterator) skipTo(t int64) {
	for i := range it.cursors {
		it.cursors[i].seek(t)
	}
	if it.ready && it.at < 0 {
		at, _ := slices.BinarySearch(it.run.Times, t)
		it.run.Columns = it.run.slice(at, len(it.run.Times))
		it.ready = len(it.run.Times) > 0
	}
}

// ahead is the place of the first time at t or later; there is one. It is often near.
func ahead(times []int64, t int64) int {
	for at := range min(8, len(times)) {
		if times[at] >= t {
			return at
		}
	}
	at, _ := slices.BinarySearch(times, t)
	return at
}

// At returns the current float.
func (it *Iterator) At() (int64, float64) { return it.run.Times[it.at], it.run.Values[it.at] }

// AtT returns the time of the current sample.
func (it *Iterator) AtT() int64 { return it.run.Times[it.at] }

// AtST returns since when the counter of the current sample has been counting, 0 where that is not known.
func (it *Iterator) AtST() int64 {
	if len(it.run.Starts) == 0 {
		return 0
	}
	return it.run.Starts[it.at]
}

// AtHistogram returns a copy of the current histogram, in h when that is not nil.
func (it *Iterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	from := it.run.Histograms[it.at]
	if h == nil {
		h = from.Copy()
	} else {
		from.CopyTo(h)
	}
	return it.run.Times[it.at], h
}

// AtFloatHistogram returns a copy of the current histogram, in h when that is not nil.
func (it *Iterator) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	switch {
	case it.run.Type == chunkenc.ValHistogram:
		h = it.run.Histograms[it.at].ToFloat(h)
	case h == nil:
		h = it.run.Floats[it.at].Copy()
	default:
		it.run.Floats[it.at].CopyTo(h)
	}
	return it.run.Times[it.at], h
}

// Err is what ended the walk early.
func (it *Iterator) Err() error { return it.err }

// All are the bounds that leave nothing out.
var All = Interval{math.MinInt64, math.MaxInt64}
