package rollup

import (
	"math"

	"github.com/novacron/novacron/tsdb/chunk"
)

// row is one window while it is being made.
type row struct {
	end, firstT, lastT int64
	count              float64
	total, lost        float64 // the sum, and what its rounding has lost (Neumaier)
	low, high          float64
	first, last        float64
	increase           float64
	fell               bool // somewhere, so that the increase is not the difference of last and first
}

// newRow is the window of one sample.
func newRow(end, t int64, v float64) row {
	return row{end: end, firstT: t, lastT: t, count: 1, total: v, low: v, high: v, first: v, last: v, fell: v-v != 0}
}

// sum is the sum of the samples. Once it is infinite, what is lost means nothing.
func (r *row) sum() float64 {
	if math.IsInf(r.total, 0) {
		return r.total
	}
	return r.total + r.lost
}

func (r *row) plus(x float64) {
	total := r.total + x
	switch {
	case math.IsInf(total, 0):
		r.lost = 0
	case math.Abs(r.total) >= math.Abs(x):
		r.lost += (r.total - total) + x
	default:
		r.lost += (x - total) + r.total
	}
	r.total = total
}

// add takes in a later sample of the same window.
func (r *row) add(t int64, v float64) {
	if v-v == 0 && !math.IsNaN(r.low) { // neither is anything special: what join does, without a window of one sample
		r.fell = r.fell || !(v >= r.last)
		r.increase += rise(r.last, v)
		r.lastT, r.last = t, v
		if !r.fell {
			r.increase = v - r.first
		}
		r.count++
		r.plus(v)
		if v < r.low {
			r.low = v
		}
		if v > r.high {
			r.high = v
		}
		return
	}
	next := newRow(r.end, t, v)
	r.join(&next)
}

// addPlain is add for those in front of some samples that are later, of the same window and finite, as long as the sum
// is; it tells how many these are. It gives the same bits: what a sum's rounding loses is known exactly in either way of
// computing it (Knuth, TAOCP 2, 4.2.2).
func (r *row) addPlain(ts []int64, vs []float64) int {
	if math.IsNaN(r.low) || r.total-r.total != 0 || r.last-r.last != 0 {
		return 0
	}
	n, last, lastT, low, high, total, lost := 0, r.last, r.lastT, r.low, r.high, r.total, r.lost
	for i, t := range ts[:min(len(ts), len(vs))] {
		v := vs[i]
		sum := total + v
		if t <= lastT || t > r.end || sum-sum != 0 {
			break
		}
		part := sum - total
		lost += (total - (sum - part)) + (v - part)
		if v < last || r.fell {
			r.turn(last, v)
		}
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		last, lastT, total = v, t, sum
		n++
	}
	r.last, r.lastT, r.low, r.high, r.total, r.lost = last, lastT, low, high, total, lost
	r.count += float64(n)
	if !r.fell {
		r.increase = last - r.first
	}
	return n
}

// turn goes on with the increase of a counter that fell, now or before.
func (r *row) turn(last, v float64) {
	if !r.fell {
		r.fell, r.increase = true, last-r.first
	}
	r.increase += rise(last, v)
}

// join takes in what comes later in the same window.
func (r *row) join(next *row) {
	r.fell = r.fell || next.fell || !(next.first >= r.last)
	r.increase += rise(r.last, next.first) + next.increase
	r.lastT, r.last = next.lastT, next.last
	if !r.fell {
		r.increase = r.last - r.first // without the rounding of the steps between
	}
	r.count += next.count
	r.plus(next.total)
	if next.low < r.low || math.IsNaN(r.low) {
		r.low = next.low
	}
	if next.high > r.high || math.IsNaN(r.high) {
		r.high = next.high
	}
}

// rise is how much a counter rose between two samples that follow one another: one that fell began again at zero.
// What no counter shows, a NaN, an infinity or less than zero, is no rise.
func rise(before, after float64) float64 {
	if after >= before {
		after -= before
	}
	if after > 0 && after <= math.MaxFloat64 && !math.IsNaN(before) {
		return after
	}
	return 0
}

// at reads a window of columns; those that are empty read as zero.
func at(w *chunk.Windows, i int) row {
	r := row{
		end: or0(w.End, i), firstT: or0(w.FirstT, i), lastT: or0(w.LastT, i), count: or0(w.Count, i), total: or0(w.Sum, i),
		low: or0(w.Min, i), high: or0(w.Max, i), first: or0(w.First, i), last: or0(w.Last, i), increase: or0(w.Increase, i),
	}
	r.fell = r.increase != r.last-r.first
	return r
}

func or0[T any](column []T, i int) (x T) {
	if i < len(column) {
		x = column[i]
	}
	return x
}

// appendTo writes the window at the end of some columns.
func (r *row) appendTo(w *chunk.Windows, columns chunk.Columns) {
	put(&w.End, r.end, columns&chunk.ColumnEnd)
	put(&w.FirstT, r.firstT, columns&chunk.ColumnFirstT)
	put(&w.LastT, r.lastT, columns&chunk.ColumnLastT)
	put(&w.Count, r.count, columns&chunk.ColumnCount)
	put(&w.Sum, r.sum(), columns&chunk.ColumnSum)
	put(&w.Min, r.low, columns&chunk.ColumnMin)
	put(&w.Max, r.high, columns&chunk.ColumnMax)
	put(&w.Last, r.last, columns&chunk.ColumnLast)
	put(&w.First, r.first, columns&chunk.ColumnFirst)
	put(&w.Increase, r.increase, columns&chunk.ColumnIncrease)
}

func put[T any](column *[]T, x T, wanted chunk.Columns) {
	if wanted != 0 {
		*column = append(*column, x)
	}
}
