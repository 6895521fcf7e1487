package azuremonitor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

const (
	subscription = "aaaaaaaa-0000-0000-0000-000000000001"
	vmID         = "0f0f0f0f-1111-2222-3333-444444444444"
)

// webID is the resource id of the machine that most tests measure, in the case in which it was made.
var webID = fakecloud.ResourceID(subscription, "RG-Web", "Web1")

// memory is a place for a state; failing makes it refuse.
type memory struct {
	state   []byte
	failing error
}

func (m *memory) Load(context.Context) ([]byte, error) { return m.state, nil }

func (m *memory) Save(_ context.Context, state []byte) error {
	if m.failing == nil {
		m.state = state
	}
	return m.failing
}

// shelf has a memory for each name.
type shelf map[string]*memory

func (s shelf) store(name string) collect.StateStore {
	if s[name] == nil {
		s[name] = &memory{}
	}
	return s[name]
}

// lab is a cloud with a collector.
type lab struct {
	t     testing.TB
	cloud *fakecloud.Cloud
	cfg   Config
	disk  shelf
	*Collector
}

// newLab has one machine, which has run for an hour.
func newLab(t testing.TB, alter ...func(*Config)) *lab {
	t.Helper()
	l := &lab{t: t, cloud: fakecloud.New(t), disk: shelf{}}
	l.cloud.Add(fakecloud.Machine{
		ID: webID, VMID: strings.ToUpper(vmID), Location: "West Europe", Size: "Standard_E8-4ds_v5", Power: "running", LUNs: []int{0, 3},
		Created: time.Now().Add(-time.Hour).Truncate(time.Minute), PowerAt: time.Now().Add(-30 * time.Minute), Zone: "2", Tags: map[string]string{"Team": "web", "secret": "x"},
	})
	l.cfg = Config{
		Subscriptions: []string{subscription}, Token: fakecloud.Credential{Cloud: l.cloud}, Transport: l.cloud.Transport(t),
		Stores: l.disk.store, Meter: collect.NewMeter(),
	}
	for _, f := range alter {
		f(&l.cfg)
	}
	l.restart()
	return l
}

// restart is what a process does that died.
func (l *lab) restart() {
	l.t.Helper()
	c, err := New(l.t.Context(), l.cfg)
	require.NoError(l.t, err)
	l.Collector = c
}

// try collects, with all that a runner does around it, and holds that the registry takes everything.
func (l *lab) try() ([]collect.Metric, error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 50*time.Second)
	defer cancel()
	metrics, err := l.CollectMetrics(ctx, tsdb.MetricsQuery{})
	admitted, refused := collect.NewRegistry().Admit(metrics, collect.Limits{})
	require.Empty(l.t, refused)
	require.NoError(l.t, l.Settle(l.t.Context(), true))
	return admitted, err
}

func (l *lab) collect() []collect.Metric {
	l.t.Helper()
	metrics, err := l.try()
	require.NoError(l.t, err)
	return metrics
}

// pass lets time go by.
func pass(d time.Duration) { <-time.After(d) }

// until collects each minute for a while.
func (l *lab) until(d time.Duration) (all []collect.Metric) {
	l.t.Helper()
	for range d / time.Minute {
		pass(time.Minute)
		all = append(all, l.collect()...)
	}
	return all
}

// sink keeps what a runner stores.
type sink struct{ metrics []collect.Metric }

func (s *sink) StoreMetrics(_ context.Context, metrics []collect.Metric) error {
	s.metrics = append(s.metrics, metrics...)
	return nil
}

// run has a runner collect for a while; what the collector counted of itself is by name and labels.
func (l *lab) run(d time.Duration) (metrics []collect.Metric, counts map[string]float64) {
	l.t.Helper()
	s := &sink{}
	runner := collect.NewRunner(collect.RunnerConfig{Sink: s, Registry: collect.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(l.t.Context())
	_, err := runner.Start(ctx, collect.Job{Name: "azuremonitor", Target: "test", Collector: l.Collector, Interval: time.Minute, Meter: l.cfg.Meter})
	require.NoError(l.t, err)
	pass(d)
	cancel()
	runner.Wait()
	counts = map[string]float64{}
	for _, m := range s.metrics {
		if !strings.HasPrefix(m.Name, "collector_") {
			metrics = append(metrics, m)
			continue
		}
		key := m.Name
		for _, label := range []string{"api", "code"} {
			if value := m.Labels[label]; value != "" {
				key += " " + value
			}
		}
		counts[key] = m.Value
	}
	return metrics, counts
}

// show writes metrics without the labels that all have, the last of each series and time.
func show(metrics []collect.Metric, names ...string) []string {
	lines := map[string]string{}
	for _, m := range metrics {
		if len(names) > 0 && !slices.Contains(names, m.Name) {
			continue
		}
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
			if !slices.Contains([]string{"cloud_provider", "cloud_account_id", "cloud_region", "vm_id", "vm_name", "source"}, name) {
				labels = append(labels, name+"="+m.Labels[name])
			}
		}
		key := m.Name + "{" + strings.Join(labels, ",") + "} @" + m.Timestamp.UTC().Format("15:04:05")
		value := fmt.Sprintf("%.12g", m.Value)
		if collect.IsStale(m.Value) {
			value = "ended"
		}
		lines[key] = value
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		all = append(all, key+" "+lines[key])
	}
	return all
}

// valuesOf are the values of one series at their times; markers are left out.
func valuesOf(metrics []collect.Metric, name string, labels ...string) map[time.Time]float64 {
	values := map[time.Time]float64{}
	for _, m := range metrics {
		if m.Name == name && has(m, labels...) && !collect.IsStale(m.Value) {
			values[m.Timestamp.UTC()] = m.Value
		}
	}
	return values
}

func has(m collect.Metric, labels ...string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if m.Labels[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}
