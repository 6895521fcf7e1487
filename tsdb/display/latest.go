package display

import (
	"cmp"
	"math"
	"slices"

	"github.com/novacron/novacron/tsdb/query"
)

// Latest are the last values: of each series for gauges; the greatest first, at most Top, for bars.
func Latest(a Answer, o Options) Answer {
	rows := slices.Clone(a.Rows)
	if o.View == Bar {
		slices.SortStableFunc(rows, func(a, b query.Row) int { return Descending(lastValue(a), lastValue(b)) })
		if o.Top > 0 && len(rows) > o.Top {
			rows = rows[:o.Top]
		}
	}
	a.Rows = rows
	return a
}

// Descending compares values for the order of bars: NaN goes last.
func Descending(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return cmp.Compare(boolInt(math.IsNaN(a)), boolInt(math.IsNaN(b)))
	}
	return cmp.Compare(b, a)
}

func boolInt(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func lastPoint(row query.Row) query.Point { return row.Points[len(row.Points)-1] }

func lastValue(row query.Row) float64 { return lastPoint(row).V }

// Extremes are the least and the greatest value of a series; NaN where there is none but NaN.
func Extremes(row query.Row) (least, most float64) {
	least, most = math.NaN(), math.NaN()
	for _, p := range row.Points {
		if p.H == nil && !math.IsNaN(p.V) {
			if !(least <= p.V) {
				least = p.V
			}
			if !(most >= p.V) {
				most = p.V
			}
		}
	}
	return least, most
}

// latestSheet has a row for each series.
func latestSheet(a Answer) sheet {
	columns, l := label([]column{
		{name: "series", kind: text}, {name: "value", kind: number}, {name: "time", kind: moment},
		{name: "min", kind: number}, {name: "max", kind: number},
	}, a.Rows)
	return sheet{columns, func(yield func([]cell) bool) {
		for _, row := range a.Rows {
			out, last := l.set(row.Labels), lastPoint(row)
			out[0].s, out[1].v, out[2].t = Name(row.Labels), last.V, last.T
			out[3].v, out[4].v = Extremes(row)
			if !yield(out) {
				return
			}
		}
	}}
}
