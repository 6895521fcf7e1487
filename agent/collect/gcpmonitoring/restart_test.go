package gcpmonitoring

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/collect/gcpmonitoring/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// TestThrottlingOutlivesTheAgent kills the agent right after Google has asked for 309 s: neither the next one nor the one
// of another host, which knows what the cluster was told, calls before.
func TestThrottlingOutlivesTheAgent(t *testing.T) {
	for name, next := range map[string]func(w *world){
		"killed": func(w *world) { w.open() },
		"another host": func(w *world) {
			w.cfg.Pauses = w.c.Progress().Pauses
			w.disk.states = map[string][]byte{}
			w.open()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.add("11", "one")
				w.traffic()
				w.open()
				w.wait(8 * time.Minute)
				w.whole()
				w.fake.Inject("ListTimeSeries", fakecloud.Fault{Code: codes.ResourceExhausted, RetryAfter: 309 * time.Second})
				w.wait(time.Minute)
				closed := time.Now()
				deadline, cancel := context.WithTimeout(w.t.Context(), 50*time.Second)
				defer cancel()
				_, err := w.c.CollectMetrics(deadline, tsdb.MetricsQuery{}) // and dies before anything is settled
				var throttled *cloud.ThrottledError
				require.ErrorAs(w.t, err, &throttled)
				calls := w.fake.Calls["ListTimeSeries"]
				next(w)
				for time.Since(closed) < 4*time.Minute {
					w.wait(time.Minute)
					_, err = w.collect()
					require.ErrorAs(w.t, err, &throttled)
					require.WithinDuration(w.t, closed.Add(309*time.Second), throttled.Until, time.Millisecond)
					require.Equal(w.t, calls, w.fake.Calls["ListTimeSeries"], "called before the time")
				}
				w.wait(2 * time.Minute)
				w.whole()
				require.Greater(w.t, w.fake.Calls["ListTimeSeries"], calls)
				require.Empty(w.t, w.c.Progress().Pauses)
			})
		})
	}
}

// idle puts a counter into the cloud that tells nothing while nothing happens.
func (w *world) idle(until time.Time) {
	w.fake.Metrics = append(w.fake.Metrics, fakecloud.Metric{
		MetricDescriptor: fakecloud.Describe(instancePrefix+"disk/read_ops_count", "1", deltaKind, intType, 4*time.Minute),
		Labels: func(i fakecloud.Instance) []map[string]string {
			return one("instance_name", i.Name, "device_name", "boot", "device_type", "permanent", "storage_type", "pd-balanced")
		},
		Value: func(_ fakecloud.Instance, _ map[string]string, end time.Time) *monitoringpb.TypedValue {
			if end.After(until) {
				return nil
			}
			return fakecloud.Int(5)
		},
	})
}

// TestWhatVanishedWhileDownEnds has a machine go while the agent is down: its series end with one marker each. Those of the
// other go on, also those of a counter in which nothing happens any more, and where the machines cannot be listed at first.
func TestWhatVanishedWhileDownEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "goes")
		w.add("12", "stays")
		w.traffic()
		w.idle(time.Now().Add(10 * time.Minute))
		w.open()
		for range 10 {
			w.wait(2 * time.Minute)
			w.whole()
		}
		before := len(w.c.book.Told())
		w.change(func() { w.fake.Instances = w.fake.Instances[1:] })
		w.wait(2 * time.Hour)
		w.open()
		require.Len(w.t, w.c.book.Told(), before)
		w.fake.Inject("instances", fakecloud.Fault{Code: codes.PermissionDenied, Reason: "forbidden"})
		metrics, err := w.collect()
		require.Error(w.t, err)
		for _, m := range metrics {
			require.False(w.t, collect.IsStale(m.Value), "%s ended though nobody knows", m.Name)
		}
		ended, idle := map[string]int{}, 0
		for range 5 {
			w.wait(time.Minute)
			for _, m := range w.whole() {
				if collect.IsStale(m.Value) {
					require.Equal(w.t, "goes", m.Labels["vm_name"], m.Name)
					ended[collect.SeriesKey(m.Name, m.Labels, "")]++
				}
				if m.Name == "vm_disk_read_ops_total" && m.Labels["vm_name"] == "stays" {
					idle++
				}
			}
		}
		require.Len(w.t, ended, before/2, "half of the series")
		for series, n := range ended {
			require.Equal(w.t, 1, n, series)
		}
		require.Positive(w.t, idle, "a counter in which nothing happens goes on")
	})
}
