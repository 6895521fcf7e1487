package agent

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/forwards"
	"github.com/novacron/novacron/cluster/telemetry"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
)

// ownMetrics tells what the agent and its shard say of themselves.
type ownMetrics struct {
	host, version string
	started       time.Time
	shard         func() []tsdb.Metric
}

var _ collect.MetricsCollector = (*ownMetrics)(nil)

func newOwnMetrics(host, version string, shard func() []tsdb.Metric) *ownMetrics {
	return &ownMetrics{host: host, version: version, started: time.Now(), shard: shard}
}

// CollectMetrics adds the label host to all.
func (o *ownMetrics) CollectMetrics(_ context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	selection, err := collect.Select(query)
	if err != nil {
		return nil, err
	}
	all := append(o.agent(time.Now()), o.shard()...)
	for i := range all {
		labels := maps.Clone(all[i].Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels["host"] = o.host
		all[i].Labels = labels
	}
	return selection.Keep(all), nil
}

// ownDefinitions are what the agent says of itself; the shard's metrics are described with it.
var ownDefinitions = []collect.MetricDefinition{
	{Name: "novacron_agent_info", Type: collect.TypeGauge, Help: "1; the label says which version runs.", Labels: []string{"version"}},
	{Name: "novacron_agent_start_time_seconds", Type: collect.TypeGauge, Unit: "seconds", Help: "When the agent was started, in seconds since 1970."},
	{Name: "novacron_agent_heap_bytes", Type: collect.TypeGauge, Unit: "bytes", Help: "Memory that the agent's heap uses."},
	{Name: "novacron_agent_goroutines", Type: collect.TypeGauge, Help: "Goroutines of the agent."},
}

// ListAvailableMetrics lists those of the agent.
func (o *ownMetrics) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	return slices.Concat(ownDefinitions, forwards.Definitions()), nil
}

// samples are all of it as they stand now, for those who scrape this agent.
func (o *ownMetrics) samples(describe func() map[string]shard.Description) func() []telemetry.Sample {
	return func() (all []telemetry.Sample) {
		metrics, err := o.CollectMetrics(context.Background(), tsdb.MetricsQuery{})
		if err != nil {
			return nil // there is no error without filters
		}
		described := describe()
		for _, m := range metrics {
			all = append(all, telemetry.Sample{
				Name: m.Name, Help: described[m.Name].Help, Counter: m.Type == tsdb.TypeCounter, Labels: m.Labels, Value: m.Value,
			})
		}
		return all
	}
}

func (o *ownMetrics) agent(now time.Time) []collect.Metric {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	values := []float64{1, float64(o.started.UnixMilli()) / 1000, float64(memory.HeapAlloc), float64(runtime.NumGoroutine())}
	all := make([]collect.Metric, len(ownDefinitions))
	for i, def := range ownDefinitions {
		all[i] = collect.Metric{Name: def.Name, Type: def.Type, Unit: def.Unit, Value: values[i], Timestamp: now}
	}
	all[0].Labels = map[string]string{"version": o.version}
	return all
}
