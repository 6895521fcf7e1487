package gcpmonitoring

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/api/metric"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

const testProject = "project-one"

// shelf has a state for each name, in memory; nothing is kept of the names that fail.
type shelf struct {
	states  map[string][]byte
	failing map[string]error
}

type slot struct {
	*shelf
	name string
}

func (s *shelf) store(name string) collect.StateStore { return slot{s, name} }

func (s slot) Load(context.Context) ([]byte, error) { return s.states[s.name], nil }

func (s slot) Save(_ context.Context, state []byte) error {
	if err := s.failing[s.name]; err != nil {
		return err
	}
	s.states[s.name] = state
	return nil
}

// world is a cloud, a collector that reads it and what was stored.
type world struct {
	t     testing.TB
	fake  *fakecloud.Cloud
	disk  *shelf
	cfg   Config
	c     *Collector
	meter *collect.Meter
	reg   *collect.Registry
	// stored are values by series and time; refused is what the registry did not take.
	stored  map[string]map[int64]float64
	refused []string
}

// inWorld runs a test in fake time, where nothing leaves memory.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.fake.Serve()
		defer stop()
		defer w.close()
		test(w)
	})
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, fake: fakecloud.New(testProject), disk: &shelf{map[string][]byte{}, map[string]error{}}, meter: collect.NewMeter(),
		reg: collect.NewRegistry(), stored: map[string]map[int64]float64{},
	}
	w.fake.MachineTypes["e2-small"] = fakecloud.MachineType{CPUs: 2, MemoryMB: 2048}
	w.cfg = Config{
		Projects: []string{testProject}, Stores: w.disk.store, Meter: w.meter, Dial: w.fake.Dial, Interval: time.Minute,
		MonitoringEndpoint: fakecloud.MonitoringEndpoint, ComputeEndpoint: fakecloud.ComputeEndpoint,
	}
	return w
}

// open begins a collector on the state that is kept.
func (w *world) open() {
	w.t.Helper()
	w.close()
	c, err := New(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.c = c
}

func (w *world) close() {
	if w.c != nil {
		if err := w.c.Close(); err != nil {
			w.t.Error(err)
		}
		w.c = nil
	}
}

// change changes the cloud while connections are open.
func (w *world) change(how func()) {
	w.fake.Lock()
	defer w.fake.Unlock()
	how()
}

// add puts a running machine with a disk into the cloud.
func (w *world) add(id, name string) {
	w.fake.Instances = append(w.fake.Instances, fakecloud.Instance{
		ID: id, Name: name, Zone: "europe-west4-a", MachineType: "e2-small", Status: "RUNNING", Start: time.Now().Add(-24 * time.Hour),
		Disks: []fakecloud.Disk{{Device: "boot", Source: name + "-disk", Interface: "SCSI", GiB: 10}},
	})
}

const (
	gaugeKind      = metric.MetricDescriptor_GAUGE
	deltaKind      = metric.MetricDescriptor_DELTA
	cumulativeKind = metric.MetricDescriptor_CUMULATIVE
	intType        = metric.MetricDescriptor_INT64
	doubleType     = metric.MetricDescriptor_DOUBLE
)

// metric puts a metric type with the same values for all machines and times into the cloud.
func (w *world) metric(typ, unit string, kind metric.MetricDescriptor_MetricKind, value float64, labels ...map[string]string) {
	m := fakecloud.Metric{
		MetricDescriptor: fakecloud.Describe(typ, unit, kind, doubleType, 4*time.Minute),
		Value: func(fakecloud.Instance, map[string]string, time.Time) *monitoringpb.TypedValue {
			return fakecloud.Double(value)
		},
	}
	if len(labels) > 0 {
		m.Labels = func(fakecloud.Instance) []map[string]string { return labels }
	}
	w.fake.Metrics = append(w.fake.Metrics, m)
}

// collect makes one collection and stores it.
func (w *world) collect() ([]collect.Metric, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 50*time.Second)
	defer cancel()
	metrics, err := w.c.CollectMetrics(ctx, tsdb.MetricsQuery{})
	w.store(metrics)
	if err := w.c.Settle(w.t.Context(), true); err != nil {
		w.t.Error(err)
	}
	return metrics, err
}

// whole makes a collection that must not fail.
func (w *world) whole() []collect.Metric {
	w.t.Helper()
	metrics, err := w.collect()
	if err != nil {
		w.t.Fatal(err)
	}
	return metrics
}

// store keeps what the registry takes, as the shard does.
func (w *world) store(metrics []collect.Metric) {
	admitted, refused := w.reg.Admit(metrics, collect.Limits{})
	for _, r := range refused {
		w.refused = append(w.refused, r.Detail)
	}
	for _, m := range admitted {
		key := collect.SeriesKey(m.Name, m.Labels, "")
		if w.stored[key] == nil {
			w.stored[key] = map[int64]float64{}
		}
		w.stored[key][m.Timestamp.UnixMilli()] = m.Value
	}
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.t.Context().Done():
	}
}

// find gives the metrics of a name with some labels, given in pairs, by time.
func find(metrics []collect.Metric, name string, labels ...string) (found []collect.Metric) {
	for _, m := range metrics {
		is := m.Name == name
		for i := 0; i+1 < len(labels); i += 2 {
			value := m.Labels[labels[i]]
			if labels[i] == "source" {
				value = m.Source
			}
			is = is && value == labels[i+1]
		}
		if is {
			found = append(found, m)
		}
	}
	return found
}

// count reads one of the meter's counters, summed over labels that are not given.
func (w *world) count(name string, labels ...string) (sum float64) {
	sink := &sinkOfMeter{}
	runner := collect.NewRunner(collect.RunnerConfig{Sink: sink, Registry: w.reg, Logger: w.c.cfg.Logger})
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	stop, err := runner.Start(ctx, collect.Job{Name: "meter", Target: "test", Collector: nothing{}, Interval: time.Second, Meter: w.meter})
	if err != nil {
		w.t.Fatal(err)
	}
	w.wait(2 * time.Second)
	stop()
	runner.Wait()
	for _, m := range find(sink.last, name, labels...) {
		sum += m.Value
	}
	return sum
}

type nothing struct{}

func (nothing) CollectMetrics(context.Context, tsdb.MetricsQuery) ([]collect.Metric, error) {
	return nil, nil
}

func (nothing) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	return nil, nil
}

type sinkOfMeter struct{ last []collect.Metric }

func (s *sinkOfMeter) StoreMetrics(_ context.Context, metrics []collect.Metric) error {
	s.last = metrics
	return nil
}

var (
	_            cloud.Stores = (&shelf{}).store
	errInjection              = errors.New("injected")
)
