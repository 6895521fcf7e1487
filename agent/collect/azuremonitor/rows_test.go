package azuremonitor

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

// TestRowsAgreeWithTheRegistry holds that each row has the type, the unit and the labels of its metric.
func TestRowsAgreeWithTheRegistry(t *testing.T) {
	registry := collect.NewRegistry()
	natives := map[string]bool{}
	for _, r := range rows() {
		require.False(t, natives[r.native], "%s twice", r.native)
		natives[r.native] = true
		def, known := registry.Lookup(r.name)
		require.True(t, known, r.name)
		require.Contains(t, def.Sources, collect.AzureMonitor, r.name)
		require.Equal(t, def.Type == collect.TypeCounter, r.counts(), r.native)
		c, known := fromUnit(r.unit)
		require.True(t, known, r.unit)
		want := def.Unit
		switch {
		case r.kind == collect.NativeRate && want == "":
			want = "per_second"
		case r.kind == collect.NativeRate:
			want += "_per_second"
		}
		require.Equal(t, want, c.Unit, "%s in %s becomes %s", r.native, r.unit, r.name)
		if r.label != "" {
			require.Contains(t, def.Labels, r.label, r.native)
		}
		if r.kindOf != "" {
			require.Contains(t, def.Labels, "type", r.native)
		}
		require.Contains(t, Sets, r.set)
	}
	require.Len(t, natives, 47)
}

func TestDisksAreMeasuredOnOneLevel(t *testing.T) {
	levels := func(sets []Set, both bool) map[string]bool {
		found := map[string]bool{}
		for _, r := range selected(sets, both) {
			if r.name == "vm_disk_read_bytes_total" {
				found[r.native] = true
			}
		}
		return found
	}
	together := map[string]bool{"Disk Read Bytes": true}
	each := map[string]bool{"OS Disk Read Bytes/sec": true, "Data Disk Read Bytes/sec": true, "Temp Disk Read Bytes/sec": true}
	require.Equal(t, together, levels(nil, false))
	require.Equal(t, together, levels(nil, true))
	require.Equal(t, each, levels([]Set{SetDisks}, false))
	all := maps.Clone(each)
	maps.Copy(all, together)
	require.Equal(t, all, levels([]Set{SetDisks}, true))
}

// TestDefaultSet is that of the normalisation rules, and costs one call for fifty machines.
func TestDefaultSet(t *testing.T) {
	var natives []string
	for _, r := range selected(nil, false) {
		natives = append(natives, r.native)
	}
	slices.Sort(natives)
	require.Equal(t, []string{
		"Available Memory Bytes", "Disk Read Bytes", "Disk Read Operations/Sec", "Disk Write Bytes", "Disk Write Operations/Sec",
		"Network In Total", "Network Out Total", "Percentage CPU", "VmAvailabilityMetric",
	}, natives)
}

// rulesOfAzure is what the normalisation rules say: metric, aggregation, unit, Δ for amounts, R for rates, 1- for what is
// left to 1.
var rulesOfAzure = []string{
	"Percentage CPU·Average Percent → vm_cpu_utilization_ratio",
	"Available Memory Bytes·Average Bytes → vm_memory_available_bytes",
	"Network In Total·Total Bytes Δ → vm_network_receive_bytes_total{interface=_all}",
	"Network Out Total·Total Bytes Δ → vm_network_transmit_bytes_total{interface=_all}",
	"Disk Read Bytes·Total Bytes Δ → vm_disk_read_bytes_total{device=_all}",
	"Disk Write Bytes·Total Bytes Δ → vm_disk_write_bytes_total{device=_all}",
	"Disk Read Operations/Sec·Average CountPerSecond R → vm_disk_read_ops_total{device=_all}",
	"Disk Write Operations/Sec·Average CountPerSecond R → vm_disk_write_ops_total{device=_all}",
	"VmAvailabilityMetric·Minimum Count → vm_available",
	"Available Memory Percentage·Average Percent 1- → vm_memory_utilization_ratio",
	"CPU Credits Remaining·Average Count → vm_cpu_credits_remaining",
	"Inbound Flows·Average Count → vm_network_flows{direction=inbound}",
	"Outbound Flows·Average Count → vm_network_flows{direction=outbound}",
	"OS Disk Read Bytes/sec·Average BytesPerSecond R → vm_disk_read_bytes_total{device=os}",
	"OS Disk Write Bytes/sec·Average BytesPerSecond R → vm_disk_write_bytes_total{device=os}",
	"OS Disk Read Operations/Sec·Average CountPerSecond R → vm_disk_read_ops_total{device=os}",
	"OS Disk Write Operations/Sec·Average CountPerSecond R → vm_disk_write_ops_total{device=os}",
	"OS Disk Latency·Average MilliSeconds → vm_disk_latency_seconds{device=os}",
	"OS Disk Queue Depth·Average Count → vm_disk_queue_depth{device=os}",
	"Temp Disk Read Bytes/sec·Average BytesPerSecond R → vm_disk_read_bytes_total{device=temp}",
	"Temp Disk Write Bytes/sec·Average BytesPerSecond R → vm_disk_write_bytes_total{device=temp}",
	"Temp Disk Read Operations/Sec·Average CountPerSecond R → vm_disk_read_ops_total{device=temp}",
	"Temp Disk Write Operations/Sec·Average CountPerSecond R → vm_disk_write_ops_total{device=temp}",
	"Temp Disk Latency·Average MilliSeconds → vm_disk_latency_seconds{device=temp}",
	"Temp Disk Queue Depth·Average Count → vm_disk_queue_depth{device=temp}",
	"Data Disk Read Bytes/sec·Average BytesPerSecond R → vm_disk_read_bytes_total{device=lun<LUN>}",
	"Data Disk Write Bytes/sec·Average BytesPerSecond R → vm_disk_write_bytes_total{device=lun<LUN>}",
	"Data Disk Read Operations/Sec·Average CountPerSecond R → vm_disk_read_ops_total{device=lun<LUN>}",
	"Data Disk Write Operations/Sec·Average CountPerSecond R → vm_disk_write_ops_total{device=lun<LUN>}",
	"Data Disk Latency·Average MilliSeconds → vm_disk_latency_seconds{device=lun<LUN>}",
	"Data Disk Queue Depth·Average Count → vm_disk_queue_depth{device=lun<LUN>}",
	"OS Disk IOPS Consumed Percentage·Average Percent → vm_disk_iops_utilization_ratio{device=os}",
	"OS Disk Bandwidth Consumed Percentage·Average Percent → vm_disk_bandwidth_utilization_ratio{device=os}",
	"Data Disk IOPS Consumed Percentage·Average Percent → vm_disk_iops_utilization_ratio{device=lun<LUN>}",
	"Data Disk Bandwidth Consumed Percentage·Average Percent → vm_disk_bandwidth_utilization_ratio{device=lun<LUN>}",
	"VM Cached IOPS Consumed Percentage·Average Percent → vm_disk_iops_utilization_ratio{device=_cached_all}",
	"VM Cached Bandwidth Consumed Percentage·Average Percent → vm_disk_bandwidth_utilization_ratio{device=_cached_all}",
	"VM Uncached IOPS Consumed Percentage·Average Percent → vm_disk_iops_utilization_ratio{device=_uncached_all}",
	"VM Uncached Bandwidth Consumed Percentage·Average Percent → vm_disk_bandwidth_utilization_ratio{device=_uncached_all}",
	"OS Disk Used Burst IO Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=os,type=io}",
	"OS Disk Used Burst BPS Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=os,type=throughput}",
	"Data Disk Used Burst IO Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=lun<LUN>,type=io}",
	"Data Disk Used Burst BPS Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=lun<LUN>,type=throughput}",
	"VM Local Used Burst IO Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=_cached_all,type=io}",
	"VM Local Used Burst BPS Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=_cached_all,type=throughput}",
	"VM Remote Used Burst IO Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=_uncached_all,type=io}",
	"VM Remote Used Burst BPS Credits Percentage·Average Percent 1- → vm_disk_burst_balance_ratio{device=_uncached_all,type=throughput}",
}

func TestRowsAreThoseOfTheRules(t *testing.T) {
	var got []string
	for _, r := range rows() {
		got = append(got, rowText(r))
	}
	require.ElementsMatch(t, rulesOfAzure, got)
}

func rowText(r row) string {
	labels := ""
	if r.label != "" {
		value := r.value
		if r.dimension() != "" {
			value = "lun<" + r.dimension() + ">"
		}
		labels = "{" + r.label + "=" + value
		if r.kindOf != "" {
			labels += ",type=" + r.kindOf
		}
		labels += "}"
	}
	how := map[collect.NativeKind]string{collect.NativeGauge: "", collect.NativeDelta: " Δ", collect.NativeRate: " R"}[r.kind]
	if r.rest {
		how = " 1-"
	}
	return r.native + "·" + r.aggregation + " " + r.unit + how + " → " + r.name + labels
}
