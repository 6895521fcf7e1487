package azuremonitor

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// TestEveryRow measures a machine by every metric that has a canonical name: each comes with its conversion, its labels
// and the time of the end of its period.
func TestEveryRow(t *testing.T) {
	var (
		l       *lab
		began   time.Time
		metrics []collect.Metric
	)
	synctest.Test(t, func(t *testing.T) {
		l = newLab(t, func(c *Config) { c.Sets, c.BothDiskLevels = Sets, true })
		began = time.Now().UTC()
		metrics = append(l.collect(), l.until(10*time.Minute)...)
	})
	through := began.Add(7 * time.Minute) // what is final at the end
	for _, r := range rows() {
		t.Run(r.native, func(t *testing.T) {
			luns := []string{""}
			if r.dimension() == dimensionLUN {
				luns = []string{"0", "3"}
			}
			for _, lun := range luns {
				checkRow(t, l, r, lun, metrics, began, through)
			}
		})
	}
}

// checkRow compares what was told of a row with the truth.
func checkRow(t *testing.T, l *lab, r row, lun string, metrics []collect.Metric, began, through time.Time) {
	labels := []string{"cloud_provider", "azure", "cloud_account_id", subscription, "cloud_region", "westeurope", "vm_id", vmID, "vm_name", "Web1", "source", "azuremonitor"}
	if r.label != "" {
		value := r.value
		if lun != "" {
			value = "lun" + lun
		}
		labels = append(labels, r.label, value)
	}
	if r.kindOf != "" {
		labels = append(labels, "type", r.kindOf)
	}
	got := valuesOf(metrics, r.name, labels...)
	sum, seen := 0.0, 0
	for end := began.Add(time.Minute); !end.After(through); end = end.Add(time.Minute) {
		v, there := l.cloud.Truth(webID, r.native, lun, r.aggregation, end)
		factor := map[string]float64{"Percent": 0.01, "MilliSeconds": 1e-3}[r.unit]
		if factor == 0 {
			factor = 1
		}
		if r.kind == collect.NativeRate {
			factor = 60
		}
		want := v * factor
		if r.rest {
			want = 1 - want
		}
		if r.counts() {
			if sum += want; seen == 0 && !there {
				continue // it has not begun
			}
			want, there = sum, true
		}
		value, told := got[end]
		require.Equal(t, there, told, "%s %s at %v", r.native, lun, end)
		if there {
			require.InDelta(t, want, value, 1e-6, "%s %s at %v", r.native, lun, end)
			seen++
		}
	}
	require.Greater(t, seen, 3)
}

// TestVectors are the examples of the normalisation rules that concern Azure.
func TestVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Sets = []Set{SetMemory} })
		start := time.Now().UTC()
		l.cloud.Set(webID, "Disk Read Operations/Sec", "", start, 25)
		l.cloud.Set(webID, "Available Memory Percentage", "", start, 30)
		l.cloud.Set(webID, "Percentage CPU", "", start.Add(time.Minute), 50) // the minute before has a time alone
		metrics := append(l.collect(), l.until(5*time.Minute)...)
		require.Equal(t, 1500.0, valuesOf(metrics, "vm_disk_read_ops_total", "device", "_all")[start.Add(time.Minute)])
		require.InDelta(t, 0.7, valuesOf(metrics, "vm_memory_utilization_ratio")[start.Add(time.Minute)], 1e-15)
		cpu := valuesOf(metrics, "vm_cpu_utilization_ratio")
		require.Equal(t, map[time.Time]float64{start.Add(2 * time.Minute): 0.5}, cpu)
	})
}

func TestFactsOfAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Tags = []string{"team"} })
		require.Equal(t, []string{
			`vm_disk_capacity_bytes{device=lun0} @00:00:00 137438953472`,
			`vm_disk_capacity_bytes{device=lun3} @00:00:00 137438953472`,
			`vm_disk_capacity_bytes{device=os} @00:00:00 32212254720`,
			`vm_disk_info{device=lun0,storage_type=StandardSSD_LRS,volume_id=/subscriptions/aaaaaaaa-0000-0000-0000-000000000001/resourcegroups/rg-web/providers/microsoft.compute/virtualmachines/web1-data0} @00:00:00 1`,
			`vm_disk_info{device=lun3,storage_type=StandardSSD_LRS,volume_id=/subscriptions/aaaaaaaa-0000-0000-0000-000000000001/resourcegroups/rg-web/providers/microsoft.compute/virtualmachines/web1-data3} @00:00:00 1`,
			`vm_disk_info{device=os,storage_type=Premium_LRS,volume_id=/subscriptions/aaaaaaaa-0000-0000-0000-000000000001/resourcegroups/rg-web/providers/microsoft.compute/virtualmachines/web1-os} @00:00:00 1`,
			`vm_info{arch=x64,cloud_availability_zone=westeurope-2,flavor=Standard_E8-4ds_v5,image=Debian:debian-12:12-gen2:0.20260101.1,os=linux,resource_group=rg-web,uuid=` + vmID + `} @00:00:00 1`,
			`vm_memory_limit_bytes{} @00:00:00 68719476736`,
			`vm_network_info{interface=web1-nic} @00:00:00 1`,
			`vm_start_time_seconds{} @00:00:00 946683000`,
			`vm_state{state=pending} @00:00:00 0`,
			`vm_state{state=running} @00:00:00 1`,
			`vm_state{state=stopped} @00:00:00 0`,
			`vm_state{state=stopping} @00:00:00 0`,
			`vm_state{state=unknown} @00:00:00 0`,
			`vm_tags{tag_team=web} @00:00:00 1`,
			`vm_uptime_seconds{} @00:00:00 1800`,
			`vm_vcpus{} @00:00:00 4`,
		}, show(l.collect(), append(slices.Sorted(maps.Keys(factNames)), "vm_tags")...))
	})
}

func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for code, want := range map[string]string{
			"starting": "pending", "creating": "pending", "running": "running", "stopping": "stopping", "deallocating": "stopping",
			"stopped": "stopped", "deallocated": "stopped", "unknown": "unknown", "dreaming": "unknown", "": "unknown", "RUNNING": "running",
		} {
			l.cloud.Change(webID, func(m *fakecloud.Machine) { m.Power = code })
			pass(time.Minute)
			var is []string
			metrics := l.collect()
			for _, m := range metrics {
				if m.Name == "vm_state" && m.Value == 1 {
					is = append(is, m.Labels["state"])
				}
			}
			require.Equal(t, []string{want}, is, code)
			require.Len(t, valuesOf(metrics, "vm_uptime_seconds"), map[bool]int{true: 1}[want == "running"], "a machine that does not run is not up")
		}
	})
}

// TestSmallestSize settles what a GB of the service is: the size is known to have 768 MB.
func TestSmallestSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cloud.Change(webID, func(m *fakecloud.Machine) { m.Size = "standard_a0" })
		metrics := l.collect()
		require.Equal(t, []string{`vm_memory_limit_bytes{} @00:00:00 805306368`, `vm_vcpus{} @00:00:00 1`}, show(metrics, "vm_memory_limit_bytes", "vm_vcpus"))
		l.cloud.Change(webID, func(m *fakecloud.Machine) { m.Size = "Standard_Unheard" })
		pass(6 * time.Minute)
		require.Equal(t, []string{`vm_memory_limit_bytes{} @00:06:00 ended`, `vm_vcpus{} @00:06:00 ended`}, show(l.collect(), "vm_memory_limit_bytes", "vm_vcpus"))
	})
}

func TestListAgreesWithTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Sets, c.Tags = Sets, []string{"team"} })
		listed := map[string]bool{}
		definitions, err := l.ListAvailableMetrics(t.Context())
		require.NoError(t, err)
		for _, d := range definitions {
			listed[d.Name] = true
		}
		told := map[string]bool{}
		for _, m := range append(l.collect(), l.until(8*time.Minute)...) {
			told[m.Name] = true
		}
		require.Equal(t, slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(told)), "what the registry says of Azure Monitor, and what it tells")
	})
}

func TestMachinesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		l.until(10 * time.Minute)
		other := fakecloud.ResourceID(subscription, "rg", "late")
		l.cloud.Add(fakecloud.Machine{ID: other, VMID: "late-id", Location: "westeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now()})
		born := time.Now().UTC()
		metrics := l.until(15 * time.Minute)
		bytes := valuesOf(metrics, "vm_network_receive_bytes_total", "vm_id", "late-id")
		require.NotEmpty(t, bytes)
		sum := 0.0
		for end := born.Add(time.Minute); !end.After(born.Add(12 * time.Minute)); end = end.Add(time.Minute) {
			v, _ := l.cloud.Truth(other, "Network In Total", "", "Total", end)
			sum += v
		}
		require.Equal(t, sum, bytes[born.Add(12*time.Minute)], "nothing since its creation is missing")

		l.cloud.Change(other, func(m *fakecloud.Machine) { m.Gone = time.Now() })
		metrics = l.until(30 * time.Minute)
		ended := map[string]int{}
		for _, m := range metrics {
			if collect.IsStale(m.Value) {
				require.Equal(t, "late-id", m.Labels["vm_id"])
				ended[collect.SeriesKey(m.Name, m.Labels, "")]++
			}
		}
		require.Greater(t, len(ended), 15)
		for key, n := range ended {
			require.Equal(t, 1, n, "markers of %s", key)
		}
		bytes = valuesOf(metrics, "vm_network_receive_bytes_total", "vm_id", "late-id")
		for end := born.Add(13 * time.Minute); !end.After(born.Add(15 * time.Minute)); end = end.Add(time.Minute) {
			v, _ := l.cloud.Truth(other, "Network In Total", "", "Total", end)
			sum += v
		}
		require.Equal(t, sum, slices.Max(slices.Collect(maps.Values(bytes))), "its last periods count after its end")
	})
}

func TestAStoppedMachineEndsItsSeriesAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		l.until(10 * time.Minute)
		l.cloud.Change(webID, func(m *fakecloud.Machine) {
			m.Power, m.Off = "deallocated", []fakecloud.Span{{From: time.Now(), To: time.Now().Add(time.Hour)}}
		})
		stopped := time.Now().UTC()
		metrics := l.until(15 * time.Minute)
		require.Len(t, markers(metrics, "vm_cpu_utilization_ratio"), 1)
		require.Len(t, markers(metrics, "vm_network_receive_bytes_total"), 1)
		require.Empty(t, markers(metrics, "vm_info"), "it is still there")
		before := slices.Max(slices.Collect(maps.Values(valuesOf(metrics, "vm_network_receive_bytes_total"))))
		pass(45 * time.Minute)
		l.cloud.Change(webID, func(m *fakecloud.Machine) { m.Power = "running" })
		metrics = l.until(10 * time.Minute)
		after := valuesOf(metrics, "vm_network_receive_bytes_total")
		first := slices.MinFunc(slices.Collect(maps.Keys(after)), time.Time.Compare)
		require.True(t, first.After(stopped))
		require.GreaterOrEqual(t, slices.Min(slices.Collect(maps.Values(after))), before, "the counter goes on")
	})
}

func markers(metrics []collect.Metric, name string) (ended []collect.Metric) {
	for _, m := range metrics {
		if m.Name == name && collect.IsStale(m.Value) {
			ended = append(ended, m)
		}
	}
	return ended
}

// TestALookChangesNothing asks for one metric between two collections.
func TestALookChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		l.until(5 * time.Minute)
		pass(time.Minute)
		calls := l.cloud.Calls("metrics:getBatch")
		got, err := l.CollectMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"vm_network_receive_bytes_total"}})
		require.NoError(t, err)
		require.NoError(t, l.Settle(t.Context(), true))
		require.NotEmpty(t, got)
		for _, m := range got {
			require.Equal(t, "vm_network_receive_bytes_total", m.Name)
		}
		require.Equal(t, calls+1, l.cloud.Calls("metrics:getBatch"))
		again := l.collect()
		require.Equal(t, show(got), show(again, "vm_network_receive_bytes_total"))
		require.NotEmpty(t, valuesOf(again, "vm_cpu_utilization_ratio"))
		none, err := l.CollectMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"vm_load1"}})
		require.NoError(t, err)
		require.Empty(t, none)
		require.Equal(t, calls+2, l.cloud.Calls("metrics:getBatch"))
	})
}

// TestManyDisks has more disks than the service answers of unless it is told how many there may be.
func TestManyDisks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Sets = []Set{SetDisks} })
		l.cloud.Change(webID, func(m *fakecloud.Machine) {
			m.LUNs = nil
			for lun := range 64 {
				m.LUNs = append(m.LUNs, lun)
			}
		})
		devices := map[string]bool{}
		for _, m := range append(l.collect(), l.until(8*time.Minute)...) {
			if m.Name == "vm_disk_queue_depth" {
				devices[m.Labels["device"]] = true
			}
		}
		require.Len(t, devices, 64+2)
		require.True(t, devices["lun63"])
	})
}
