package display

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/query"
)

// Run is a span of time in which a series has one value. To is exclusive: the time of the next value, or a step after the
// last; where the step is not known, that of the last value.
type Run struct {
	Labels   labels.Labels
	From, To int64
	Value    float64
}

// Runs are the spans of all series, in order. All NaN are the same value; a gap ends a run.
func Runs(a Answer) []Run {
	var runs []Run
	for _, row := range a.Rows {
		for i, p := range row.Points {
			end := p.T + a.Step
			next := i < len(row.Points)-1 && (a.Step == 0 || row.Points[i+1].T <= end)
			if next {
				end = row.Points[i+1].T
			}
			if i > 0 && joins(row.Points[i-1], p, a.Step) {
				runs[len(runs)-1].To = end
				continue
			}
			runs = append(runs, Run{row.Labels, p.T, end, p.V})
		}
	}
	return runs
}

// joins tells whether a point goes on with the run of the one before.
func joins(before, p query.Point, step int64) bool {
	same := before.V == p.V || math.IsNaN(before.V) && math.IsNaN(p.V)
	return same && (step == 0 || p.T-before.T <= step)
}

func runsSheet(a Answer) sheet {
	columns, l := label([]column{
		{name: "series", kind: text}, {name: "from", kind: moment}, {name: "to", kind: moment}, {name: "value", kind: number},
	}, a.Rows)
	return sheet{columns, func(yield func([]cell) bool) {
		for _, run := range Runs(a) {
			out := l.set(run.Labels)
			out[0].s, out[1].t, out[2].t, out[3].v = Name(run.Labels), run.From, run.To, run.Value
			if !yield(out) {
				return
			}
		}
	}}
}

// changes are the states as columns: a time where any of them changes, with what each is from there on.
func changes(a Answer) columns {
	runs := Runs(a)
	var ends []query.Point
	for _, run := range runs {
		ends = append(ends, query.Point{T: run.From}, query.Point{T: run.To})
	}
	c := columns{times: distinctTimes(ends)}
	for _, row := range a.Rows {
		values := make([]float64, len(c.times))
		for i := range values {
			values[i] = gap
		}
		c.series = append(c.series, columnOf{row.Labels, values})
	}
	at, series := 0, -1
	var last labels.Labels
	for i, run := range runs {
		if i == 0 || !labels.Equal(run.Labels, last) {
			series, at, last = series+1, 0, run.Labels
		}
		for ; at < len(c.times) && (c.times[at] < run.To || run.From == run.To && c.times[at] == run.To); at++ {
			if c.times[at] >= run.From {
				c.series[series].values[at] = run.Value
			}
		}
	}
	return c
}
