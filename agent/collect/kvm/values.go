package kvm

import "strings"

// rule turns a value of libvirt's into a canonical one.
type rule struct {
	field, metric string
	factor        float64
	// labels are pairs, besides those of the machine and the device.
	labels []string
}

const (
	nano = 1e-9
	kib  = 1024
	mib  = 1 << 20
)

// wholeRules are for the machine as a whole.
var wholeRules = []rule{
	{"cpu.time", "vm_cpu_seconds_total", nano, nil},
	{"cpu.user", "vm_cpu_mode_seconds_total", nano, []string{"mode", "user"}},
	{"cpu.system", "vm_cpu_mode_seconds_total", nano, []string{"mode", "system"}},
	{"cpu.haltpoll.success.time", "vm_cpu_haltpoll_seconds_total", nano, []string{"result", "success"}},
	{"cpu.haltpoll.fail.time", "vm_cpu_haltpoll_seconds_total", nano, []string{"result", "fail"}},
	{"vcpu.current", "vm_vcpus", 1, nil},
	{"vcpu.maximum", "vm_vcpus_limit", 1, nil},
	{"balloon.current", "vm_memory_allocated_bytes", kib, nil},
	{"balloon.maximum", "vm_memory_limit_bytes", kib, nil},
	{"balloon.rss", "vm_memory_rss_bytes", kib, nil},
}

// guestRules are for what the guest's balloon driver tells: they hold only while it does.
var guestRules = []rule{
	{"balloon.available", "vm_memory_guest_total_bytes", kib, nil},
	{"balloon.unused", "vm_memory_unused_bytes", kib, nil},
	{"balloon.disk_caches", "vm_memory_disk_cache_bytes", kib, nil},
	{"balloon.swap_in", "vm_memory_swap_in_bytes_total", kib, nil},
	{"balloon.swap_out", "vm_memory_swap_out_bytes_total", kib, nil},
	{"balloon.major_fault", "vm_memory_page_faults_total", 1, []string{"type", "major"}},
	{"balloon.minor_fault", "vm_memory_page_faults_total", 1, []string{"type", "minor"}},
	{"balloon.hugetlb_pgalloc", "vm_memory_hugepage_allocations_total", 1, []string{"result", "success"}},
	{"balloon.hugetlb_pgfail", "vm_memory_hugepage_allocations_total", 1, []string{"result", "fail"}},
}

// vcpuRules have the label vcpu.
var vcpuRules = []rule{
	{"time", "vm_vcpu_seconds_total", nano, nil},
	{"wait", "vm_vcpu_wait_seconds_total", nano, nil},
	{"delay", "vm_vcpu_steal_seconds_total", nano, nil},
	{"halted", "vm_vcpu_halted", 1, nil},
}

// diskRules have the label device.
var diskRules = []rule{
	{"rd.bytes", "vm_disk_read_bytes_total", 1, nil}, {"wr.bytes", "vm_disk_write_bytes_total", 1, nil},
	{"rd.reqs", "vm_disk_read_ops_total", 1, nil}, {"wr.reqs", "vm_disk_write_ops_total", 1, nil},
	{"rd.times", "vm_disk_read_time_seconds_total", nano, nil}, {"wr.times", "vm_disk_write_time_seconds_total", nano, nil},
	{"fl.reqs", "vm_disk_flush_ops_total", 1, nil}, {"fl.times", "vm_disk_flush_time_seconds_total", nano, nil},
	{"capacity", "vm_disk_capacity_bytes", 1, nil}, {"allocation", "vm_disk_allocation_bytes", 1, nil},
	{"physical", "vm_disk_physical_bytes", 1, nil}, {"errors", "vm_disk_errors_total", 1, nil},
	{"threshold", "vm_disk_write_threshold_bytes", 1, nil},
}

// cardRules have the label interface.
var cardRules = []rule{
	{"rx.bytes", "vm_network_receive_bytes_total", 1, nil}, {"tx.bytes", "vm_network_transmit_bytes_total", 1, nil},
	{"rx.pkts", "vm_network_receive_packets_total", 1, nil}, {"tx.pkts", "vm_network_transmit_packets_total", 1, nil},
	{"rx.errs", "vm_network_receive_errors_total", 1, nil}, {"tx.errs", "vm_network_transmit_errors_total", 1, nil},
	{"rx.drop", "vm_network_receive_dropped_total", 1, nil}, {"tx.drop", "vm_network_transmit_dropped_total", 1, nil},
}

// states are the canonical names of libvirt's states, by their numbers.
var states = []string{"unknown", "running", "running", "paused", "stopping", "stopped", "crashed", "suspended"}

// allStates are those that a machine here can be in.
var allStates = []string{"running", "paused", "suspended", "stopping", "stopped", "crashed", "unknown"}

func stateName(number float64, known bool) string {
	if !known || number < 0 || int(number) >= len(states) {
		return "unknown"
	}
	return states[int(number)]
}

// vcpuStates are libvirt's, by their numbers.
var vcpuStates = []string{"offline", "running", "blocked"}

// with adds pairs of labels to a copy.
func with(labels map[string]string, pairs ...string) map[string]string {
	all := make(map[string]string, len(labels)+len(pairs)/2)
	for name, value := range labels {
		all[name] = value
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all[pairs[i]] = strings.ToValidUTF8(pairs[i+1], "")
		}
	}
	return all
}
