package cache

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/novacron/novacron/tsdb/query"
)

// absent stands for no value.
var absent = query.Absent

// Extent is an answer at the times from From to To, both inclusive, by a step; in milliseconds. Each row has a value for
// each step, and no two have the same labels.
type Extent struct {
	From, To int64
	Rows     []Row
}

// Span is a stretch of time, both ends inclusive.
type Span struct{ From, To int64 }

// maxSteps bounds an extent: what is older is forgotten.
const maxSteps = query.MaxSteps

// maxGaps bounds the pieces that are asked for apart.
const maxGaps = 3

func steps(from, to, step int64) int {
	if to < from {
		return 0
	}
	return int((to-from)/step) + 1
}

// within is the part of an extent in the bounds, without the rows that have no value there.
func (x Extent) within(from, to, step int64) Extent {
	from, to = max(from, x.From), min(to, x.To)
	if from == x.From && to == x.To {
		return x
	}
	cut := Extent{From: from, To: to}
	first, end := int((from-x.From)/step), int((to-x.From)/step)+1
	for _, row := range x.Rows {
		next := Row{Labels: row.Labels, Values: row.Values[first:end:end]}
		if row.Histograms != nil {
			next.Histograms = row.Histograms[first:end:end]
		}
		if !next.empty() {
			cut.Rows = append(cut.Rows, next)
		}
	}
	return cut
}

func (r Row) empty() bool {
	return !slices.ContainsFunc(r.Values, func(v float64) bool { return !value.IsStaleNaN(v) }) &&
		!slices.ContainsFunc(r.Histograms, func(h *histogram.FloatHistogram) bool { return h != nil })
}

// extentBytes is about what an extent takes besides its rows, rowBytes a row besides its labels and values.
const (
	extentBytes = 64
	rowBytes    = 96
)

// bytes is about what an extent takes in memory.
func (x Extent) bytes() int64 {
	n := int64(extentBytes)
	for _, row := range x.Rows {
		n += rowBytes + int64(row.Labels.ByteSize()) + 8*int64(cap(row.Values)+cap(row.Histograms))
		n += row.histogramBytes()
	}
	return n
}

func (r Row) histogramBytes() (n int64) {
	for _, h := range r.Histograms {
		if h != nil {
			n += int64(h.Size())
		}
	}
	return n
}

// Gaps are the stretches between two times of a grid that extents, in order of time, leave open. Where these are many,
// they are one.
func Gaps(extents []Extent, from, to, step int64) (gaps []Span) {
	for _, x := range extents {
		if x.From > from {
			gaps = append(gaps, Span{from, x.From - step})
		}
		from = max(from, x.To+step)
	}
	if from <= to {
		gaps = append(gaps, Span{from, to})
	}
	if len(gaps) > maxGaps {
		return []Span{{gaps[0].From, gaps[len(gaps)-1].To}}
	}
	return gaps
}

// Stitch puts extents together to one of the times from From to To. Where two have the same time, the later one in the
// list counts. Nothing is shared with them but labels and histograms.
func Stitch(extents []Extent, from, to, step int64) Extent {
	all := Extent{From: from, To: to}
	rows, n, key := map[string]int{}, steps(from, to, step), []byte(nil)
	for _, x := range extents {
		if x.To < from || x.From > to {
			continue
		}
		x = x.within(from, to, step)
		first := int((x.From - from) / step)
		for _, row := range x.Rows {
			key = row.Labels.Bytes(key[:0])
			at, known := rows[string(key)]
			if !known {
				at = len(all.Rows)
				rows[string(key)] = at
				all.Rows = append(all.Rows, Row{Labels: row.Labels, Values: slices.Repeat([]float64{absent}, n)})
			}
			all.Rows[at].put(first, row)
		}
	}
	return all
}

// put copies the values of another row to places from first on.
func (r *Row) put(first int, from Row) {
	copy(r.Values[first:], from.Values)
	if from.Histograms == nil {
		return
	}
	if r.Histograms == nil {
		r.Histograms = make([]*histogram.FloatHistogram, len(r.Values))
	}
	copy(r.Histograms[first:], from.Histograms)
}
