package display

import (
	"iter"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/promjson"
	"github.com/novacron/novacron/tsdb/query"
)

// kind is what a column of a sheet holds.
type kind int

const (
	text kind = iota
	number
	moment // milliseconds since 1970
)

// column heads one of a sheet.
type column struct {
	name string
	kind kind
	// labels are those of the series, where the column is one.
	labels labels.Labels
	// rare columns are often empty: Parquet has no value there.
	rare bool
}

// cell is a place of a sheet: the field that its column's kind says.
type cell struct {
	s string
	v float64
	t int64
}

// sheet is a view as rows of typed columns.
type sheet struct {
	columns []column
	// rows yields them one by one; the slice is used again for the next.
	rows iter.Seq[[]cell]
}

// labelled is a sheet whose last columns are the labels of series.
type labelled struct {
	names []string
	row   []cell
}

// label adds columns for labels to those given.
func label(fixed []column, rows []query.Row) ([]column, *labelled) {
	l := &labelled{names: labelNames(rows), row: make([]cell, len(fixed))}
	taken := make([]string, len(fixed))
	for i, c := range fixed {
		taken[i] = c.name
	}
	for _, name := range columnNames(taken, l.names) {
		fixed = append(fixed, column{name: name, kind: text, rare: true})
	}
	l.row = append(l.row, make([]cell, len(l.names))...)
	return fixed, l
}

// set fills the columns of the labels, and gives the row for the others.
func (l *labelled) set(of labels.Labels) []cell {
	rest := l.row[len(l.row)-len(l.names):]
	for i, name := range l.names {
		rest[i] = cell{s: of.Get(name)}
	}
	return l.row
}

// long has a row for each value. Histograms have a column where there are any: Prometheus's JSON of them.
func long(a Answer) sheet {
	fixed := []column{{name: "time", kind: moment}, {name: "value", kind: number, rare: true}}
	histograms := hasHistograms(a.Rows)
	if histograms {
		fixed = append(fixed, column{name: "histogram", kind: text, rare: true})
	}
	columns, l := label(fixed, a.Rows)
	return sheet{columns, func(yield func([]cell) bool) {
		for _, row := range a.Rows {
			out := l.set(row.Labels)
			for _, p := range row.Points {
				if stale(p) {
					continue
				}
				out[0].t, out[1].v = p.T, p.V
				if histograms {
					out[2].s = ""
				}
				if p.H != nil {
					out[1].v, out[2].s = gap, string(promjson.AppendHistogram(nil, p.H))
				}
				if !yield(out) {
					return
				}
			}
		}
	}}
}

// lines has a row for each value and for each gap, with the name of the series.
func lines(a Answer) sheet {
	columns, l := label([]column{{name: "series", kind: text}, {name: "time", kind: moment}, {name: "value", kind: number}}, a.Rows)
	return sheet{columns, func(yield func([]cell) bool) {
		for _, row := range marked(a).Rows {
			out := l.set(row.Labels)
			out[0].s = Name(row.Labels)
			for _, p := range row.Points {
				if out[1].t, out[2].v = p.T, p.V; !yield(out) {
					return
				}
			}
		}
	}}
}

func hasHistograms(rows []query.Row) bool {
	for _, row := range rows {
		for _, p := range row.Points {
			if p.H != nil {
				return true
			}
		}
	}
	return false
}

// wide has a row for each time, and a column for each series.
func wide(a Answer) sheet {
	c := align(a.Rows, a.Step)
	columns := []column{{name: "time", kind: moment}}
	taken := map[string]bool{"time": true}
	for _, s := range c.series {
		name := Name(s.labels)
		for taken[name] {
			name += "'" // a series called time, and labels that differ in what Name cannot show
		}
		taken[name] = true
		columns = append(columns, column{name: name, kind: number, labels: s.labels, rare: true})
	}
	row := make([]cell, len(columns))
	return sheet{columns, func(yield func([]cell) bool) {
		for i, t := range c.times {
			row[0].t = t
			for j, s := range c.series {
				row[j+1].v = s.values[i]
			}
			if !yield(row) {
				return
			}
		}
	}}
}

// sheetOf is a view as a sheet. Time series are wide where the format draws lines by columns.
func sheetOf(a Answer, o Options) (sheet, error) {
	switch o.View {
	case Table:
		return long(a), nil
	case TimeSeries:
		if o.Format == CSV || o.Format == Parquet {
			return long(a), nil
		}
		if err := NumbersOnly(a, o.View); err != nil {
			return sheet{}, err
		}
		if o.Format == VegaLite {
			return lines(a), nil
		}
		return wide(a), nil
	case Heatmap:
		return cells(a, false)
	case Histogram:
		return cells(a, true)
	}
	if err := NumbersOnly(a, o.View); err != nil {
		return sheet{}, err
	}
	if o.View == States {
		return runsSheet(a), nil
	}
	return latestSheet(Latest(a, o)), nil
}
