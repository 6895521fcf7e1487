package azuremonitor

import (
	"github.com/novacron/novacron/agent/collect"
)

// Set is a group of metrics that are asked for together.
type Set string

// The sets. What is not basic is asked for where the configuration names it.
const (
	// SetBasic is always there: processor, memory, network, disks together, availability.
	SetBasic Set = "basic"
	// SetMemory adds the share of memory in use.
	SetMemory Set = "memory"
	// SetDisks measures each disk by itself, in place of all together.
	SetDisks Set = "disks"
	// SetDiskLimits adds how much of what disks are allowed is used, and their burst credits.
	SetDiskLimits Set = "disk-limits"
	// SetFlows adds network flows.
	SetFlows Set = "flows"
	// SetCredits adds the processor credits of burstable sizes.
	SetCredits Set = "credits"
)

// Sets are all of them.
var Sets = []Set{SetBasic, SetMemory, SetDisks, SetDiskLimits, SetFlows, SetCredits}

// machineType is the type of resource whose metrics have canonical names.
const machineType = "Microsoft.Compute/virtualMachines"

// dimensionLUN tells the data disks of a machine apart.
const dimensionLUN = "LUN"

// The names of aggregations, as an answer has them.
const (
	average = "Average"
	total   = "Total"
	minimum = "Minimum"
	maximum = "Maximum"
	count   = "Count"
)

// row says what a native metric is in the canonical vocabulary.
type row struct {
	// native is the metric's name in the API, unit what it must come in.
	native, aggregation, unit string
	// name is the canonical one, kind what the values of a period mean.
	name string
	kind collect.NativeKind
	// label and value tell series of one name apart; value is empty where the disk's LUN decides.
	label, value string
	// kindOf is the value of the label «type».
	kindOf string
	// rest says that the canonical value is what is left to 1.
	rest bool
	// raw says that the metric has no canonical name and passes as it is; its unit may be empty for any.
	raw bool
	set Set
}

// dimension is what the metric has to be split by; empty for none.
func (r row) dimension() string {
	if r.label == "device" && r.value == "" {
		return dimensionLUN
	}
	return ""
}

// counts tells whether the periods come to a counter.
func (r row) counts() bool {
	return r.kind == collect.NativeDelta || r.kind == collect.NativeRate
}

// convert takes a value to its canonical unit; a rate stays one per second.
func (r row) convert(v float64) float64 {
	c, _ := fromUnit(r.unit) // the test of the table knows them all
	if v = c.Apply(v); r.rest {
		return 1 - v
	}
	return v
}

// aggregateDevice is the disks of a machine together.
const aggregateDevice = "_all"

// rows are all metrics of machines that have a canonical name.
func rows() []row {
	all := []row{
		{native: "Percentage CPU", aggregation: average, unit: "Percent", name: "vm_cpu_utilization_ratio", set: SetBasic},
		{native: "Available Memory Bytes", aggregation: average, unit: "Bytes", name: "vm_memory_available_bytes", set: SetBasic},
		{native: "Network In Total", aggregation: total, unit: "Bytes", name: "vm_network_receive_bytes_total", kind: collect.NativeDelta, label: "interface", value: aggregateDevice, set: SetBasic},
		{native: "Network Out Total", aggregation: total, unit: "Bytes", name: "vm_network_transmit_bytes_total", kind: collect.NativeDelta, label: "interface", value: aggregateDevice, set: SetBasic},
		{native: "Disk Read Bytes", aggregation: total, unit: "Bytes", name: "vm_disk_read_bytes_total", kind: collect.NativeDelta, label: "device", value: aggregateDevice, set: SetBasic},
		{native: "Disk Write Bytes", aggregation: total, unit: "Bytes", name: "vm_disk_write_bytes_total", kind: collect.NativeDelta, label: "device", value: aggregateDevice, set: SetBasic},
		{native: "Disk Read Operations/Sec", aggregation: average, unit: "CountPerSecond", name: "vm_disk_read_ops_total", kind: collect.NativeRate, label: "device", value: aggregateDevice, set: SetBasic},
		{native: "Disk Write Operations/Sec", aggregation: average, unit: "CountPerSecond", name: "vm_disk_write_ops_total", kind: collect.NativeRate, label: "device", value: aggregateDevice, set: SetBasic},
		{native: "VmAvailabilityMetric", aggregation: minimum, unit: "Count", name: "vm_available", set: SetBasic},
		{native: "Available Memory Percentage", aggregation: average, unit: "Percent", name: "vm_memory_utilization_ratio", rest: true, set: SetMemory},
		{native: "CPU Credits Remaining", aggregation: average, unit: "Count", name: "vm_cpu_credits_remaining", set: SetCredits},
		{native: "Inbound Flows", aggregation: average, unit: "Count", name: "vm_network_flows", label: "direction", value: "inbound", set: SetFlows},
		{native: "Outbound Flows", aggregation: average, unit: "Count", name: "vm_network_flows", label: "direction", value: "outbound", set: SetFlows},
	}
	for _, disk := range []struct{ native, device string }{{"OS", "os"}, {"Temp", "temp"}, {"Data", ""}} {
		all = append(all, diskRows(disk.native+" Disk ", disk.device)...)
		if disk.device != "temp" { // what a temporary disk is allowed is not told
			all = append(all, limitRows(disk.native+" Disk ", disk.device)...)
			all = append(all, burstRows(disk.native+" Disk ", disk.device)...)
		}
	}
	for _, path := range []struct{ native, burst, device string }{{"VM Cached ", "VM Local ", "_cached_all"}, {"VM Uncached ", "VM Remote ", "_uncached_all"}} {
		all = append(all, limitRows(path.native, path.device)...)
		all = append(all, burstRows(path.burst, path.device)...)
	}
	return all
}

// diskRows are the metrics of one kind of disk.
func diskRows(prefix, device string) []row {
	all := []row{
		{native: "Read Bytes/sec", unit: "BytesPerSecond", name: "vm_disk_read_bytes_total", kind: collect.NativeRate},
		{native: "Write Bytes/sec", unit: "BytesPerSecond", name: "vm_disk_write_bytes_total", kind: collect.NativeRate},
		{native: "Read Operations/Sec", unit: "CountPerSecond", name: "vm_disk_read_ops_total", kind: collect.NativeRate},
		{native: "Write Operations/Sec", unit: "CountPerSecond", name: "vm_disk_write_ops_total", kind: collect.NativeRate},
		{native: "Latency", unit: "MilliSeconds", name: "vm_disk_latency_seconds"},
		{native: "Queue Depth", unit: "Count", name: "vm_disk_queue_depth"},
	}
	return devices(all, prefix, device, SetDisks)
}

func limitRows(prefix, device string) []row {
	all := []row{
		{native: "IOPS Consumed Percentage", unit: "Percent", name: "vm_disk_iops_utilization_ratio"},
		{native: "Bandwidth Consumed Percentage", unit: "Percent", name: "vm_disk_bandwidth_utilization_ratio"},
	}
	return devices(all, prefix, device, SetDiskLimits)
}

func burstRows(prefix, device string) []row {
	all := []row{
		{native: "Used Burst IO Credits Percentage", unit: "Percent", name: "vm_disk_burst_balance_ratio", kindOf: "io", rest: true},
		{native: "Used Burst BPS Credits Percentage", unit: "Percent", name: "vm_disk_burst_balance_ratio", kindOf: "throughput", rest: true},
	}
	return devices(all, prefix, device, SetDiskLimits)
}

func devices(all []row, prefix, device string, set Set) []row {
	for i := range all {
		all[i].native = prefix + all[i].native
		all[i].aggregation, all[i].label, all[i].value, all[i].set = average, "device", device, set
	}
	return all
}

// selected are the rows of some sets. Disks are measured each by itself or all together, and both where that is asked for.
func selected(sets []Set, both bool) []row {
	chosen := map[Set]bool{SetBasic: true}
	for _, s := range sets {
		chosen[s] = true
	}
	var all []row
	for _, r := range rows() {
		together := r.label == "device" && r.value == aggregateDevice
		replaced := together && chosen[SetDisks] && !both
		if chosen[r.set] && !replaced {
			all = append(all, r)
		}
	}
	return all
}
