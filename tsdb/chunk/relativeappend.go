package chunk

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
)

// relating makes the relative form, in room that it uses again.
type relating struct {
	relatives
	*scratch
	// columns are those made so far, one behind the other, which end at ends.
	columns []byte
	ends    [10]int
	short   []float64
	times   timesKept
}

var relatings = sync.Pool{New: func() any { return new(relating) }}

// appendRelative appends formRelative behind its lead, which it marks where a sparse block is in it.
func appendRelative(dst []byte, w *Windows, present Columns) []byte {
	r := relatings.Get().(*relating)
	defer relatings.Put(r)
	r.scratch = borrow()
	defer r.giveBack()
	at := len(dst) - 1 // of the lead
	relative := r.make(w, present)
	dst = slices.Grow(dst, len(r.columns)+64)
	dst = binary.AppendUvarint(dst, uint64(present))
	dst = binary.AppendUvarint(dst, uint64(relative))
	dst = append(dst, byte(r.measure))
	from := 0
	for i, end := range r.ends {
		if present&(1<<i) != 0 {
			dst = binary.AppendUvarint(dst, uint64(end-from))
			dst = append(dst, r.columns[from:end]...)
		}
		from = end
	}
	if r.sparse {
		markSparse(dst[at:])
	}
	r.w = nil
	return dst
}

// make makes all columns and tells which are relative.
func (r *relating) make(w *Windows, present Columns) (relative Columns) {
	r.w, r.measure, r.columns, r.sparse = w, measureOf(w.Last, w.First, w.Min, w.Max), r.columns[:0], false
	r.last, r.first = r.measure.ints(r.last[:0], w.Last), r.measure.ints(r.first[:0], w.First)
	for c := ColumnEnd; c < AllColumns; c <<= 1 {
		if present&c != 0 {
			needs, may := relativeTo[c]
			if may && present&needs == needs && r.append(c) {
				relative |= c
			} else {
				r.alone(c)
			}
		}
		r.ends[bits.TrailingZeros16(uint16(c))] = len(r.columns)
	}
	return relative
}

// alone makes a column that is not relative.
func (r *relating) alone(c Columns) {
	if c&timeColumns != 0 {
		r.columns = append(r.columns, r.times.column(c|aloneKey, *r.w.times(c), AppendTimes)...)
	} else {
		r.columns = r.appendValues(r.columns, *r.w.values(c))
	}
}

// append makes a relative column; false where it cannot be one, or gains nothing by it.
func (r *relating) append(c Columns) bool {
	w := r.w
	switch c {
	case ColumnIncrease:
		return r.increase()
	case ColumnSum:
		return sumsOfOne(w)
	case ColumnFirstT, ColumnLastT:
		r.room = append(r.room[:0], *w.times(c)...)
		for i, end := range w.End {
			r.room[i] -= end
		}
		r.columns = append(r.columns, r.times.column(c, r.room, r.offsets)...)
		return true
	case ColumnCount:
		if measureOf(w.Count) != 0 {
			return false
		}
		r.room = measure(0).ints(r.room[:0], w.Count)
	default:
		r.room = r.measure.ints(r.room[:0], *w.values(c))
		r.expect(c, r.room, -1)
	}
	if allZero(r.room) {
		return true
	}
	at := len(r.columns)
	r.columns = appendInts(r.columns, r.room, nil, r.scratch, true)
	if c&(ColumnFirst|ColumnMin|ColumnMax) != 0 && r.measure == inBits {
		if len(r.columns)-at >= len(AppendValues(nil, *w.values(c))) {
			r.columns = r.columns[:at]
			return false
		}
	}
	return true
}

// offsets are times as what they are off by.
func (r *relating) offsets(dst []byte, ts []int64) []byte {
	if allZero(ts) {
		return dst
	}
	r.ints = append(r.ints[:0], ts...)
	return appendInts(dst, r.ints, nil, r.scratch, false)
}

func allZero(xs []int64) bool {
	for _, x := range xs {
		if x != 0 {
			return false
		}
	}
	return true
}

// increase replaces each increase that is Last - First by 0; false when another one is 0 already.
func (r *relating) increase() bool {
	w := r.w
	r.short = r.short[:0]
	other := false
	for i, increase := range w.Increase {
		if increase == increase && bitsOf(increase) == bitsOf(w.Last[i]-w.First[i]) { // processors differ in their NaNs
			r.short = append(r.short, 0)
			continue
		}
		if bitsOf(increase) == 0 {
			return false
		}
		other = true
		r.short = append(r.short, increase)
	}
	if other {
		r.columns = r.appendValues(r.columns, r.short)
	}
	return true
}

// sumsOfOne tells whether each sum is that of so many of the last value, as it is where a value does not change.
func sumsOfOne(w *Windows) bool {
	for i, sum := range w.Sum {
		if sum != sum || bitsOf(sum) != bitsOf(w.Count[i]*w.Last[i]) {
			return false
		}
	}
	return true
}

// timesKept remembers columns of times: the series of one scrape have the same windows of time.
type timesKept [keptColumns]struct {
	column  Columns // with aloneKey for one that is not relative
	times   []int64
	encoded []byte
}

// keptColumns bounds what is remembered to some hundreds of KiB.
const keptColumns = 64

// aloneKey is beside all columns.
const aloneKey = AllColumns + 1

// column returns what a column of times is encoded to, for reading.
func (k *timesKept) column(c Columns, ts []int64, encode func(dst []byte, ts []int64) []byte) []byte {
	n := len(ts)
	mix := uint64(ts[0])*0x9e3779b97f4a7c15 ^ uint64(ts[n-1])*0xc2b2ae3d27d4eb4f ^ uint64(ts[n/2])*0x165667b19e3779f9 ^ uint64(c)<<40
	kept := &k[mix*0x9e3779b97f4a7c15>>58]
	if kept.column != c || !slices.Equal(kept.times, ts) {
		kept.column, kept.times = c, append(kept.times[:0], ts...)
		kept.encoded = encode(kept.encoded[:0], ts)
	}
	return kept.encoded
}
