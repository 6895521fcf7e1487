package collect

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Meter counts what a collector does: the metrics that begin with collector_. It is safe for concurrent use; a nil one
// counts nothing.
type Meter struct {
	mu       sync.Mutex
	up       float64
	success  time.Time
	duration time.Duration
	series   int
	// counts are counters by name, or by name and labels.
	counts map[meterKey]float64
}

type meterKey struct{ name, label1, value1, label2, value2 string }

// NewMeter starts at 0.
func NewMeter() *Meter {
	m := &Meter{counts: map[meterKey]float64{}}
	for _, name := range []string{"collector_samples_total", "collector_late_samples_total", "collector_partial_responses_total", "collector_unit_mismatch_total", "collector_skipped_total"} {
		m.counts[meterKey{name: name}] = 0 // a counter has to begin somewhere for rate() to see its first step
	}
	return m
}

func (m *Meter) add(key meterKey, n float64) {
	if m == nil || n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[key] += n
}

// Request counts a request and the code of its answer.
func (m *Meter) Request(api, code string) {
	m.add(meterKey{"collector_api_requests_total", "api", api, "code", code}, 1)
}

// Throttled counts a request that was turned away as too many.
func (m *Meter) Throttled(api string) {
	m.add(meterKey{name: "collector_api_throttled_total", label1: "api", value1: api}, 1)
}

// Billable counts what the source charges for.
func (m *Meter) Billable(api string, units int) {
	m.add(meterKey{name: "collector_billable_units_total", label1: "api", value1: api}, float64(units))
}

// Late counts samples that came or changed too late.
func (m *Meter) Late(n int) { m.add(meterKey{name: "collector_late_samples_total"}, float64(n)) }

// Partial counts an answer that was not whole.
func (m *Meter) Partial() { m.add(meterKey{name: "collector_partial_responses_total"}, 1) }

// UnitMismatch counts a series that was skipped since its unit or kind is not what was expected.
func (m *Meter) UnitMismatch() { m.add(meterKey{name: "collector_unit_mismatch_total"}, 1) }

func (m *Meter) skipped(n int) { m.add(meterKey{name: "collector_skipped_total"}, float64(n)) }

// Stored counts samples that were stored. The runner does it for what it collects.
func (m *Meter) Stored(n int) { m.add(meterKey{name: "collector_samples_total"}, float64(n)) }

// Refused counts samples that were not taken. The runner does it for what it collects.
func (m *Meter) Refused(byReason map[string]int) {
	for reason, n := range byReason {
		if reason == string(ReasonWrongType) || reason == string(ReasonWrongUnit) {
			m.add(meterKey{name: "collector_unit_mismatch_total"}, float64(n))
		}
		m.add(meterKey{name: "collector_refused_samples_total", label1: "reason", value1: reason}, float64(n))
	}
}

// collected notes how a collection went.
func (m *Meter) collected(ok bool, at time.Time, took time.Duration, series int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up, m.duration, m.series = 0, took, series
	if ok {
		m.up, m.success = 1, at
	}
}

// metrics are the present values, with the labels of the collector.
func (m *Meter) metrics(at time.Time, labels map[string]string) []Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []Metric{
		{Name: "collector_up", Value: m.up}, {Name: "collector_duration_seconds", Value: m.duration.Seconds()},
		{Name: "collector_series", Value: float64(m.series)},
	}
	if !m.success.IsZero() {
		all = append(all, Metric{Name: "collector_last_success_timestamp_seconds", Value: float64(m.success.UnixMilli()) / 1e3})
	}
	for i := range all {
		all[i].Labels = labels
	}
	for key, value := range m.counts {
		one := Metric{Name: key.name, Labels: maps.Clone(labels), Value: value}
		for label, value := range map[string]string{key.label1: key.value1, key.label2: key.value2} {
			if label != "" {
				one.Labels[label] = value
			}
		}
		all = append(all, one)
	}
	for i := range all {
		all[i].Source, all[i].Timestamp = string(Self), at
	}
	slices.SortFunc(all, func(a, b Metric) int { return compareSeries(a, b) })
	return all
}

func compareSeries(a, b Metric) int {
	return slices.Compare([]string{SeriesKey(a.Name, a.Labels, "")}, []string{SeriesKey(b.Name, b.Labels, "")})
}

// Value is a counter as it is now, summed over its labels.
func (m *Meter) Value(name string) (sum float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, n := range m.counts {
		if key.name == name {
			sum += n
		}
	}
	return sum
}
