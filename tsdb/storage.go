package tsdb

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
)

// MetricsStorage keeps metrics of one node and answers questions about them. All methods may be called at the same time.
type MetricsStorage interface {
	// StoreMetrics stores values. Where some are refused all others are stored, and the error is a *RefusedError; with
	// any other error nobody can say what was stored, and all may be sent again.
	StoreMetrics(ctx context.Context, metrics []Metric) error
	// QueryMetrics answers one Metric for each series and time, by series and then by time.
	QueryMetrics(ctx context.Context, query MetricsQuery) ([]Metric, error)
	// ConfigureRetention replaces the policy, for good and from now on. One that cannot be kept changes nothing.
	ConfigureRetention(ctx context.Context, policy RetentionPolicy) error
	// ConfigureDownsampling does the same for the tiers of windows.
	ConfigureDownsampling(ctx context.Context, policy DownsamplingPolicy) error
}

// Metric is one value of a series.
type Metric struct {
	Name string
	// Type and Unit describe all series with the name; empty where they are not known.
	Type MetricType
	Unit string
	// Labels are those besides the name. Ones with an empty value count as missing.
	Labels map[string]string
	// Source says what measured it; it is kept as the label «source», unless Labels has one.
	Source string
	// Value counts where there is no Histogram.
	Value     float64
	Histogram *histogram.FloatHistogram
	// Timestamp is kept in whole milliseconds.
	Timestamp time.Time
	// Start is since when a counter or histogram has been counting; zero where that is not known.
	Start time.Time
	// Exemplars are examples of what was counted, each with its own time in milliseconds. One that the shard does not
	// take, such as one that is too old, is left out without an error. Answers of QueryMetrics have none.
	Exemplars []exemplar.Exemplar
}

// MetricType says what the values of a metric mean.
type MetricType string

// The types, by their names in OpenMetrics.
const (
	TypeUnknown   MetricType = "unknown"
	TypeGauge     MetricType = "gauge"
	TypeCounter   MetricType = "counter"
	TypeHistogram MetricType = "histogram"
	TypeSummary   MetricType = "summary"
	TypeInfo      MetricType = "info"
	TypeStateSet  MetricType = "stateset"
)

// RefusedError says which metrics of a call were not stored; all others were.
type RefusedError struct {
	// Stored is how many were stored, Refused how many not, and ByReason how many for each reason.
	Stored, Refused int
	ByReason        map[string]int
	// First are the first few that were refused.
	First []RefusedMetric
}

// RefusedMetric is one metric that was not stored.
type RefusedMetric struct {
	// Index is its place in the call.
	Index          int
	Reason, Detail string
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%d of %d metrics were refused, the others are stored", e.Refused, e.Refused+e.Stored)
	if len(e.First) > 0 {
		first := e.First[0]
		text += fmt.Sprintf("; the first, number %d (%s): %s", first.Index, first.Reason, first.Detail)
	}
	return text
}
