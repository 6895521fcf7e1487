package display

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// chart are the columns of a chart, the first of them x.
type chart struct {
	columns []chartColumn
	// categories are the names at x = 0, 1, …, where x are no numbers by themselves.
	categories []string
}

// chartColumn has values, or times in milliseconds.
type chartColumn struct {
	name   string
	labels labels.Labels
	values []float64
	times  []int64
}

// uplotColumns are a view as columns, and what x is.
func uplotColumns(a Answer, o Options) (c chart, x string, err error) {
	if o.View == Histogram {
		c, err = histogramChart(a)
		return c, "upper", err
	}
	if err := NumbersOnly(a, o.View); err != nil {
		return chart{}, "", err
	}
	switch o.View {
	case Bar:
		return barChart(Latest(a, o)), "index", nil
	case States:
		return lineChart(changes(a)), "time", nil
	}
	return lineChart(align(a.Rows, a.Step)), "time", nil
}

func lineChart(c columns) chart {
	out := chart{columns: []chartColumn{{name: "time", times: append([]int64{}, c.times...)}}}
	for _, s := range c.series {
		out.columns = append(out.columns, chartColumn{name: Name(s.labels), labels: s.labels, values: s.values})
	}
	return out
}

// barChart has a bar for each series.
func barChart(a Answer) chart {
	x, y := chartColumn{name: "index"}, chartColumn{name: "value"}
	var categories []string
	for i, row := range a.Rows {
		x.values, y.values = append(x.values, float64(i)), append(y.values, lastValue(row))
		categories = append(categories, Name(row.Labels))
	}
	return chart{[]chartColumn{x, y}, categories}
}

// histogramChart has the upper bounds of all buckets as x, and the counts of each series. The categories are the bounds as text,
// since JSON has no infinity.
func histogramChart(a Answer) (chart, error) {
	all, err := Distributions(a)
	if err != nil {
		return chart{}, err
	}
	var bounds []Bucket
	for _, d := range all {
		for _, b := range d.Spreads[len(d.Spreads)-1].Buckets {
			bounds = append(bounds, Bucket{Lower: b.Lower, Upper: b.Upper})
		}
	}
	slices.SortFunc(bounds, func(a, b Bucket) int { return cmp.Or(cmp.Compare(a.Upper, b.Upper), cmp.Compare(a.Lower, b.Lower)) })
	bounds = slices.Compact(bounds)
	c := chart{columns: []chartColumn{{name: "upper"}}}
	for _, b := range bounds {
		c.columns[0].values = append(c.columns[0].values, b.Upper)
		c.categories = append(c.categories, b.String())
	}
	for _, d := range all {
		values := make([]float64, len(bounds))
		for i := range values {
			values[i] = gap
		}
		for _, b := range d.Spreads[len(d.Spreads)-1].Buckets {
			values[slices.Index(bounds, Bucket{Lower: b.Lower, Upper: b.Upper})] = b.Count
		}
		c.columns = append(c.columns, chartColumn{name: Name(d.Labels), labels: d.Labels, values: values})
	}
	return c, nil
}
