package gcpmonitoring

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// markers counts the stale markers of a metric.
func markers(metrics []collect.Metric, name string) (n int) {
	for _, m := range find(metrics, name) {
		if collect.IsStale(m.Value) {
			n++
		}
	}
	return n
}

// TestDeletedMachine ends every series of a machine once, after its last periods have counted.
func TestDeletedMachine(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.add("12", "two")
		w.traffic()
		w.metric(instancePrefix+"cpu/utilization", "10^2.%", gaugeKind, 0.5, tl("instance_name", "one"))
		begin := time.Now()
		w.open()
		w.wait(10 * time.Minute)
		w.whole()
		stopped := time.Now()
		w.change(func() {
			w.fake.Instances[0].Stop, w.fake.Instances[0].Status, w.fake.Instances[0].Hidden = stopped, "TERMINATED", true
		})
		ended := map[string]int{}
		for range 15 {
			w.wait(3 * time.Minute)
			for _, m := range w.whole() {
				if collect.IsStale(m.Value) {
					require.Equal(w.t, "11", m.Labels["vm_id"], m.Name)
					admitted, _ := w.reg.Admit([]collect.Metric{m}, collect.Limits{})
					ended[collect.SeriesKey(m.Name, admitted[0].Labels, "")]++
				}
			}
		}
		require.Equal(w.t, stopped.Truncate(time.Minute), w.holds("11", begin).Truncate(time.Minute), "its last period counts")
		series := 0
		for key := range w.stored {
			if strings.Contains(key, `vm_id="11"`) {
				series++
				require.Equal(w.t, 1, ended[key], key)
			}
		}
		require.Greater(w.t, series, 15)
		require.Equal(w.t, begin.Add(51*time.Minute), w.holds("12", begin), "the other goes on")
	})
}

// TestStoppedMachine ends what a machine does and keeps what it is.
func TestStoppedMachine(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.open()
		w.wait(10 * time.Minute)
		w.whole()
		w.change(func() { w.fake.Instances[0].Stop, w.fake.Instances[0].Status = time.Now(), "TERMINATED" })
		ends := 0
		for range 8 {
			w.wait(3 * time.Minute)
			metrics := w.whole()
			ends += markers(metrics, "vm_network_receive_bytes_total")
			require.Zero(w.t, markers(metrics, "vm_state")+markers(metrics, "vm_info")+markers(metrics, "vm_disk_capacity_bytes"))
		}
		require.Equal(w.t, 1, ends)
	})
}

// TestQuietPeriods repeats a counter while its machine runs, so that rate() has samples, and makes no gauge up.
func TestQuietPeriods(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.metric(instancePrefix+"cpu/utilization", "10^2.%", gaugeKind, 0.5)
		value, until := w.fake.Metrics[0].Value, time.Now().Add(10*time.Minute)
		w.fake.Metrics[0].Value = func(i fakecloud.Instance, labels map[string]string, end time.Time) *monitoringpb.TypedValue {
			if end.After(until) {
				return nil
			}
			return value(i, labels, end)
		}
		w.fake.Metrics[1].Value = func(_ fakecloud.Instance, _ map[string]string, end time.Time) *monitoringpb.TypedValue {
			if end.After(until) {
				return nil
			}
			return fakecloud.Double(0.5)
		}
		w.open()
		w.wait(12 * time.Minute)
		w.whole()
		w.wait(28 * time.Minute)
		w.whole()
		w.wait(5 * time.Minute)
		metrics := w.whole()
		received := find(metrics, "vm_network_receive_bytes_total")
		require.Len(w.t, received, 5)
		for _, m := range received {
			require.InDelta(w.t, received[0].Value, m.Value, 0)
		}
		require.Equal(w.t, time.Now().Add(-4*time.Minute).UTC(), received[4].Timestamp)
		require.Len(w.t, find(metrics, "vm_cpu_utilization_ratio"), markers(metrics, "vm_cpu_utilization_ratio"), "ended and not made up")
	})
}

// TestDetachedDisk ends the counters of a disk that is no longer there, though its machine runs.
func TestDetachedDisk(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		detached := time.Now().Add(time.Hour)
		w.fake.Metrics = append(w.fake.Metrics, fakecloud.Metric{
			MetricDescriptor: fakecloud.Describe(instancePrefix+"disk/read_bytes_count", "By", deltaKind, intType, 4*time.Minute),
			Labels:           func(fakecloud.Instance) []map[string]string { return one("device_name", "boot") },
			Value: func(_ fakecloud.Instance, _ map[string]string, end time.Time) *monitoringpb.TypedValue {
				if end.After(detached) {
					return nil
				}
				return fakecloud.Int(1)
			},
		})
		w.open()
		ends := 0
		for range 30 {
			w.wait(3 * time.Minute)
			if time.Now().After(detached) {
				w.change(func() { w.fake.Instances[0].Disks = nil })
			}
			ends += markers(w.whole(), "vm_disk_read_bytes_total")
		}
		require.Equal(w.t, 1, ends)
		for _, points := range w.stored {
			require.NotEmpty(w.t, points)
		}
		points := w.stored[collect.SeriesKey("vm_disk_read_bytes_total", tl("cloud_provider", "gcp", "cloud_account_id", testProject, "cloud_region", "europe-west4", "vm_id", "11", "vm_name", "one", "device", "boot", "source", "gcm"), "")]
		require.InDelta(w.t, 60, points[detached.UnixMilli()], 0)
	})
}

// TestNewMachine has metrics of a machine that the inventory was read too early for.
func TestNewMachine(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		begin := time.Now()
		w.open()
		w.wait(2 * time.Minute)
		w.whole()
		w.change(func() { w.add("12", "two") })
		w.wait(2 * time.Minute)
		lists := w.fake.Calls["instances"]
		require.Len(w.t, find(w.whole(), "vm_state", "vm_name", "two"), 10)
		require.Equal(w.t, lists+1, w.fake.Calls["instances"])
		w.change(func() { w.fake.Instances[1].Hidden, w.fake.Instances[1].ID = true, "13" })
		for range 5 {
			w.wait(time.Minute)
			w.whole()
		}
		require.LessOrEqual(w.t, w.fake.Calls["instances"], lists+3, "one that is not in it is looked for once")
		w.wait(5 * time.Minute)
		w.whole()
		w.holds("11", begin)
		w.holds("13", begin)
	})
}

// TestCatchingUp reads half a day that was missed in slices of about the samples that a collection may have.
func TestCatchingUp(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, id := range []string{"11", "12", "13", "14"} {
			w.add(id, "vm-"+id)
		}
		w.traffic()
		w.cfg.MaxSamples = 5000
		begin := time.Now()
		w.open()
		w.wait(10 * time.Minute)
		w.whole()
		w.wait(12 * time.Hour)
		turns := 0
		for ; time.Since(w.c.Through()) > 10*time.Minute; turns++ {
			require.Less(w.t, len(w.whole()), 6000)
			w.wait(time.Minute)
			require.Less(w.t, turns, 20)
		}
		require.Greater(w.t, turns, 3)
		for _, id := range []string{"11", "14"} {
			require.Equal(w.t, w.c.Through().Local(), w.holds(id, begin))
		}
	})
}

// TestTooOld tells that what was missed for longer than is read back is left out.
func TestTooOld(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.cfg.Back = time.Hour
		w.open()
		w.wait(10 * time.Minute)
		w.whole()
		w.wait(3 * time.Hour)
		_, err := w.collect()
		require.ErrorContains(w.t, err, "what is older than 1h0m0s was not read in time and is left out")
		w.wait(5 * time.Minute)
		w.whole()
		require.InDelta(w.t, 1, w.count("collector_partial_responses_total"), 0)
	})
}

// TestBudget stops what is charged for at the day's bound, keeps what is free, and goes on the next day.
func TestBudget(t *testing.T) {
	inWorld(t, func(w *world) {
		var log bytes.Buffer
		w.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		w.add("11", "one")
		w.traffic()
		w.cfg.DailySeries = 21
		begin := time.Now()
		w.open()
		refused := 0
		for range 20 {
			w.wait(5 * time.Minute)
			metrics, err := w.collect()
			var bound *cloud.BudgetError
			if err != nil {
				require.ErrorAs(w.t, err, &bound)
				refused++
				require.NotEmpty(w.t, find(metrics, "vm_state"), "the inventory costs nothing")
			}
			require.Zero(w.t, markers(metrics, "vm_network_receive_bytes_total"))
		}
		require.Equal(w.t, 20, w.fake.Returned, "two series a call, ten calls")
		require.Equal(w.t, 10, refused)
		require.InDelta(w.t, 20, w.count("collector_billable_units_total", "api", "monitoring.ListTimeSeries"), 0)
		require.Contains(w.t, log.String(), "2880 time series returned a day: this costs about $0.00 a day; the budget of 21 stops it after 0.2 h")
		w.wait(22*time.Hour + 30*time.Minute)
		for range 8 {
			w.wait(time.Minute)
			w.whole()
		}
		w.holds("11", begin)
	})
}

// TestGlance has a query that selects leave no trace.
func TestGlance(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.metric(instancePrefix+"cpu/utilization", "10^2.%", gaugeKind, 0.5)
		begin := time.Now()
		w.open()
		for range 5 {
			w.wait(5 * time.Minute)
			calls := w.fake.Calls["ListTimeSeries"]
			metrics, err := w.c.CollectMetrics(w.t.Context(), tsdb.MetricsQuery{MetricNames: []string{"vm_network_receive_bytes_total"}})
			require.NoError(w.t, err)
			require.NotEmpty(w.t, metrics)
			for _, m := range metrics {
				require.Equal(w.t, "vm_network_receive_bytes_total", m.Name)
				require.False(w.t, collect.IsStale(m.Value))
			}
			require.Equal(w.t, calls+1, w.fake.Calls["ListTimeSeries"], "the other type is not asked for")
			require.NoError(w.t, w.c.Settle(w.t.Context(), true))
			again := w.whole()
			require.Len(w.t, find(again, "vm_network_receive_bytes_total"), len(metrics), "and told again")
			for _, m := range again {
				require.False(w.t, collect.IsStale(m.Value), m.Name)
			}
		}
		w.holds("11", begin)
		_, err := w.c.CollectMetrics(w.t.Context(), tsdb.MetricsQuery{Aggregation: "sum"})
		require.Error(w.t, err)
	})
}

// TestRegions asks for the regions that are named alone.
func TestRegions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.add("12", "two")
		w.fake.Instances[1].Zone = "us-east1-b"
		w.traffic()
		w.cfg.Regions = []string{"us-east1", "us-west1"}
		w.open()
		w.wait(10 * time.Minute)
		for _, m := range w.whole() {
			require.Equal(w.t, "us-east1", m.Labels["cloud_region"])
		}
		require.Equal(w.t, 2, w.fake.Returned)
		require.Equal(w.t, `metric.type = "compute.googleapis.com/instance/network/received_bytes_count" AND resource.type = "gce_instance" AND `+
			`resource.labels.project_id = "project-one" AND (resource.labels.zone = starts_with("us-east1-") OR resource.labels.zone = starts_with("us-west1-"))`,
			w.fake.Filters[typeReceived])
	})
}

// TestTwoProjects has one project fail: the other is collected.
func TestTwoProjects(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.cfg.Projects = []string{"project-two", testProject}
		begin := time.Now()
		w.open()
		for range 3 {
			w.wait(5 * time.Minute)
			metrics, err := w.collect()
			require.ErrorContains(w.t, err, "instances.aggregatedList of project project-two: HTTP 404")
			require.ErrorContains(w.t, err, "check the id of the project")
			require.NotContains(w.t, err.Error(), testProject)
			require.NotEmpty(w.t, metrics)
		}
		require.Equal(w.t, begin.Add(11*time.Minute), w.holds("11", begin))
	})
}

// TestForecast says what a day costs by the machines, and then by what was charged.
func TestForecast(t *testing.T) {
	inWorld(t, func(w *world) {
		w.fleet(50)
		types := w.fake.Metrics
		w.fake.Metrics = nil
		w.cfg.Interval = 5 * time.Minute
		w.open()
		require.Zero(w.t, w.c.Forecast().Units)
		w.whole()
		require.InDelta(w.t, 50*9*288, w.c.Forecast().Units, 0)
		w.change(func() { w.fake.Metrics = types })
		w.wait(13 * time.Hour) // until the descriptors are read anew
		w.whole()
		require.Equal(w.t, "158400 time series returned a day: this costs about $0.08 a day", w.c.Forecast().String())
	})
}

// TestUnknownState has the state of a newer program stop the collector.
func TestUnknownState(t *testing.T) {
	inWorld(t, func(w *world) {
		w.disk.states["windows"] = []byte(`{"version": 9}`)
		_, err := New(w.t.Context(), w.cfg)
		require.ErrorContains(w.t, err, "upgrade this node")
	})
}
