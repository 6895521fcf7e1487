package display

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/query"
)

// Bucket is a part of a histogram: how many values, or how many per second, were above Lower and not above Upper. For
// buckets below zero it is the other way round at the bounds.
type Bucket struct{ Lower, Upper, Count float64 }

// String is a bucket as people write intervals.
func (b Bucket) String() string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	return "(" + number(b.Lower) + ", " + number(b.Upper) + "]"
}

// Spread is a histogram at a time in milliseconds.
type Spread struct {
	T       int64
	Buckets []Bucket
}

// Distribution is a series of histograms.
type Distribution struct {
	Labels  labels.Labels
	Spreads []Spread
}

// Distributions reads native histograms, and series with a label le, which are cumulative counts, in order of the rows.
func Distributions(a Answer) ([]Distribution, error) {
	if len(a.Rows) == 0 {
		return nil, nil
	}
	var all []Distribution
	classic := newClassic()
	for _, row := range a.Rows {
		le := row.Labels.Get(leLabel)
		switch {
		case native([]query.Row{row}):
			all = append(all, nativeDistribution(row))
		case le != "":
			if err := classic.add(row, le); err != nil {
				return nil, err
			}
		}
	}
	all = append(all, classic.distributions()...)
	if len(all) == 0 {
		return nil, errors.New("the answer has no histograms: ask for a native one, or for buckets with their label le, such as sum by (le) (rate(…_bucket[5m]))")
	}
	return all, nil
}

func nativeDistribution(row query.Row) Distribution {
	d := Distribution{Labels: row.Labels}
	for _, p := range row.Points {
		if p.H != nil {
			d.Spreads = append(d.Spreads, Spread{p.T, nativeBuckets(p.H)})
		}
	}
	return d
}

// nativeBuckets are those that are not empty, from the lowest.
func nativeBuckets(h *histogram.FloatHistogram) []Bucket {
	var list []Bucket
	for it := h.AllBucketIterator(); it.Next(); {
		if b := it.At(); b.Count != 0 {
			list = append(list, Bucket{b.Lower, b.Upper, b.Count})
		}
	}
	return list
}

// classic gathers series by what they have besides le.
type classic struct {
	order []string
	by    map[string]*classicOf
}

type classicOf struct {
	labels labels.Labels
	series []bound
}

// bound is one series of cumulative counts.
type bound struct {
	le     float64
	points []query.Point
}

func newClassic() *classic { return &classic{by: map[string]*classicOf{}} }

func (c *classic) add(row query.Row, text string) error {
	le, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(le) {
		return fmt.Errorf("series %.200s has le=%.40q: the bound of a bucket is a number or +Inf", Name(row.Labels), text)
	}
	rest := labels.NewBuilder(row.Labels).Del(leLabel).Labels()
	key := string(rest.Bytes(nil))
	if c.by[key] == nil {
		c.order, c.by[key] = append(c.order, key), &classicOf{labels: rest}
	}
	c.by[key].series = append(c.by[key].series, bound{le, row.Points})
	return nil
}

func (c *classic) distributions() []Distribution {
	var all []Distribution
	for _, key := range c.order {
		all = append(all, c.by[key].distribution())
	}
	return all
}

func (c *classicOf) distribution() Distribution {
	slices.SortStableFunc(c.series, func(a, b bound) int { return cmp.Compare(a.le, b.le) })
	var points []query.Point
	for _, s := range c.series {
		points = append(points, s.points...)
	}
	d := Distribution{Labels: c.labels}
	for _, t := range distinctTimes(points) {
		if list := c.at(t); len(list) > 0 {
			d.Spreads = append(d.Spreads, Spread{t, list})
		}
	}
	return d
}

// at are the buckets at a time, and moves on to the next one. A cumulative count below the one before, which rounding makes
// of rates, counts as the same, as in histogram_quantile.
func (c *classicOf) at(t int64) []Bucket {
	var list []Bucket
	lower, below := math.Inf(-1), 0.0
	for i := range c.series {
		s := &c.series[i]
		if len(s.points) == 0 || s.points[0].T != t {
			continue
		}
		count := s.points[0].V
		s.points = s.points[1:]
		if len(list) == 0 && s.le > 0 {
			lower = 0
		}
		if len(list) > 0 && list[len(list)-1].Upper == s.le { // "1" and "1.0"
			continue
		}
		list = append(list, Bucket{lower, s.le, max(count-below, 0)})
		lower, below = s.le, max(count, below)
	}
	return list
}

// cells are the buckets as a sheet, a row for each: of all times, or of the last of each series.
func cells(a Answer, last bool) (sheet, error) {
	all, err := Distributions(a)
	if err != nil {
		return sheet{}, err
	}
	var rows []query.Row
	for i, d := range all {
		if last {
			all[i].Spreads = d.Spreads[len(d.Spreads)-1:]
		}
		rows = append(rows, query.Row{Labels: d.Labels})
	}
	columns, l := label([]column{
		{name: "series", kind: text}, {name: "time", kind: moment}, {name: "bucket", kind: text},
		{name: "lower", kind: number}, {name: "upper", kind: number}, {name: "count", kind: number},
	}, rows)
	return sheet{columns, func(yield func([]cell) bool) {
		for _, d := range all {
			out, name := l.set(d.Labels), Name(d.Labels)
			for _, s := range d.Spreads {
				for _, b := range s.Buckets {
					out[0].s, out[1].t, out[2].s = name, s.T, b.String()
					out[3].v, out[4].v, out[5].v = b.Lower, b.Upper, b.Count
					if !yield(out) {
						return
					}
				}
			}
		}
	}}, nil
}
