package forwards

import (
	"maps"
	"slices"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/forward"
)

// about is one metric of a forward.
type about struct {
	collect.MetricDefinition
	value func(forward.Status) float64
}

func abouts() []about {
	gauge := func(name, unit, help string, value func(forward.Status) float64) about {
		return about{collect.MetricDefinition{Name: name, Type: collect.TypeGauge, Unit: unit, Help: help, Labels: []string{"forward"}}, value}
	}
	counter := func(name, unit, help string, value func(forward.Status) float64) about {
		return about{collect.MetricDefinition{Name: name, Type: collect.TypeCounter, Unit: unit, Help: help, Labels: []string{"forward"}}, value}
	}
	return []about{
		gauge("novacron_forward_pending_samples", "", "Samples that were stored and not delivered yet.", func(s forward.Status) float64 { return float64(s.Pending) }),
		gauge("novacron_forward_lag_seconds", "seconds", "How long the oldest sample that is not delivered has been waiting.", func(s forward.Status) float64 { return s.Lag.Seconds() }),
		gauge("novacron_forward_queue_bytes", "bytes", "What the queue takes of the disk.", func(s forward.Status) float64 { return float64(s.QueueBytes) }),
		gauge("novacron_forward_shards", "", "Requests that are sent at one time.", func(s forward.Status) float64 { return float64(s.Shards) }),
		gauge("novacron_forward_last_success_timestamp_seconds", "seconds", "When something was delivered last, in seconds since 1970; 0 before.", func(s forward.Status) float64 {
			if s.Success.IsZero() {
				return 0
			}
			return float64(s.Success.UnixMilli()) / 1000
		}),
		counter("novacron_forward_sent_samples_total", "", "Samples that were delivered.", func(s forward.Status) float64 { return float64(s.Sent) }),
		counter("novacron_forward_sent_exemplars_total", "", "Exemplars that were delivered.", func(s forward.Status) float64 { return float64(s.Exemplars) }),
		counter("novacron_forward_sent_bytes_total", "bytes", "Bytes of all requests, as they are packed.", func(s forward.Status) float64 { return float64(s.Bytes) }),
		counter("novacron_forward_requests_total", "", "Requests, with those that were sent again.", func(s forward.Status) float64 { return float64(s.Requests) }),
		counter("novacron_forward_retried_requests_total", "", "Requests that failed and are sent again.", func(s forward.Status) float64 { return float64(s.Retried) }),
		counter("novacron_forward_damaged_bytes_total", "bytes", "Bytes of the queue that could not be read back.", func(s forward.Status) float64 { return float64(s.Damaged) }),
	}
}

// dropped is the one metric that has another label.
var dropped = collect.MetricDefinition{
	Name: "novacron_forward_dropped_samples_total", Type: collect.TypeCounter, Help: "Samples that are never delivered, by reason.", Labels: []string{"forward", "reason"},
}

// reasons are there from the beginning, so that an alert sees the first of them.
var reasons = []string{forward.ReasonQueueFull, forward.ReasonQueueFailed, forward.ReasonTooOld, forward.ReasonRefused}

// Definitions are of what Metrics tells.
func Definitions() (all []collect.MetricDefinition) {
	for _, one := range abouts() {
		all = append(all, one.MetricDefinition)
	}
	return append(all, dropped)
}

// Metrics are what the forwards of this host say of themselves; nothing where there is no manager.
func (m *Manager) Metrics(now time.Time) (all []tsdb.Metric) {
	if m == nil || m.cfg.Set == nil {
		return nil
	}
	for _, s := range m.cfg.Set.Statuses() {
		for _, one := range abouts() {
			all = append(all, metricOf(one.MetricDefinition, one.value(s), now, map[string]string{"forward": s.Name}))
		}
		counts := map[string]int64{}
		for _, reason := range reasons {
			counts[reason] = 0
		}
		maps.Copy(counts, s.Dropped)
		for _, reason := range slices.Sorted(maps.Keys(counts)) {
			all = append(all, metricOf(dropped, float64(counts[reason]), now, map[string]string{"forward": s.Name, "reason": reason}))
		}
	}
	return all
}

func metricOf(def collect.MetricDefinition, value float64, now time.Time, labels map[string]string) tsdb.Metric {
	return tsdb.Metric{Name: def.Name, Type: def.Type, Unit: def.Unit, Value: value, Timestamp: now, Labels: labels}
}
