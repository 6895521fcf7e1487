// Package display turns answers of PromQL into what charts, dashboards, spreadsheets and notebooks read: columns of uPlot,
// datasets of ECharts, rows of Vega-Lite, data frames of Grafana, CSV, Parquet, and the JSON of Prometheus.
//
// A gap, in columns that share their times, is Prometheus's stale marker; everything that has no number there writes null
// or nothing. NaN and infinities are values: formats that cannot have them write null, and README.md says which do.
package display

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/value"

	"github.com/novacron/novacron/tsdb/query"
)

// Answer is what is shown.
type Answer struct {
	Rows []query.Row
	// Instant tells that a question was for one time. An answer to it with several values of a series, such as that of up[5m], is
	// shown as one over time.
	Instant bool
	// Step is the time from one point to the next in milliseconds; a longer one is a gap. 0: not known, nothing is a gap.
	Step int64
	// Unit is that of the values, such as "bytes" or "bytes/s"; empty: none, or not known.
	Unit string
	// Warnings and Infos are those of the query. Formats with a place for them have them.
	Warnings, Infos []string
}

// View is what kind of picture the answer is for.
type View string

// The views.
const (
	// Auto is the view that fits the answer and the format.
	Auto       View = "auto"
	TimeSeries View = "timeseries"
	// Gauge is the last value of each series.
	Gauge View = "gauge"
	// Bar is Gauge in order of the values, the greatest first.
	Bar View = "bar"
	// Heatmap is how values are spread over buckets, over time.
	Heatmap View = "heatmap"
	// Histogram is the same at the last time.
	Histogram View = "histogram"
	// Table is every value with its time and labels.
	Table View = "table"
	// States are the spans of time in which a series has the same value.
	States View = "state"
)

// Views are all that can be asked for.
func Views() []string {
	return []string{"auto", "timeseries", "gauge", "bar", "heatmap", "histogram", "table", "state"}
}

// Format is how the answer is written.
type Format string

// The formats.
const (
	Prometheus Format = "prometheus"
	UPlot      Format = "uplot"
	ECharts    Format = "echarts"
	VegaLite   Format = "vega-lite"
	// Grafana has all series in one data frame, GrafanaMulti each in its own.
	Grafana      Format = "grafana"
	GrafanaMulti Format = "grafana-multi"
	// CSV has a line for each value, CSVWide one for each time.
	CSV     Format = "csv"
	CSVWide Format = "csv-wide"
	Parquet Format = "parquet"
)

// Formats are all of them.
func Formats() []string {
	return []string{"prometheus", "uplot", "echarts", "vega-lite", "grafana", "grafana-multi", "csv", "csv-wide", "parquet"}
}

// ContentType is the media type of a format.
func (f Format) ContentType() string {
	switch f {
	case CSV, CSVWide:
		return "text/csv; charset=utf-8"
	case Parquet:
		return "application/vnd.apache.parquet"
	case VegaLite:
		return "application/vnd.vegalite.v5+json"
	}
	return "application/json"
}

// Options say how.
type Options struct {
	Format Format
	View   View // empty is Auto
	// MaxPoints is the most times that a line or a heatmap has, such as the width of a chart in pixels; 0 for all. At least 4.
	MaxPoints int
	// Top is the most bars, 0 for all.
	Top int
}

// leastPoints are the first, the last, and a bucket's minimum and maximum.
const leastPoints = 4

// Check refuses options that mean nothing, before anything is evaluated.
func (o Options) Check() error {
	switch {
	case !slices.Contains(Formats(), string(o.Format)):
		return fmt.Errorf("format: %.40q is none: use %s", o.Format, strings.Join(Formats(), ", "))
	case o.View != "" && !slices.Contains(Views(), string(o.View)):
		return fmt.Errorf("view: %.40q is none: use %s", o.View, strings.Join(Views(), ", "))
	case o.MaxPoints != 0 && o.MaxPoints < leastPoints:
		return fmt.Errorf("max_points: %d: allowed are 0 (all) and %d or more", o.MaxPoints, leastPoints)
	case o.Top < 0:
		return fmt.Errorf("top: %d: allowed are 0 (all) and more", o.Top)
	case o.View == "" || o.View == Auto:
		return nil
	}
	return fits(o.Format, o.View)
}

// Render writes an answer. It fails before the first byte where the format or the view does not fit; a later failure is
// that of the writer.
func Render(w io.Writer, a Answer, o Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	a = Whole(a)
	if o.View == "" || o.View == Auto {
		o.View = choose(a, o.Format)
	}
	render := renderers[o.Format]
	buffered := bufio.NewWriterSize(w, 32<<10)
	if err := render(buffered, reduce(a, o), o); err != nil {
		return err
	}
	return buffered.Flush()
}

// renderer writes an answer, which is reduced already, in a view that fits.
type renderer func(w *bufio.Writer, a Answer, o Options) error

var renderers = map[Format]renderer{
	Prometheus: prometheus, UPlot: uplot, ECharts: echarts, VegaLite: vegaLite, Grafana: grafana, GrafanaMulti: grafana,
	CSV: csvText, CSVWide: csvText, Parquet: parquetFile,
}

// gap is the value of a place without one.
var gap = query.Absent

// isGap tells a gap from NaN.
func isGap(v float64) bool { return value.IsStaleNaN(v) }

// finite tells whether JSON has a number for a value.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Whole leaves out stale markers, which are no values, and series without any. It tells a range of samples, which PromQL
// answers at one time, too, from one value of each series.
func Whole(a Answer) Answer {
	rows := make([]query.Row, 0, len(a.Rows))
	for _, row := range a.Rows {
		if slices.ContainsFunc(row.Points, stale) {
			row.Points = slices.DeleteFunc(slices.Clone(row.Points), stale)
		}
		if len(row.Points) > 0 {
			rows = append(rows, row)
		}
	}
	a.Rows = rows
	a.Instant = a.Instant && !slices.ContainsFunc(rows, func(row query.Row) bool { return len(row.Points) > 1 })
	return a
}

// stale tells a marker. That of a histogram is its sum.
func stale(p query.Point) bool {
	if p.H != nil {
		return isGap(p.H.Sum)
	}
	return isGap(p.V)
}
