package federate

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"

	"github.com/novacron/novacron/tsdb/query/fast"
)

// First is which values a part looks for: those of the first few series of each group, at each step. NaN comes last.
type First struct {
	// Few is how many; Lowest says that they are the lowest values, not the highest.
	Few    int
	Lowest bool
	// Labels are what is grouped by, or all others are where Without is set.
	Labels  []string
	Without bool
	// Of is the expression that has the values.
	Of string
}

// ranks asks for them.
func (f First) ranks() *Ranks {
	return &Ranks{Labels: f.Labels, Without: f.Without, First: f.Few, Lowest: f.Lowest}
}

// better tells whether a value comes before another one.
func better(v, other float64, lowest bool) bool {
	return lowest && v < other || !lowest && v > other || math.IsNaN(other) && !math.IsNaN(v)
}

// lastOf is the last of the first few values, of which there are so many at least. It changes their order.
func lastOf(values []float64, few int, lowest bool) float64 {
	numbers := nansFirst(values)
	if few > len(values)-numbers {
		return math.NaN()
	}
	at := len(values) - few
	if lowest {
		at = numbers + few - 1
	}
	place(values[numbers:], at-numbers)
	return values[at]
}

// out tells whether a value of a step is out of bounds.
func (b *RankBounds) out(step int, v float64) bool { return below(v, b.Low[step]) || v > b.High[step] }

// none tells whether a step has no bounds.
func (b *RankBounds) none(step int) bool {
	return math.IsNaN(b.Low[step]) && math.IsInf(b.High[step], 1)
}

// firsts leaves those values in rows that are in bounds and among the first of their group and step. Of equal ones at the
// end those stay whose rows come first, so that there are never more. Rows with histograms stay as they are.
func (r *Ranks) firsts(rows []Row, steps int) []Row {
	groups, of := fast.NewGroups(r.Labels, r.Without), [][]int(nil)
	for i, row := range rows {
		if row.Histograms != nil {
			return rows
		}
		at := groups.Of(row.Labels)
		if at == len(of) {
			of = append(of, nil)
		}
		of[at] = append(of[at], i)
	}
	bounds := r.byLabels()
	for i, lset := range groups.All() {
		r.cut(rows, of[i], bounds[string(lset.Bytes(nil))], steps)
	}
	return slices.DeleteFunc(rows, func(row Row) bool { return !slices.ContainsFunc(row.Values, there) })
}

func there(v float64) bool { return !value.IsStaleNaN(v) }

// cut does it for the rows of one group.
func (r *Ranks) cut(rows []Row, of []int, b *RankBounds, steps int) {
	counts := make([]int, steps)
	for _, i := range of {
		values := rows[i].Values
		for step, v := range values {
			switch {
			case !there(v):
			case b != nil && b.out(step, v):
				values[step] = absent
			default:
				counts[step]++
			}
		}
	}
	var column []float64
	for step, n := range counts {
		if n <= r.First {
			continue
		}
		column = column[:0]
		for _, i := range of {
			if v := rows[i].Values[step]; there(v) {
				column = append(column, v)
			}
		}
		r.cutStep(rows, of, step, column)
	}
}

// cutStep leaves the first of more values than are looked for.
func (r *Ranks) cutStep(rows []Row, of []int, step int, values []float64) {
	last, equals := lastOf(values, r.First, r.Lowest), r.First
	for _, v := range values {
		if better(v, last, r.Lowest) {
			equals--
		}
	}
	for _, i := range of {
		v := &rows[i].Values[step]
		switch {
		case !there(*v) || better(*v, last, r.Lowest):
		case better(last, *v, r.Lowest) || equals == 0:
			*v = absent
		default:
			equals--
		}
	}
}
