package federate

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// rowSet gives the rows of a part to PromQL as series with a sample for each step.
type rowSet struct {
	rows     []Row
	times    grid
	at       int
	warnings annotations.Annotations
}

// grid is the times of an evaluation.
type grid struct{ start, step int64 }

func (g grid) time(i int) int64 { return g.start + int64(i)*g.step }

func newRowSet(rows []Row, times grid, warnings annotations.Annotations) *rowSet {
	return &rowSet{rows: rows, times: times, at: -1, warnings: warnings}
}

func (s *rowSet) Next() bool {
	s.at++
	return s.at < len(s.rows)
}

func (s *rowSet) At() storage.Series                { return rowSeries{s.rows[s.at], s.times} }
func (*rowSet) Err() error                          { return nil }
func (s *rowSet) Warnings() annotations.Annotations { return s.warnings }

type rowSeries struct {
	row   Row
	times grid
}

func (s rowSeries) Labels() labels.Labels { return s.row.Labels }

func (s rowSeries) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	it, ours := old.(*rowIterator)
	if !ours {
		it = &rowIterator{}
	}
	*it = rowIterator{rowSeries: s, at: -1}
	return it
}

// rowIterator yields each step: its value, its histogram, or a stale marker, so that no earlier value is taken for it.
type rowIterator struct {
	rowSeries
	at int
}

func (it *rowIterator) Next() chunkenc.ValueType {
	it.at++
	return it.kind()
}

func (it *rowIterator) kind() chunkenc.ValueType {
	switch {
	case it.at >= len(it.row.Values):
		return chunkenc.ValNone
	case it.row.Histograms != nil && it.row.Histograms[it.at] != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

func (it *rowIterator) Seek(t int64) chunkenc.ValueType {
	at := max(it.at, 0)
	if ahead := t - it.times.time(at); ahead > 0 {
		if it.times.step <= 0 {
			at = len(it.row.Values)
		} else {
			at += int((ahead + it.times.step - 1) / it.times.step)
		}
	}
	it.at = min(at, len(it.row.Values))
	return it.kind()
}

// Steps are the values where there is one for each of n times, stale markers included; else nil. It spares package fast to
// look each of them up.
func (it *rowIterator) Steps(start, step int64, n int) []float64 {
	if it.row.Histograms != nil || len(it.row.Values) != n || it.times.start != start || n > 1 && it.times.step != step {
		return nil
	}
	it.at = n
	return it.row.Values
}

func (it *rowIterator) At() (int64, float64) { return it.AtT(), it.row.Values[it.at] }

func (it *rowIterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	panic("a row has float histograms only") // PromQL asks by the kind that Next returned
}

func (it *rowIterator) AtFloatHistogram(into *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	h := it.row.Histograms[it.at]
	if into == nil {
		return it.AtT(), h.Copy()
	}
	h.CopyTo(into)
	return it.AtT(), into
}

func (it *rowIterator) AtT() int64  { return it.times.time(it.at) }
func (it *rowIterator) AtST() int64 { return 0 }
func (it *rowIterator) Err() error  { return nil }
