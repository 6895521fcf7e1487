package collect

// vmMemoryMetrics are those of a machine's memory.
func vmMemoryMetrics() []MetricDefinition {
	return []MetricDefinition{
		gauge("vm_memory_limit_bytes", "bytes", "Most memory that the machine can have.", CloudWatch, AzureMonitor, GCM, Libvirt).otel("system.memory.limit"),
		gauge("vm_memory_allocated_bytes", "bytes", "Size of the balloon: what the machine has been given, not what it uses.", Libvirt),
		gauge("vm_memory_guest_total_bytes", "bytes", "Memory as the guest counts it.", CWAgent, OpsAgent, Libvirt),
		gauge("vm_memory_available_bytes", "bytes", "Memory that the guest can use without swapping.", CWAgent, AzureMonitor, OpsAgent, Libvirt).otel("system.memory.linux.available"),
		gauge("vm_memory_used_bytes", "bytes", "Memory in use in the guest.", CWAgent, GCM, OpsAgent, Libvirt).otel("system.memory.usage"),
		gauge("vm_memory_utilization_ratio", "ratio", "Share of the guest's memory in use.", CWAgent, AzureMonitor, GCM, OpsAgent, Libvirt).otel("system.memory.utilization"),
		gauge("vm_memory_unused_bytes", "bytes", "Memory that the guest does not use at all.", CWAgent, OpsAgent, Libvirt),
		gauge("vm_memory_disk_cache_bytes", "bytes", "Memory that caches files in the guest.", CWAgent, OpsAgent, Libvirt),
		gauge("vm_memory_rss_bytes", "bytes", "Memory of the host that the machine's process holds.", Libvirt),
		counter("vm_memory_swap_in_bytes_total", "bytes", "Bytes swapped in by the guest.", GCM, Libvirt),
		counter("vm_memory_swap_out_bytes_total", "bytes", "Bytes swapped out by the guest.", GCM, Libvirt),
		counter("vm_memory_swap_ops_total", "", "Swap operations of the guest.", OpsAgent).by("direction").otel("system.paging.operations"),
		counter("vm_memory_page_faults_total", "", "Page faults of the guest, major or minor.", Libvirt).by("type").otel("system.paging.faults"),
		counter("vm_memory_hugepage_allocations_total", "", "Huge pages that the guest asked for, by result.", Libvirt).by("result"),
		gauge("vm_memory_stats_age_seconds", "seconds", "Age of what the guest's balloon driver told last.", Libvirt),
		gauge("vm_swap_used_bytes", "bytes", "Swap space in use in the guest.", CWAgent, OpsAgent).otel("system.paging.usage"),
		gauge("vm_memory_dirty_rate_bytes_per_second", "bytes_per_second", "How fast the guest dirties memory, where that was measured.", Libvirt),
	}
}
