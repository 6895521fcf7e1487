package query

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// Row is one series of an answer, for those who do not want PromQL's types. Points are in order of time.
type Row struct {
	Labels labels.Labels
	Points []Point
}

// NewRow is a row with labels by name.
func NewRow(names map[string]string, points []Point) Row {
	return Row{Labels: labels.FromMap(names), Points: points}
}

// Point is a value at a time in milliseconds; V counts where there is no H.
type Point struct {
	T int64
	V float64
	H *histogram.FloatHistogram
}

// Rows are the series of the answer. A scalar is one without labels; a string has none.
func (a Answer) Rows() []Row {
	switch value := a.Value.(type) {
	case promql.Scalar:
		return []Row{{Points: []Point{{T: value.T, V: value.V}}}}
	case promql.Vector:
		rows := make([]Row, len(value))
		for i, sample := range value {
			rows[i] = Row{sample.Metric, []Point{{sample.T, sample.F, sample.H}}}
		}
		return rows
	case promql.Matrix:
		rows := make([]Row, len(value))
		for i, series := range value {
			rows[i] = Row{series.Metric, joinPoints(series)}
		}
		return rows
	}
	return nil
}

// joinPoints brings floats and histograms, each in order of time, in one order.
func joinPoints(series promql.Series) []Point {
	points := make([]Point, 0, len(series.Floats)+len(series.Histograms))
	floats, histograms := series.Floats, series.Histograms
	for len(floats)+len(histograms) > 0 {
		if len(histograms) == 0 || len(floats) > 0 && floats[0].T < histograms[0].T {
			points = append(points, Point{T: floats[0].T, V: floats[0].F})
			floats = floats[1:]
			continue
		}
		points = append(points, Point{T: histograms[0].T, H: histograms[0].H})
		histograms = histograms[1:]
	}
	return points
}
