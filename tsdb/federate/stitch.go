package federate

import (
	"fmt"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"

	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/query"
)

// pointBytes is what a value takes with its time; a histogram takes as many as it has bytes of this.
const pointBytes = 16

// stitched puts an answer together of pieces that come in order of time. It holds values where there are some, and no
// more than a bound of them.
type stitched struct {
	rows         promql.Matrix
	at           map[string]int // by labels
	key          []byte
	values, most int
}

func newStitched(most int) *stitched { return &stitched{at: map[string]int{}, most: most} }

// extent adds a piece of the cache, which is not changed.
func (s *stitched) extent(x cache.Extent, step int64) error {
	times := grid{x.From, step}
	for _, row := range x.Rows {
		into := s.row(row.Labels)
		for i, v := range row.Values {
			if !value.IsStaleNaN(v) {
				s.float(into, promql.FPoint{T: times.time(i), F: v})
			}
		}
		for i, h := range row.Histograms {
			if h != nil {
				s.histogram(into, promql.HPoint{T: times.time(i), H: h})
			}
		}
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// matrix adds what an answer has between two times. It is copied: the answer is closed before what it is put into.
func (s *stitched) matrix(rows promql.Matrix, part cache.Span) error {
	for _, row := range rows {
		if row = within(row, part); len(row.Floats)+len(row.Histograms) == 0 {
			continue
		}
		into := s.row(row.Metric)
		for _, p := range row.Floats {
			s.float(into, p)
		}
		for _, p := range row.Histograms {
			s.histogram(into, p)
		}
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// row is where the values of a series are.
func (s *stitched) row(lset labels.Labels) *promql.Series {
	s.key = lset.Bytes(s.key[:0])
	at, known := s.at[string(s.key)]
	if !known {
		at = len(s.rows)
		s.at[string(s.key)] = at
		s.rows = append(s.rows, promql.Series{Metric: lset})
	}
	return &s.rows[at]
}

func (s *stitched) float(into *promql.Series, p promql.FPoint) {
	into.Floats = append(into.Floats, p)
	s.values++
}

func (s *stitched) histogram(into *promql.Series, p promql.HPoint) {
	into.Histograms = append(into.Histograms, promql.HPoint{T: p.T, H: p.H.Copy()})
	s.values += 1 + p.H.Size()/pointBytes
}

func (s *stitched) check() error {
	if s.values <= s.most {
		return nil
	}
	return &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d values of the cache and the hosts", s.values), Max: fmt.Sprintf("%d values", s.most),
		Way: "aggregate, name more labels in the selectors, or ask for fewer steps"}
}

// finish is all of it, in the order of labels.
func (s *stitched) finish() promql.Matrix {
	s.rows = slices.DeleteFunc(s.rows, func(row promql.Series) bool { return len(row.Floats)+len(row.Histograms) == 0 })
	sort.Sort(s.rows)
	return s.rows
}

// within are the values of a series between two times.
func within(s promql.Series, part cache.Span) promql.Series {
	from := sort.Search(len(s.Floats), func(i int) bool { return s.Floats[i].T >= part.From })
	end := sort.Search(len(s.Floats), func(i int) bool { return s.Floats[i].T > part.To })
	s.Floats = s.Floats[from:end]
	from = sort.Search(len(s.Histograms), func(i int) bool { return s.Histograms[i].T >= part.From })
	end = sort.Search(len(s.Histograms), func(i int) bool { return s.Histograms[i].T > part.To })
	s.Histograms = s.Histograms[from:end]
	return s
}
