package shard

import (
	"time"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// Metrics are what the shard says of itself, for any exporter. Counters begin when it was opened. Blocks, log and
// damage are those of a shard with a folder.
func (s *Shard) Metrics() []tsdb.Metric {
	m := selfMetrics{at: s.options.Clock()}
	stored, failures, refused := s.counts.list()
	m.counter("novacron_shard_samples_total", "", float64(stored))
	m.counter("novacron_shard_append_failures_total", "", float64(failures))
	for _, reason := range limitReasons { // there from the first: a series that tells of a limit must not fall to it
		if refused == nil {
			refused = map[string]int64{}
		}
		refused[string(reason)] += 0
	}
	for reason, n := range refused {
		m.counter("novacron_shard_refused_total", "", float64(n), "reason", reason)
	}
	m.gauge("novacron_shard_cached_references", "", float64(s.refs.len()))
	for scope, limit := range s.seriesBounds() {
		m.gauge("novacron_shard_series_limit", "", float64(limit), "limit", scope)
	}
	if minT, maxT, ok := s.engine.Bounds(); ok {
		m.gauge("novacron_shard_oldest_sample_timestamp_seconds", "seconds", float64(minT)/1000)
		m.gauge("novacron_shard_newest_sample_timestamp_seconds", "seconds", float64(maxT)/1000)
	}
	if s.durable != nil {
		m.durable(s.durable.Stats())
	} else {
		m.gauge("novacron_shard_series", "", float64(s.engine.Cardinality(0).Series))
	}
	return m.list
}

// limitReasons are those for which series that are new are refused.
var limitReasons = []engine.Reason{engine.ReasonSeriesLimit, engine.ReasonMetricLimit, engine.ReasonJobLimit, engine.ReasonClusterLimit}

// selfMetrics collects metrics of one moment.
type selfMetrics struct {
	at   time.Time
	list []tsdb.Metric
}

func (m *selfMetrics) counter(name, unit string, value float64, pairs ...string) {
	m.add(tsdb.TypeCounter, name, unit, value, pairs)
}

func (m *selfMetrics) gauge(name, unit string, value float64, pairs ...string) {
	m.add(tsdb.TypeGauge, name, unit, value, pairs)
}

func (m *selfMetrics) add(kind tsdb.MetricType, name, unit string, value float64, pairs []string) {
	metric := tsdb.Metric{Name: name, Type: kind, Unit: unit, Value: value, Timestamp: m.at, Labels: make(map[string]string, len(pairs)/2)}
	for i := 0; i+1 < len(pairs); i += 2 {
		metric.Labels[pairs[i]] = pairs[i+1]
	}
	m.list = append(m.list, metric)
}

func (m *selfMetrics) durable(stats durable.Stats) {
	m.gauge("novacron_shard_series", "", float64(stats.Series))
	m.gauge("novacron_shard_head_bytes", "bytes", float64(stats.HeadBytes))
	m.counter("novacron_shard_log_syncs_total", "", float64(stats.LogSyncs))
	m.counter("novacron_shard_log_sync_seconds_total", "seconds", stats.LogSyncTime.Seconds())
	m.counter("novacron_shard_log_sync_failures_total", "", float64(stats.LogSyncFailures))
	m.counter("novacron_shard_log_failures_total", "", float64(stats.LogFailures))
	m.gauge("novacron_shard_log_bytes", "bytes", float64(stats.LogBytes))
	m.counter("novacron_shard_damage_total", "", float64(stats.Damaged))
	m.gauge("novacron_shard_unreadable_blocks", "", float64(len(stats.Unreadable)))
	var blocks, bytes, samples [3]float64
	for i := range stats.Blocks {
		b := &stats.Blocks[i]
		blocks[b.Tier]++
		bytes[b.Tier] += float64(b.Bytes)
		samples[b.Tier] += float64(b.Samples)
	}
	for _, tier := range []engine.Tier{engine.TierRaw, engine.TierFiveMinutes, engine.TierHour} {
		m.gauge("novacron_shard_blocks", "", blocks[tier], "tier", tier.String())
		m.gauge("novacron_shard_block_bytes", "bytes", bytes[tier], "tier", tier.String())
		m.gauge("novacron_shard_block_samples", "", samples[tier], "tier", tier.String())
	}
}
