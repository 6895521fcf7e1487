// Package rollup makes windows of raw samples, merges them, and reads them as samples again.
//
// Windows are open on the left and closed on the right, (end-window, end], and end at multiples of their length; their
// values stand at their end. Stale markers are not counted. NaNs are, as PromQL does: they make a sum NaN, and are a
// minimum or maximum only where there is nothing else. A counter does not rise from or to a NaN or an infinity.
package rollup

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/value"

	"github.com/novacron/novacron/tsdb/chunk"
)

// EndOf is the end of the window that a time lies in; all are milliseconds.
func EndOf(t, window int64) int64 {
	left := t % window
	if left < 0 {
		left += window
	}
	switch {
	case left == 0:
		return t
	case t > math.MaxInt64-window+left:
		return math.MaxInt64 // the window at the end of time is cut short
	}
	return t - left + window
}

// RawBounds are the times, both inclusive, of the raw samples in the windows whose ends lie in the bounds given.
func RawBounds(minEnd, maxEnd, window int64) (minT, maxT int64) {
	minT = EndOf(minEnd, window)
	if minT < math.MinInt64+window {
		minT = math.MinInt64
	} else {
		minT -= window - 1
	}
	if maxT = EndOf(maxEnd, window); maxT != maxEnd {
		maxT -= window
	}
	return minT, maxT
}

// Builder makes windows of samples. Its methods are for one goroutine.
type Builder struct {
	dst    *chunk.Windows
	window int64
	row    row
	open   bool
}

// NewBuilder appends windows of some length in milliseconds to the columns of dst.
func NewBuilder(dst *chunk.Windows, window int64) *Builder { return &Builder{dst: dst, window: window} }

// Add takes a sample, later than the one before. A window is appended when a sample of the next one comes.
func (b *Builder) Add(t int64, v float64) error {
	if math.Float64bits(v) == value.StaleNaN {
		return nil
	}
	switch {
	case b.open && t <= b.row.lastT:
		return fmt.Errorf("rollup: a sample at %d ms after one at %d ms: samples must come in order of time", t, b.row.lastT)
	case b.open && t <= b.row.end:
		b.row.add(t, v)
	default:
		b.Flush()
		b.row, b.open = newRow(EndOf(t, b.window), t, v), true
	}
	return nil
}

// AddAll is Add for samples of ascending times.
func (b *Builder) AddAll(ts []int64, vs []float64) error {
	for i := 0; i < len(ts); i++ {
		if b.open {
			if i += b.row.addPlain(ts[i:], vs[i:]); i == len(ts) {
				break
			}
		}
		if err := b.Add(ts[i], vs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Flush appends the window that is being made, if any.
func (b *Builder) Flush() {
	if b.open {
		b.row.appendTo(b.dst, chunk.AllColumns)
		b.open = false
	}
}

// Append appends the windows of samples in order of time to the columns of dst.
func Append(dst *chunk.Windows, window int64, ts []int64, vs []float64) error {
	b := NewBuilder(dst, window)
	if err := b.AddAll(ts, vs); err != nil {
		return err
	}
	b.Flush()
	return nil
}

// Lasts appends the places in ts, which ascend, of the last time in each window of those that count. It is what is
// kept of native histograms.
func Lasts(dst []int, window int64, ts []int64, counts func(i int) bool) []int {
	end, begun := int64(0), false
	for i, t := range ts {
		switch {
		case !counts(i):
		case begun && t <= end:
			dst[len(dst)-1] = i
		default:
			dst = append(dst, i)
			end, begun = EndOf(t, window), true
		}
	}
	return dst
}
