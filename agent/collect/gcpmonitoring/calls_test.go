package gcpmonitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// fleet puts machines with the default set into the cloud: 9 series each, with one disk, two of them twice for the load
// balancer.
func (w *world) fleet(machines int) {
	for i := range machines {
		w.add(fmt.Sprint(1000+i), fmt.Sprintf("vm-%d", i))
	}
	for _, r := range defaultRows() {
		unit := map[string]string{"vm_cpu_utilization_ratio": "10^2.%", "vm_cpu_seconds_total": "s{CPU}", "vm_uptime_seconds": "s"}[r.name]
		if def, _ := w.reg.Lookup(r.name); unit == "" && def.Unit == "bytes" {
			unit = "By"
		}
		w.fake.Metrics = append(w.fake.Metrics, fakecloud.Metric{
			MetricDescriptor: fakecloud.Describe(r.native, unit, r.kind, intType, 4*time.Minute),
			Labels: func(i fakecloud.Instance) []map[string]string {
				switch {
				case r.keep != nil:
					return one("instance_name", i.Name, "device_name", "boot", "device_type", "permanent", "storage_type", "pd-balanced")
				case r.fixed != nil:
					return []map[string]string{tl("instance_name", i.Name, "loadbalanced", "true"), tl("instance_name", i.Name, "loadbalanced", "false")}
				}
				return one("instance_name", i.Name)
			},
			Value: func(i fakecloud.Instance, _ map[string]string, end time.Time) *monitoringpb.TypedValue {
				return fakecloud.Int(fakecloud.Amount(i.ID, r.name, end))
			},
		})
	}
}

// TestTenThousandMetrics reads 10,000 series of a fleet, each as it is; in a short run a tenth of them.
func TestTenThousandMetrics(t *testing.T) {
	machines := 910 // 11 series of Google's each
	if testing.Short() {
		machines = 91
	}
	inWorld(t, func(w *world) {
		w.fleet(machines)
		w.open()
		w.wait(6 * time.Minute)
		w.whole()
		require.Greater(w.t, w.fake.Returned, 11*machines-10)
		w.wait(5 * time.Minute)
		metrics := w.whole()
		for _, r := range defaultRows() {
			require.Len(w.t, find(metrics, r.name), 5*machines, r.name)
		}
		id := fmt.Sprint(1000 + machines - 10)
		last := find(metrics, "vm_network_receive_bytes_total", "vm_id", id)
		require.Len(w.t, last, 5)
		for i := 1; i < len(last); i++ {
			grown := 2 * float64(fakecloud.Amount(id, "vm_network_receive_bytes_total", last[i].Timestamp))
			require.InDelta(w.t, grown, last[i].Value-last[i-1].Value, 0)
		}
		require.Empty(w.t, w.refused)
		require.Zero(w.t, w.count("collector_partial_responses_total"))
	})
}

// TestFewestCalls holds that a collection makes as many calls as the API's limits make necessary: one for each metric
// type, as a filter names exactly one, and one for each 100,000 points.
func TestFewestCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		w.fleet(50)
		w.cfg.PagePoints = maxPagePoints
		w.open()
		w.wait(6 * time.Minute)
		w.whole()
		before := w.fake.Calls["ListTimeSeries"]
		others := w.fake.Calls["instances"] + w.fake.Calls["machineTypes"] + w.fake.Calls["ListMetricDescriptors"]
		w.wait(time.Minute)
		w.whole()
		require.Equal(w.t, len(defaultRows()), w.fake.Calls["ListTimeSeries"]-before)
		require.Equal(w.t, others, w.fake.Calls["instances"]+w.fake.Calls["machineTypes"]+w.fake.Calls["ListMetricDescriptors"], "the inventory and the descriptors are fresh")
	})
}

// steady is a world in real time in which a fleet was collected five minutes ago, and the inventory is due.
func steady(b testing.TB, points int) *world {
	b.Helper()
	w := newWorld(b)
	w.fleet(910)
	w.cfg.PagePoints = points
	b.Cleanup(w.fake.Serve())
	state, err := json.Marshal(map[string]any{"version": 1, "since": time.Now().Add(-9 * time.Minute)})
	if err != nil {
		b.Fatal(err)
	}
	w.disk.states["windows"] = state
	w.open()
	b.Cleanup(w.close)
	if _, err := w.c.CollectMetrics(b.Context(), tsdb.MetricsQuery{Limit: 1}); err != nil { // reads descriptors and types
		b.Fatal(err)
	}
	return w
}

// turn collects the same five minutes anew and drops what came of it.
func (w *world) turn() []collect.Metric {
	w.c.projects[0].inventory.Expire()
	metrics, err := w.c.CollectMetrics(w.t.Context(), tsdb.MetricsQuery{})
	if err = errors.Join(err, w.c.Settle(w.t.Context(), false)); err != nil {
		w.t.Fatal(err)
	}
	return metrics
}

// TestBench prints what is asked for beside the fewest calls that the API allows: one for each page of each metric type.
func TestBench(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("a benchmark: set NOVACRON_BENCH=1")
	}
	for _, points := range []int{defaultPagePoints, maxPagePoints} {
		w := steady(t, points)
		w.fake.Calls, w.fake.Returned = map[string]int{}, 0
		w.turn()
		calls, least := 0, math.Ceil(910.0/instancesPerPage)
		for _, n := range w.fake.Calls {
			calls += n
		}
		for _, r := range defaultRows() {
			series := 910.0
			if r.fixed != nil {
				series *= 2 // for the load balancer
			}
			least += math.Ceil(series * 13 / maxPagePoints)
		}
		const thousands = 910 * 11 / 1000.0
		t.Logf("bench collect gcp_calls_per_1000_series_page_%d peer=limit ours=%.2f theirs=%.2f ratio=%.2f", points, float64(calls)/thousands, least/thousands, least/float64(calls))
	}
}

// BenchmarkCollect is the work of a collection of 10,000 series with 13 points each, the fake cloud's included, and the
// heap at its end.
func BenchmarkCollect(b *testing.B) {
	for _, points := range []int{defaultPagePoints, maxPagePoints} {
		b.Run(fmt.Sprintf("page=%d", points), func(b *testing.B) {
			w := steady(b, points)
			b.ReportAllocs()
			for b.Loop() {
				if len(w.turn()) < 10_000 {
					b.Fatal("too few metrics")
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys)/(1<<20), "heap-MiB")
		})
	}
}
