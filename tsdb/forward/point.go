package forward

import (
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// Point is a sample that an engine has stored, with the labels of its series. Times are in milliseconds since 1970.
type Point struct {
	// Ref is the engine's reference of the series: one reference never means two series.
	Ref    engine.Ref
	Labels labels.Labels
	T      int64
	// ST is since when the series has been counting; 0 where that is not known.
	ST int64
	// V counts where there is no Histogram. A stale marker is one of its values.
	V         float64
	Histogram *histogram.FloatHistogram
}

// Example is an exemplar that an engine has stored, with the labels of its series.
type Example struct {
	Ref    engine.Ref
	Labels labels.Labels
	exemplar.Exemplar
}

// Stored is what an engine has taken at one time. A Set keeps nothing of it.
type Stored struct {
	Points   []Point
	Examples []Example
}
