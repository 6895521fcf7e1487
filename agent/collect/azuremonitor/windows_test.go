package azuremonitor

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// TestALongPauseIsMadeUpInSlices stops collecting for ten hours.
func TestALongPauseIsMadeUpInSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		metrics := append(l.collect(), l.until(5*time.Minute)...)
		pass(10 * time.Hour)
		l.restart()
		before := l.cloud.Calls(batchAPI)
		metrics = append(metrics, l.until(5*time.Minute)...)
		require.Equal(t, 5, l.cloud.Calls(batchAPI)-before, "one call a collection")
		l.holdsTruth(metrics, webID, vmID, 10*time.Hour)
	})
}

func TestLateChangesAreCountedAndChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		start := time.Now().UTC()
		for i := range 20 {
			l.cloud.Set(webID, "Network In Total", "", start.Add(time.Duration(i)*time.Minute), 10)
		}
		l.collect()
		l.until(5 * time.Minute)
		l.cloud.Set(webID, "Network In Total", "", start, 1000)
		metrics, counts := l.run(3*time.Minute + time.Second)
		require.Equal(t, 1.0, counts["collector_late_samples_total"])
		require.Equal(t, 70.0*5, valuesOf(metrics, "vm_network_receive_bytes_total")[start.Add(5*time.Minute)])
	})
}

// TestGaugesAreCorrected holds that a value which was told before it was final is told again, and once.
func TestGaugesAreCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		start := time.Now().UTC()
		l.cloud.Set(webID, "Percentage CPU", "", start, 80)
		var told []float64
		for _, m := range append(l.collect(), l.until(8*time.Minute)...) {
			if m.Name == "vm_cpu_utilization_ratio" && !collect.IsStale(m.Value) {
				require.Equal(t, start.Add(time.Minute), m.Timestamp.UTC())
				told = append(told, m.Value)
			}
		}
		require.Equal(t, []float64{0.4, 0.8}, told)
	})
}

func TestSubscriptionsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const second = "bbbbbbbb-0000-0000-0000-000000000002"
		l := newLab(t, func(c *Config) { c.Subscriptions = append(c.Subscriptions, second) })
		l.cloud.Add(fakecloud.Machine{ID: fakecloud.ResourceID(second, "rg", "two"), VMID: "two", Location: "westeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now().Add(-time.Hour)})
		l.collect()
		l.cloud.Faults = []fakecloud.Fault{func(w http.ResponseWriter, r *http.Request) bool {
			return len(r.URL.Path) > 50 && r.URL.Path[15:23] == "bbbbbbbb" && fakecloud.Fail(http.StatusForbidden, "AuthorizationFailed", "No.")(w, r)
		}}
		pass(6 * time.Minute)
		metrics, err := l.try()
		require.ErrorContains(t, err, "machines of subscription "+second+": 403 AuthorizationFailed")
		require.NotEmpty(t, valuesOf(metrics, "vm_cpu_utilization_ratio", "cloud_account_id", subscription, "vm_id", vmID), "one does not keep the other from being read")
		for _, m := range metrics {
			require.False(t, collect.IsStale(m.Value) && m.Labels["vm_id"] == "two", m.Name)
		}
		l.cloud.Faults = nil
		pass(time.Minute)
		require.NotEmpty(t, valuesOf(l.collect(), "vm_cpu_utilization_ratio", "cloud_account_id", second, "vm_id", "two"))
	})
}

// TestWithoutDefinitions may not list which metrics there are: all are asked for, and the error says what is missing.
func TestWithoutDefinitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cloud.Faults = []fakecloud.Fault{fakecloud.On("metricDefinitions", fakecloud.Fail(http.StatusForbidden, "AuthorizationFailed", "No."))}
		for range 6 {
			metrics, err := l.try()
			require.ErrorContains(t, err, "metric definitions of Microsoft.Compute/virtualMachines in westeurope: 403 AuthorizationFailed")
			require.NotEmpty(t, valuesOf(metrics, "vm_state"))
			pass(time.Minute)
		}
		require.Equal(t, 1, l.cloud.Calls("metricDefinitions"), "what is refused is not asked for each minute")
		require.Equal(t, 6, l.cloud.Calls(batchAPI))
	})
}

func TestPackKeepsToTheLimits(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	q := &query{key: "q"}
	items := func(n int, region string, from time.Time, gone bool) (all []item) {
		for range n {
			r := &resource{id: region, region: region}
			if gone {
				r.gone = at
			}
			all = append(all, item{resource: r, query: q, window: windowOf(cloud.Window{From: from, To: at, Final: at.Add(-3 * time.Minute)}, time.Time{})})
		}
		return all
	}
	var all []item
	all = append(all, items(60, "a", at.Add(-10*time.Minute), false)...)
	all = append(all, items(30, "a", at.Add(-2*time.Hour), false)...)
	all = append(all, items(5, "a", at.Add(-9*time.Hour), false)...)
	all = append(all, items(3, "a", at.Add(-10*time.Minute), true)...)
	all = append(all, items(1, "b", at.Add(-10*time.Minute), false)...)
	all = append(all, items(1, "b", at, false)...) // nothing to ask for yet
	var got [][3]string
	for _, b := range pack(all) {
		require.LessOrEqual(t, len(b.items), maxResources)
		require.LessOrEqual(t, b.window.To.Sub(b.window.From), maxSpan)
		got = append(got, [3]string{b.region, b.window.From.Format("15:04"), b.window.To.Format("15:04")})
	}
	require.Equal(t, [][3]string{
		{"a", "11:50", "12:00"}, {"a", "03:00", "06:00"}, {"a", "10:00", "12:00"}, {"a", "11:50", "12:00"}, {"b", "11:50", "12:00"},
	}, got)
}
