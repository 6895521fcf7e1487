package gcpmonitoring

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
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

const typeReceived = instancePrefix + "network/received_bytes_count"

// traffic puts a counter with known amounts into the cloud, half of which shows before they are final.
func (w *world) traffic() {
	w.fake.Metrics = append(w.fake.Metrics, fakecloud.Metric{
		MetricDescriptor: fakecloud.Describe(typeReceived, "By", deltaKind, intType, 4*time.Minute),
		Labels: func(i fakecloud.Instance) []map[string]string {
			return []map[string]string{tl("instance_name", i.Name, "loadbalanced", "true"), tl("instance_name", i.Name, "loadbalanced", "false")}
		},
		Value: func(i fakecloud.Instance, labels map[string]string, end time.Time) *monitoringpb.TypedValue {
			return fakecloud.Int(fakecloud.Amount(i.ID, labels["loadbalanced"], end))
		},
		Early: fakecloud.Halved,
	})
}

// truth is the counter of a machine at a time, counted from the beginning.
func truth(id string, begin, end time.Time) (sum float64) {
	for at := begin.Truncate(time.Minute).Add(time.Minute); !at.After(end); at = at.Add(time.Minute) {
		sum += float64(fakecloud.Amount(id, "true", at) + fakecloud.Amount(id, "false", at))
	}
	return sum
}

// holds checks every stored value of a machine's counter against the truth and returns the end of the last.
func (w *world) holds(id string, begin time.Time) (last time.Time) {
	w.t.Helper()
	values := 0
	for key, points := range w.stored {
		if !strings.HasPrefix(key, "vm_network_receive_bytes_total") || !strings.Contains(key, `vm_id="`+id+`"`) {
			continue
		}
		for at, value := range points {
			end := time.UnixMilli(at)
			if collect.IsStale(value) {
				continue
			}
			values++
			if want := truth(id, begin, end); value != want {
				w.t.Fatalf("counter of %s at %v is %v, the truth %v", id, end.UTC(), value, want)
			}
			if end.After(last) {
				last = end
			}
		}
	}
	if values == 0 {
		w.t.Fatalf("no value of the counter of %s is stored", id)
	}
	return last
}

// TestThrottledAsLongAsTold has Google close the API for 309 s: no call is made before, and nothing is missed after.
func TestThrottledAsLongAsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		begin := time.Now()
		w.open()
		w.wait(8 * time.Minute)
		w.whole()
		w.fake.Inject("ListTimeSeries", fakecloud.Fault{Code: codes.ResourceExhausted, RetryAfter: 309 * time.Second})
		w.wait(time.Minute)
		closed := time.Now()
		_, err := w.collect()
		var throttled *cloud.ThrottledError
		require.ErrorAs(w.t, err, &throttled)
		require.Equal(w.t, closed.Add(309*time.Second), throttled.Until)
		require.Equal(w.t, closed, time.Now(), "the collection does not wait for it")
		calls := w.fake.Calls["ListTimeSeries"]
		for time.Until(throttled.Until) > time.Minute {
			_, err = w.collect()
			require.ErrorAs(w.t, err, &throttled)
			require.Equal(w.t, calls, w.fake.Calls["ListTimeSeries"], "called before the time")
			w.wait(time.Minute)
		}
		w.wait(time.Until(throttled.Until))
		w.whole()
		require.Greater(w.t, w.fake.Calls["ListTimeSeries"], calls)
		require.Equal(w.t, time.Now().Add(-4*time.Minute).Truncate(time.Minute), w.holds("11", begin))
		require.InDelta(w.t, 1, w.count("collector_api_throttled_total", "api", "monitoring.ListTimeSeries"), 0)
		require.InDelta(w.t, 1, w.count("collector_api_requests_total", "code", "ResourceExhausted"), 0)
	})
}

// TestThrottledWithoutATime waits longer each time and goes on in the same collection when that is soon enough.
func TestThrottledWithoutATime(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.open()
		w.wait(8 * time.Minute)
		w.fake.Inject("ListTimeSeries", fakecloud.Fault{Code: codes.ResourceExhausted}, fakecloud.Fault{Code: codes.ResourceExhausted})
		before := time.Now()
		w.whole()
		require.Equal(w.t, 45*time.Second, time.Since(before), "15 s and 30 s")
		require.InDelta(w.t, 2, w.count("collector_api_throttled_total"), 0)
	})
}

func TestThrottledInventory(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.open()
		w.fake.Inject("instances", fakecloud.Fault{Code: codes.ResourceExhausted, RetryAfter: 10 * time.Second}, fakecloud.Fault{Code: codes.PermissionDenied, Reason: "rateLimitExceeded"})
		before := time.Now()
		w.whole()
		require.Equal(w.t, 40*time.Second, time.Since(before).Truncate(time.Second), "10 s as told and 30 s where nothing is told the second time")
		w.fake.Inject("instances", fakecloud.Fault{Code: codes.ResourceExhausted, RetryAfter: 309 * time.Second})
		w.wait(10 * time.Minute)
		metrics, err := w.collect()
		var throttled *cloud.ThrottledError
		require.ErrorAs(w.t, err, &throttled)
		require.Len(w.t, find(metrics, "vm_state"), 10, "the old list is good beside the error")
	})
}

// TestPages has the same come of many small pages, each series twice and points without a time or a value.
func TestPages(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, id := range []string{"11", "12", "13"} {
			w.add(id, "vm-"+id)
		}
		w.traffic()
		w.fake.PageSize, w.fake.Faults.Twice, w.fake.Faults.Empty = 5, true, true
		begin := time.Now()
		w.open()
		for range 6 {
			w.wait(5 * time.Minute)
			w.whole()
		}
		for _, id := range []string{"11", "12", "13"} {
			require.Equal(w.t, begin.Add(26*time.Minute), w.holds(id, begin))
		}
		require.Greater(w.t, w.fake.Calls["ListTimeSeries"], 6*9)
		require.Zero(w.t, w.count("collector_partial_responses_total"))
		require.Zero(w.t, w.count("collector_late_samples_total"))
	})
}

// TestTooManyPages stops at the bound, tells it and counts nothing of what is not whole.
func TestTooManyPages(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		w.fake.PageSize, w.cfg.MaxPages = 2, 3
		w.open()
		w.wait(8 * time.Minute)
		metrics, err := w.collect()
		require.ErrorIs(w.t, err, errPages)
		require.Equal(w.t, 3, w.fake.Calls["ListTimeSeries"])
		require.Empty(w.t, find(metrics, "vm_network_receive_bytes_total"))
		require.InDelta(w.t, 1, w.count("collector_partial_responses_total"), 0)
	})
}

// TestPartial has answers that say of themselves that something is missing: they are counted and read again.
func TestPartial(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.add("12", "two")
		w.traffic()
		begin := time.Now()
		w.open()
		for range 5 {
			w.wait(3 * time.Minute)
			w.fake.Inject("ListTimeSeries", fakecloud.Fault{Unable: "zone europe-west4-a timed out", Lose: true})
			_, err := w.collect()
			require.ErrorContains(w.t, err, "zone europe-west4-a timed out")
		}
		require.InDelta(w.t, 5, w.count("collector_partial_responses_total"), 0)
		w.whole()
		for _, id := range []string{"11", "12"} {
			require.Equal(w.t, time.Now().Add(-4*time.Minute).Truncate(time.Minute), w.holds(id, begin))
		}
	})
}

// TestRefusals say what failed, where and what to do, and leave what was there.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		method string
		fault  fakecloud.Fault
		says   []string
	}{
		{"ListTimeSeries", fakecloud.Fault{Code: codes.Unauthenticated}, []string{"ListTimeSeries of project project-one", "application default credentials", "gcloud auth application-default login"}},
		{"ListTimeSeries", fakecloud.Fault{Code: codes.PermissionDenied}, []string{"PermissionDenied", "deploy/permissions/gcp-role.yaml"}},
		{"ListTimeSeries", fakecloud.Fault{Code: codes.Unavailable}, []string{"Unavailable", "read again"}},
		{"ListTimeSeries", fakecloud.Fault{Code: codes.DeadlineExceeded}, []string{"DeadlineExceeded", "30s"}},
		{"ListMetricDescriptors", fakecloud.Fault{Code: codes.Unauthenticated}, []string{"ListMetricDescriptors of project project-one"}},
		{"instances", fakecloud.Fault{Code: codes.Unauthenticated}, []string{"instances.aggregatedList of project project-one", "HTTP 401", "gcloud auth"}},
		{"instances", fakecloud.Fault{Code: codes.Unavailable}, []string{"HTTP 503"}},
		{"instances", fakecloud.Fault{Code: codes.Internal}, []string{"HTTP 500"}},
		{"machineTypes", fakecloud.Fault{Code: codes.NotFound}, []string{"machineTypes.get", "HTTP 404"}},
	} {
		t.Run(c.method+"/"+c.fault.Code.String(), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.add("11", "one")
				w.traffic()
				begin := time.Now()
				w.open()
				w.wait(8 * time.Minute)
				w.fake.Inject(c.method, c.fault)
				metrics, err := w.collect()
				require.Error(w.t, err)
				for _, text := range c.says {
					require.ErrorContains(w.t, err, text)
				}
				for _, m := range metrics {
					require.False(w.t, collect.IsStale(m.Value), "an error ends no series: %s", m.Name)
				}
				require.Positive(w.t, w.count("collector_api_requests_total", "code", c.fault.Code.String()))
				w.whole()
				w.holds("11", begin)
			})
		})
	}
}

// TestDown has nobody answer: what was there stays, and all comes when it is up again.
func TestDown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.traffic()
		begin := time.Now()
		w.fake.Faults.Down = true
		w.open()
		metrics, err := w.collect()
		require.ErrorContains(w.t, err, "connection refused")
		require.Empty(w.t, metrics)
		w.change(func() { w.fake.Faults.Down = false })
		w.wait(10 * time.Minute)
		w.whole()
		w.change(func() { w.fake.Faults.Hang = true })
		w.wait(time.Minute)
		before := time.Now()
		metrics, err = w.collect()
		require.ErrorContains(w.t, err, "DeadlineExceeded")
		require.Equal(w.t, 30*time.Second, time.Since(before))
		require.Empty(w.t, find(metrics, "vm_network_receive_bytes_total"))
		w.change(func() { w.fake.Faults.Hang = false })
		w.wait(time.Minute)
		w.whole()
		require.Equal(w.t, time.Now().Add(-4*time.Minute).Truncate(time.Minute), w.holds("11", begin))
	})
}

// TestWrongClock has this machine's clock ten minutes ahead: periods are final by Google's.
func TestWrongClock(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			inWorld(t, func(w *world) {
				var log bytes.Buffer
				w.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				w.add("11", "one")
				w.traffic()
				w.fake.Skew = skew
				w.open()
				for range 10 {
					w.wait(5 * time.Minute)
					w.whole()
				}
				// The book began by this machine's clock: what Google's had before does not count.
				begin := w.holdsFrom("11")
				require.Equal(w.t, time.Now().Add(skew-4*time.Minute).Truncate(time.Minute), w.holds("11", begin))
				require.Equal(w.t, 1, strings.Count(log.String(), "the clock of this machine is wrong"))
			})
		})
	}
}

// holdsFrom is the end of the period before the first that was counted.
func (w *world) holdsFrom(id string) (begin time.Time) {
	for key, points := range w.stored {
		if strings.HasPrefix(key, "vm_network_receive_bytes_total") && strings.Contains(key, `vm_id="`+id+`"`) {
			for at := range points {
				if end := time.UnixMilli(at).Add(-time.Minute); begin.IsZero() || end.Before(begin) {
					begin = end
				}
			}
		}
	}
	return begin
}

// TestUnreachableZone keeps the machines of a zone that could not be asked.
func TestUnreachableZone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.add("11", "one")
		w.open()
		w.whole()
		w.fake.Instances = nil
		w.fake.Inject("instances", fakecloud.Fault{Unable: "zones/europe-west4-a"})
		w.wait(6 * time.Minute)
		metrics, err := w.collect()
		require.ErrorContains(w.t, err, "europe-west4-a")
		require.Len(w.t, find(metrics, "vm_state"), 10)
		require.Zero(w.t, markers(metrics, "vm_state"))
		require.InDelta(w.t, 1, w.count("collector_partial_responses_total"), 0)
		w.wait(6 * time.Minute)
		for _, m := range find(w.whole(), "vm_state") {
			require.True(w.t, collect.IsStale(m.Value), "now it is known to be gone")
		}
	})
}

// TestMismatch has Google change the kind, the unit or the values of a type: it is skipped, counted and told once.
func TestMismatch(t *testing.T) {
	for name, change := range map[string]func(m *fakecloud.Metric){
		"kind":    func(m *fakecloud.Metric) { m.MetricKind = gaugeKind },
		"unit":    func(m *fakecloud.Metric) { m.Unit = "s" },
		"unknown": func(m *fakecloud.Metric) { m.Unit = "furlong" },
		"values":  func(m *fakecloud.Metric) { m.ValueType = 5 },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				var log bytes.Buffer
				w.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				w.add("11", "one")
				w.traffic()
				change(&w.fake.Metrics[0])
				w.open()
				for range 3 {
					w.wait(8 * time.Minute)
					require.Empty(w.t, find(w.whole(), "vm_network_receive_bytes_total"))
				}
				require.Zero(w.t, w.fake.Calls["ListTimeSeries"])
				require.InDelta(w.t, 3, w.count("collector_unit_mismatch_total"), 0)
				require.Equal(w.t, 1, strings.Count(log.String(), "is not what it was"))
			})
		})
	}
}

// TestNothingLeavesMemory has the world's network refuse every other address.
func TestNothingLeavesMemory(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.ComputeEndpoint = "http://compute.googleapis.com"
		w.open()
		_, err := w.collect()
		require.ErrorContains(w.t, err, "a test must not leave the machine")
	})
}

// TestCancelled ends with the agent.
func TestCancelled(t *testing.T) {
	inWorld(t, func(w *world) {
		w.open()
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		_, err := w.c.CollectMetrics(ctx, tsdb.MetricsQuery{})
		require.ErrorIs(w.t, err, context.Canceled)
	})
}
