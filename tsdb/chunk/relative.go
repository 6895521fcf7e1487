package chunk

import (
	"fmt"
	"math/bits"
	"slices"
)

// Most columns of windows say little that others do not: a window begins about where the one before ended, in time and
// in value, and a counter's least value is its first. So a relative column holds what it differs by from what is
// expected; none of its bytes are stored where that is nothing.
//
//	FirstT, LastT  from End
//	Count          from nothing, but as integers
//	First          from the Last of the window before
//	Min, Max       from the lesser and the greater one of First and Last
//	Increase       from Last - First: 0 stands for that
//	Sum            from Count * Last, where it is that in all windows
var relativeTo = map[Columns]Columns{
	ColumnFirstT: ColumnEnd, ColumnLastT: ColumnEnd, ColumnCount: 0, ColumnFirst: ColumnLast,
	ColumnMin: ColumnFirst | ColumnLast, ColumnMax: ColumnFirst | ColumnLast, ColumnIncrease: ColumnFirst | ColumnLast,
	ColumnSum: ColumnCount | ColumnLast,
}

// Relative tells whether windows are stored in the form that later versions have brought.
func Relative(src []byte) bool { return len(src) > 0 && src[0]&15 == formRelative }

// relatives is the work on the columns of one chunk.
type relatives struct {
	w       *Windows
	measure measure
	// last and first are those columns in the measure; room is for one more.
	last, first, room []int64
}

// expect adds to the integers of a column what is expected of it, times a sign; those of First follow one another.
func (r *relatives) expect(c Columns, xs []int64, sign int64) {
	switch c {
	case ColumnFirst:
		before := r.last[0]
		for i := range xs {
			xs[i] += sign * before
			before = r.last[i]
		}
	case ColumnMin:
		for i := range xs {
			xs[i] += sign * min(r.first[i], r.last[i])
		}
	case ColumnMax:
		for i := range xs {
			xs[i] += sign * max(r.first[i], r.last[i])
		}
	}
}

// decodeRelative reads formRelative behind its lead.
func decodeRelative(dst *Windows, in *input, n int, asked Columns) error {
	present := Columns(in.count("set of columns", int(AllColumns)))
	relative := Columns(in.count("set of columns", int(AllColumns)))
	r := relatives{w: dst, measure: measure(in.byte())}
	if !r.measure.known() {
		in.fail("measure %d, known are 0 to %d and %d", r.measure, len(powers)-1, inBits)
	}
	var stored [10][]byte
	needed := asked & present
	for c := ColumnIncrease; c > 0; c >>= 1 { // Min and Max need First, which stands behind them and may need Last
		needs, may := relativeTo[c]
		if relative&c != 0 && (!may || present&(c|needs) != c|needs) {
			in.fail("column %d is relative to what is not there, columns %#x", bits.TrailingZeros16(uint16(c)), present)
		}
		if needed&relative&c != 0 {
			needed |= needs
		}
	}
	if needed&relative&ColumnFirst != 0 {
		needed |= ColumnLast
	}
	for c, i := ColumnEnd, 0; c < AllColumns; c, i = c<<1, i+1 {
		if present&c != 0 {
			stored[i] = in.take(in.uvarint())
		}
	}
	if err := in.close(); err != nil {
		return err
	}
	for _, c := range [...]Columns{ColumnEnd, ColumnFirstT, ColumnLastT, ColumnCount, ColumnLast, ColumnFirst, ColumnMin, ColumnMax, ColumnIncrease, ColumnSum} {
		i := bits.TrailingZeros16(uint16(c))
		var err error
		if needed&relative&c != 0 {
			err = r.decode(c, stored[i], n)
		} else {
			err = dst.decode(c, stored[i], n, needed&c != 0)
		}
		if err != nil {
			return fmt.Errorf("column %d of windows: %w", i, err)
		}
		if c == ColumnLast && needed&relative&(ColumnFirst|ColumnMin|ColumnMax) != 0 {
			r.last = r.measure.ints(nil, dst.Last)
		}
		if c == ColumnFirst && needed&relative&(ColumnMin|ColumnMax) != 0 && r.first == nil {
			r.first = r.measure.ints(nil, dst.First)
		}
	}
	dst.empty(needed &^ asked)
	return nil
}

// decode reads a relative column.
func (r *relatives) decode(c Columns, src []byte, n int) (err error) {
	w := r.w
	switch c {
	case ColumnSum:
		return r.sums(src)
	case ColumnIncrease:
		return r.increases(src, n)
	}
	in := open("integers", src, n)
	if len(src) == 0 {
		var xs []int64
		xs, r.room = grown(r.room[:0], n)
		clear(xs)
	} else {
		r.room = decodeInts(r.room[:0], in, n)
	}
	if err := in.close(); err != nil {
		return err
	}
	switch c {
	case ColumnFirstT, ColumnLastT:
		ts := w.times(c)
		*ts = append((*ts)[:0], r.room...)
		for i, end := range w.End {
			(*ts)[i] += end
		}
	case ColumnCount:
		w.Count = measure(0).values(w.Count[:0], r.room)
	default:
		if n > 0 {
			r.expect(c, r.room, 1)
		}
		vs := w.values(c)
		*vs = r.measure.values((*vs)[:0], r.room)
		if c == ColumnFirst {
			r.first = slices.Clone(r.room)
		}
	}
	return nil
}

func (r *relatives) sums(src []byte) error {
	if len(src) > 0 {
		return fmt.Errorf("%w: %d bytes of sums that need none", ErrCorrupt, len(src))
	}
	r.w.Sum = r.w.Sum[:0]
	for i, count := range r.w.Count {
		r.w.Sum = append(r.w.Sum, count*r.w.Last[i])
	}
	return nil
}

func (r *relatives) increases(src []byte, n int) (err error) {
	w := r.w
	if len(src) > 0 {
		if w.Increase, err = DecodeValues(w.Increase[:0], src, n); err != nil {
			return err
		}
	} else {
		w.Increase = slices.Grow(w.Increase[:0], n)[:n]
		clear(w.Increase)
	}
	for i, increase := range w.Increase {
		if bitsOf(increase) == 0 {
			w.Increase[i] = w.Last[i] - w.First[i]
		}
	}
	return nil
}

// empty empties columns that were read for the sake of others.
func (w *Windows) empty(columns Columns) {
	for c := ColumnEnd; c < AllColumns; c <<= 1 {
		switch {
		case columns&c == 0:
		case c&timeColumns != 0:
			*w.times(c) = (*w.times(c))[:0]
		default:
			*w.values(c) = (*w.values(c))[:0]
		}
	}
}
