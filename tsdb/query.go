// Package tsdb is the contract of the metric shard: what it takes and answers, and what it keeps for how long.
package tsdb

import "time"

// MetricsQuery asks for metrics without PromQL; tsdb/query compiles it to PromQL, which says what each field means.
type MetricsQuery struct {
	// MetricNames are the metrics to read, one at least. Several are answered side by side, each with its name.
	MetricNames []string
	TimeRange   TimeRange
	// Filters have all to hold.
	Filters []MetricFilter
	// Aggregation is empty for the values as they are.
	Aggregation AggregationFunction
	// GroupBy are the labels that the answer keeps; without them an aggregation leaves one series per metric.
	GroupBy []string
	// Limit is the most series at one time, 0 for all.
	Limit int
}

// TimeRange is from Start to End by Step, both inclusive. Without a Step, or where Start is zero or End, it is End alone.
type TimeRange struct {
	Start, End time.Time
	Step       time.Duration
}

// MetricFilter keeps the series whose label compares to a value.
type MetricFilter struct {
	Label    string         `json:"label"`
	Operator FilterOperator `json:"operator"`
	Value    string         `json:"value"`
}

// FilterOperator compares a label to a value.
type FilterOperator string

// The operators. Patterns are RE2 and have to match the whole value.
const (
	FilterEqual      FilterOperator = "="
	FilterNotEqual   FilterOperator = "!="
	FilterMatches    FilterOperator = "=~"
	FilterNotMatches FilterOperator = "!~"
)

// AggregationFunction is a function across series, a function over time, or the first of the second, as in «sum»,
// «rate» or «sum(rate)».
//
// Across series: sum, avg, min, max, count, stddev, stdvar, group, and p0 to p100 for percentiles. Over time, for each
// point over the step before it and at least five minutes: rate, increase, irate, delta, changes, resets,
// avg_over_time, min_over_time, max_over_time, sum_over_time, count_over_time, last_over_time, stddev_over_time.
type AggregationFunction string
