package azuremonitor

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/tsdb"
)

// TestThrottlingOutlivesTheAgent kills the agent right after Azure has asked for 309 s: neither the next one nor the one of
// another host, which knows what the cluster was told, calls before.
func TestThrottlingOutlivesTheAgent(t *testing.T) {
	for name, next := range map[string]func(l *lab){
		"killed": func(l *lab) { l.restart() },
		"another host": func(l *lab) {
			l.cfg.Pauses = l.Progress().Pauses
			clear(l.disk)
			l.restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.collect()
				l.until(5 * time.Minute)
				l.cloud.Faults = []fakecloud.Fault{fakecloud.On(batchAPI, fakecloud.Times(1, fakecloud.Throttle(309)))}
				pass(time.Minute)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
				defer cancel()
				_, err := l.CollectMetrics(ctx, tsdb.MetricsQuery{}) // and dies before anything is settled
				require.ErrorContains(t, err, "429 TooManyRequests")
				throttled, calls := time.Now(), l.cloud.Calls(batchAPI)
				next(l)
				for time.Since(throttled) < 4*time.Minute {
					pass(time.Minute)
					_, err := l.try()
					var held *cloud.ThrottledError
					require.ErrorAs(t, err, &held)
					require.WithinDuration(t, throttled.Add(309*time.Second), held.Until, time.Millisecond)
					require.Equal(t, calls, l.cloud.Calls(batchAPI))
				}
				pass(2 * time.Minute)
				l.collect()
				require.Greater(t, l.cloud.Calls(batchAPI), calls)
				require.Empty(t, l.Progress().Pauses)
			})
		})
	}
}

// TestWhatVanishedWhileDownEnds has a machine, a storage account and a metric that is asked for go while the agent is down:
// their series end with one marker each, and all others go on, also where nothing can be listed at first.
func TestWhatVanishedWhileDownEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := Raw{ResourceType: fakecloud.StorageType, Metrics: []string{"UsedCapacity"}}
		l := newLab(t, func(c *Config) { c.Raw = []Raw{storage}; c.Sets = []Set{SetMemory} })
		account := "/subscriptions/" + subscription + "/resourceGroups/RG-Store/providers/Microsoft.Storage/storageAccounts/Store"
		for _, n := range []string{"1", "2"} {
			l.cloud.Add(fakecloud.Machine{ID: account + n, Type: fakecloud.StorageType, Location: "westeurope", Created: time.Now().Add(-time.Hour)})
		}
		l.collect()
		l.guest()
		l.cloud.Change(account+"1", func(m *fakecloud.Machine) { m.Gone = time.Now() })
		pass(2 * time.Hour)
		l.cfg.Sets = nil // somebody has changed the source
		l.restart()
		l.cloud.Faults = []fakecloud.Fault{fakecloud.On(apiMachines, fakecloud.Fail(http.StatusServiceUnavailable, "ServerBusy", "")), fakecloud.On(apiResources, fakecloud.Fail(http.StatusServiceUnavailable, "ServerBusy", ""))}
		ended := map[string]int{}
		count := func(metrics []collect.Metric) {
			for _, m := range metrics {
				if collect.IsStale(m.Value) {
					ended[m.Name+" "+m.Labels["vm_name"]+m.Labels["resource_name"]+m.Labels["state"]]++
				}
			}
		}
		count(l.tolerate(2 * time.Minute))
		for series := range ended {
			require.NotContains(t, series, "Store", "nobody knows")
			require.NotContains(t, series, "vm_info", "nobody knows")
			require.NotContains(t, series, "vm_state", "nobody knows")
		}
		l.cloud.Faults = nil
		count(l.tolerate(10 * time.Minute))
		for _, series := range []string{
			"vm_network_receive_bytes_total guest", "vm_info guest", "vm_state guestrunning", "vm_cpu_utilization_ratio guest",
			"azure_storage_storage_accounts_used_capacity_average Store1", "vm_memory_utilization_ratio Web1", "vm_memory_utilization_ratio guest",
		} {
			require.Equal(t, 1, ended[series], "%s: %v", series, ended)
		}
		for series, n := range ended {
			require.Equal(t, 1, n, series)
			if series != "vm_memory_utilization_ratio Web1" {
				require.NotContains(t, series, "Web1")
			}
			require.NotContains(t, series, "Store2")
		}
	})
}
