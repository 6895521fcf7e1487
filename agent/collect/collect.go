// Package collect gathers metrics of machines, hosts and clouds under one vocabulary and hands them to the host's shard.
package collect

import (
	"context"
	"math"

	"github.com/novacron/novacron/tsdb"
)

// MetricsCollector reads one source of metrics.
type MetricsCollector interface {
	// CollectMetrics reads the metrics of the source that a query selects by name, label and time; the zero query
	// selects all that is due. What comes beside an error is good: it is a partial answer. It ends with the context's
	// deadline; it is not called again before it has returned.
	CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]Metric, error)
	// ListAvailableMetrics lists what the source can tell, by name.
	ListAvailableMetrics(ctx context.Context) ([]MetricDefinition, error)
}

// Settler is a collector that counts as told only what was stored.
type Settler interface {
	// Settle follows each CollectMetrics whose answer was stored, or was not. What was not is collected again.
	Settle(ctx context.Context, stored bool) error
}

// Sink takes what was collected: the host's shard. Storing the same metrics again changes nothing.
type Sink interface {
	// StoreMetrics stores all metrics but those that it can never take: then the error is a *tsdb.RefusedError.
	StoreMetrics(ctx context.Context, metrics []Metric) error
}

var _ Sink = tsdb.MetricsStorage(nil)

// Metric is one value of a series, as the shard takes it. Type and Unit may be left empty where those of the registry are
// meant. Metrics may share a map of labels: it is not changed once it is here. The time is that of the read, or the end
// of the period that the value is of.
type Metric = tsdb.Metric

// MetricType says what the values of a metric mean.
type MetricType = tsdb.MetricType

// The types of metrics that are collected.
const (
	TypeGauge     = tsdb.TypeGauge
	TypeCounter   = tsdb.TypeCounter
	TypeHistogram = tsdb.TypeHistogram
)

// staleBits are those of the NaN by which Prometheus marks the end of a series.
const staleBits = 0x7ff0000000000002

// Stale is the value that ends a series.
func Stale() float64 { return math.Float64frombits(staleBits) }

// IsStale tells a stale marker from a value, also from another NaN.
func IsStale(v float64) bool { return math.Float64bits(v) == staleBits }

// MetricDefinition says what a metric is: its entry in the registry.
type MetricDefinition struct {
	Name string     `json:"name"`
	Type MetricType `json:"type"`
	// Unit is the base unit, such as seconds, bytes or ratio; empty for plain counts.
	Unit string `json:"unit,omitempty"`
	Help string `json:"help"`
	// Labels are allowed besides those of the entity; one that ends with * allows all with that beginning.
	Labels []string `json:"labels,omitempty"`
	// Sources are what can measure it.
	Sources []Source `json:"sources,omitempty"`
	// OTel is the name in OpenTelemetry's conventions, NodeExporter that of Prometheus's node_exporter.
	OTel         string `json:"otel,omitempty"`
	NodeExporter string `json:"node_exporter,omitempty"`
	// Optional says that it is collected only where that is asked for.
	Optional bool `json:"optional,omitempty"`
	// Owner is whose metric it is; empty for ours.
	Owner string `json:"owner,omitempty"`
}

// Source is what measured a value: the values of the label «source».
type Source string

// The sources of canonical metrics. What a provider's inventory tells counts as the provider's monitoring.
const (
	CloudWatch   Source = "cloudwatch"
	CWAgent      Source = "cwagent"
	AzureMonitor Source = "azuremonitor"
	GCM          Source = "gcm"
	OpsAgent     Source = "opsagent"
	Libvirt      Source = "libvirt"
	QemuGA       Source = "qemu-ga"
	Host         Source = "host"
	Self         Source = "novacron"
)
