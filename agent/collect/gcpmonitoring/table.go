package gcpmonitoring

import "slices"

// table is every metric type that has a canonical name.
func table() []row {
	return slices.Concat(defaultRows(), extendedRows(), agentRows(), agentDeviceRows())
}

// defaultRows are cheap: 9 types.
func defaultRows() []row {
	return in(setDefault, instancePrefix,
		gauge("cpu/utilization", "vm_cpu_utilization_ratio"),
		delta("cpu/usage_time", "vm_cpu_seconds_total"),
		delta("network/received_bytes_count", "vm_network_receive_bytes_total").with("interface", "_all"),
		delta("network/sent_bytes_count", "vm_network_transmit_bytes_total").with("interface", "_all"),
		delta("disk/read_bytes_count", "vm_disk_read_bytes_total").by("device_name", "device"),
		delta("disk/write_bytes_count", "vm_disk_write_bytes_total").by("device_name", "device"),
		delta("disk/read_ops_count", "vm_disk_read_ops_total").by("device_name", "device"),
		delta("disk/write_ops_count", "vm_disk_write_ops_total").by("device_name", "device"),
		gauge("uptime_total", "vm_uptime_seconds"),
	)
}

// extendedRows are the rest of what Google measures from outside of the machine.
func extendedRows() []row {
	return slices.Concat(in(setExtended, instancePrefix,
		gauge("cpu/guest_visible_vcpus", "vm_vcpus"),
		gauge("cpu/reserved_cores", "vm_vcpus_reserved"),
		delta("cpu/scheduler_wait_time", "vm_cpu_steal_seconds_total"),
		gauge("memory/balloon/ram_size", "vm_memory_limit_bytes"),
		gauge("memory/balloon/ram_used", "vm_memory_used_bytes"),
		delta("memory/balloon/swap_in_bytes_count", "vm_memory_swap_in_bytes_total"),
		delta("memory/balloon/swap_out_bytes_count", "vm_memory_swap_out_bytes_total"),
		gauge("disk/average_io_latency", "vm_disk_latency_seconds").by("device_name", "device").byMean(),
		gauge("disk/average_io_queue_depth", "vm_disk_queue_depth").by("device_name", "device"),
		gauge("disk/provisioning/size", "vm_disk_capacity_bytes").by("device_name", "device"),
		delta("network/received_packets_count", "vm_network_receive_packets_total").with("interface", "_all"),
		delta("network/sent_packets_count", "vm_network_transmit_packets_total").with("interface", "_all"),
		delta("uptime", "vm_available").measuredIn("seconds"),
	), in(setExtended, computePrefix,
		delta("firewall/dropped_packets_count", "vm_network_firewall_dropped_packets_total"),
		delta("firewall/dropped_bytes_count", "vm_network_firewall_dropped_bytes_total"),
	))
}

// agentRows are what the Ops Agent tells of processors, memory and processes.
func agentRows() []row {
	return in(setAgent, agentPrefix,
		cumulative("cpu/usage_time", "vm_cpu_mode_seconds_total").by("cpu_state", "mode"),
		gauge("cpu/utilization", "vm_cpu_mode_ratio").by("cpu_state", "mode").byMean(),
		gauge("cpu/load_1m", "vm_load1"),
		gauge("cpu/load_5m", "vm_load5"),
		gauge("cpu/load_15m", "vm_load15"),
		gauge("memory/bytes_used", "vm_memory_guest_total_bytes"),
		gauge("memory/bytes_used", "vm_memory_available_bytes").where("state", "free", "cached", "buffered"),
		gauge("memory/bytes_used", "vm_memory_used_bytes").where("state", "used"),
		gauge("memory/bytes_used", "vm_memory_unused_bytes").where("state", "free"),
		gauge("memory/bytes_used", "vm_memory_disk_cache_bytes").where("state", "cached", "buffered"),
		gauge("memory/percent_used", "vm_memory_utilization_ratio").where("state", "used"),
		cumulative("swap/io", "vm_memory_swap_ops_total").by("direction", "direction"),
		gauge("swap/bytes_used", "vm_swap_used_bytes").where("state", "used"),
		gauge("processes/count_by_state", "vm_processes").by("state", "state"),
		gauge("network/tcp_connections", "vm_network_tcp_connections").by("tcp_state", "state"),
	)
}

// agentDeviceRows are what the Ops Agent tells of disks, file systems and network interfaces.
func agentDeviceRows() []row {
	return in(setAgent, agentPrefix,
		cumulative("disk/read_bytes_count", "vm_disk_read_bytes_total").by("device", "device"),
		cumulative("disk/write_bytes_count", "vm_disk_write_bytes_total").by("device", "device"),
		cumulative("disk/operation_count", "vm_disk_read_ops_total").by("device", "device").where("direction", "read"),
		cumulative("disk/operation_count", "vm_disk_write_ops_total").by("device", "device").where("direction", "write"),
		cumulative("disk/operation_time", "vm_disk_read_time_seconds_total").by("device", "device").where("direction", "read"),
		cumulative("disk/operation_time", "vm_disk_write_time_seconds_total").by("device", "device").where("direction", "write"),
		cumulative("disk/io_time", "vm_disk_busy_seconds_total").by("device", "device"),
		gauge("disk/pending_operations", "vm_disk_queue_depth").by("device", "device"),
		gauge("disk/bytes_used", "vm_filesystem_size_bytes").by("device", "device"),
		gauge("disk/bytes_used", "vm_filesystem_used_bytes").by("device", "device").where("state", "used"),
		gauge("disk/bytes_used", "vm_filesystem_available_bytes").by("device", "device").where("state", "free"),
		gauge("disk/percent_used", "vm_filesystem_utilization_ratio").by("device", "device").where("state", "used"),
		cumulative("interface/traffic", "vm_network_receive_bytes_total").by("device", "interface").where("direction", "rx"),
		cumulative("interface/traffic", "vm_network_transmit_bytes_total").by("device", "interface").where("direction", "tx"),
		cumulative("interface/packets", "vm_network_receive_packets_total").by("device", "interface").where("direction", "rx"),
		cumulative("interface/packets", "vm_network_transmit_packets_total").by("device", "interface").where("direction", "tx"),
		cumulative("interface/errors", "vm_network_receive_errors_total").by("device", "interface").where("direction", "rx"),
		cumulative("interface/errors", "vm_network_transmit_errors_total").by("device", "interface").where("direction", "tx"),
	)
}
