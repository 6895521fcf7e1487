package azuremonitor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
)

// TestRawMetrics collects what has no canonical name: of storage by dimension, and of machines.
func TestRawMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) {
			c.Raw = []Raw{
				{ResourceType: fakecloud.StorageType, Metrics: []string{"Transactions", "SuccessE2ELatency"}, Aggregations: []string{"Total", "Average"}, Dimensions: []string{"ApiName"}},
				{ResourceType: fakecloud.StorageType, Metrics: []string{"UsedCapacity", "Unheard Of"}},
				{ResourceType: fakecloud.MachineType, Metrics: []string{"CPU Credits Consumed"}},
			}
		})
		l.cloud.PageSize = 1
		id := "/subscriptions/" + subscription + "/resourceGroups/RG-Store/providers/Microsoft.Storage/storageAccounts/Store"
		for _, n := range []string{"1", "2"} {
			l.cloud.Add(fakecloud.Machine{ID: id + n, Type: fakecloud.StorageType, Location: "westeurope", Created: time.Now().Add(-time.Hour)})
		}
		began := time.Now().UTC()
		metrics := append(l.collect(), l.until(6*time.Minute)...)
		require.Equal(t, 2*2, l.cloud.Calls("resources"), "two pages, twice in six minutes")
		require.Equal(t, 7*(2+2), l.cloud.Calls(batchAPI), "machines by two queries, storage with dimensions and without")
		for _, c := range []struct {
			name, id, native, value, aggregation string
			factor                               float64
			labels                               []string
		}{
			{"azure_storage_storage_accounts_transactions_total", id + "1", "Transactions", "GetBlob", "Total", 1, []string{"dimension_api_name", "GetBlob", "resource_name", "Store1", "resource_group", "rg-store", "cloud_region", "westeurope"}},
			{"azure_storage_storage_accounts_transactions_average", id + "2", "Transactions", "PutBlob", "Average", 1, []string{"dimension_api_name", "PutBlob", "resource_name", "Store2"}},
			{"azure_storage_storage_accounts_success_e2e_latency_average", id + "1", "SuccessE2ELatency", "PutBlob", "Average", 1e-3, []string{"dimension_api_name", "PutBlob", "resource_name", "Store1"}},
			{"azure_storage_storage_accounts_used_capacity_average", id + "1", "UsedCapacity", "", "Average", 1, []string{"resource_name", "Store1"}},
			{"azure_compute_virtual_machines_cpu_credits_consumed_average", webID, "CPU Credits Consumed", "", "Average", 1, []string{"vm_id", vmID}},
		} {
			values := valuesOf(metrics, c.name, c.labels...)
			seen := 0
			for end := began; !end.After(began.Add(3 * time.Minute)); end = end.Add(time.Minute) {
				want, there := l.cloud.Truth(c.id, c.native, c.value, c.aggregation, end)
				got, told := values[end]
				require.Equal(t, there, told, "%s at %v", c.name, end)
				if there {
					seen++
					require.InDelta(t, want*c.factor, got, 1e-9, c.name)
				}
			}
			require.Positive(t, seen, c.name)
		}
		definitions, err := l.ListAvailableMetrics(t.Context())
		require.NoError(t, err)
		listed := map[string]bool{}
		for _, d := range definitions {
			listed[d.Name] = true
		}
		for _, m := range metrics {
			require.True(t, listed[m.Name], m.Name)
		}
		l.cloud.Change(id+"1", func(m *fakecloud.Machine) { m.Gone = time.Now() })
		ended := markers(l.tolerate(20*time.Minute), "azure_storage_storage_accounts_used_capacity_average")
		require.Len(t, ended, 1)
		require.Equal(t, "Store1", ended[0].Labels["resource_name"])
	})
}
