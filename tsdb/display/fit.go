package display

import (
	"fmt"
	"slices"
	"strings"

	"github.com/novacron/novacron/tsdb/query"
)

// views are those that each format has.
var views = map[Format][]View{
	Prometheus:   {TimeSeries, Table, Gauge, Bar},
	UPlot:        {TimeSeries, Bar, Heatmap, Histogram, States},
	ECharts:      {TimeSeries, Gauge, Bar, Heatmap, Histogram, Table, States},
	VegaLite:     {TimeSeries, Gauge, Bar, Heatmap, Histogram, States},
	Grafana:      {TimeSeries, Gauge, Bar, Heatmap, Histogram, Table, States},
	GrafanaMulti: {TimeSeries, Gauge, Bar, Heatmap, Histogram, States},
	CSV:          {TimeSeries, Gauge, Bar, Heatmap, Histogram, Table, States},
	CSVWide:      {TimeSeries},
	Parquet:      {TimeSeries, Gauge, Bar, Heatmap, Histogram, Table, States},
}

// fits refuses a view that a format has no form for.
func fits(f Format, v View) error {
	if slices.Contains(views[f], v) {
		return nil
	}
	var others []string
	for _, name := range Formats() {
		if slices.Contains(views[Format(name)], v) {
			others = append(others, name)
		}
	}
	return fmt.Errorf("%s has no view %s: it has %s; %s is in %s", f, v, names(views[f]), v, strings.Join(others, ", "))
}

func names(views []View) string {
	texts := make([]string, len(views))
	for i, v := range views {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

// choose is the view for those who name none. Formats that have histograms as such show them so.
func choose(a Answer, f Format) View {
	switch {
	case f == CSVWide || !a.Instant && (f == CSV || f == Parquet || f == Prometheus):
		return TimeSeries
	case a.Instant && (f == CSV || f == Parquet || f == Prometheus):
		return Table
	}
	return Picture(a)
}

// Picture is the view that draws an answer: lines, bars for one time, and heatmaps and histograms of native histograms.
func Picture(a Answer) View {
	switch {
	case native(a.Rows) && a.Instant:
		return Histogram
	case native(a.Rows):
		return Heatmap
	case a.Instant:
		return Bar
	}
	return TimeSeries
}

// native tells whether an answer is of native histograms.
func native(rows []query.Row) bool {
	return len(rows) > 0 && !slices.ContainsFunc(rows, func(row query.Row) bool {
		return !slices.ContainsFunc(row.Points, func(p query.Point) bool { return p.H != nil })
	})
}

// NumbersOnly refuses native histograms where a picture is of numbers.
func NumbersOnly(a Answer, v View) error {
	for _, row := range a.Rows {
		for _, p := range row.Points {
			if p.H != nil {
				return fmt.Errorf("series %.200s has native histograms, which view %s does not show: use heatmap or histogram, or ask for a number of them, such as histogram_quantile(0.95, …)", Name(row.Labels), v)
			}
		}
	}
	return nil
}
