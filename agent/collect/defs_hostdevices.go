package collect

import "slices"

// hostDeviceMetrics are those of a host's disks, file systems, network interfaces and storage pools.
func hostDeviceMetrics() []MetricDefinition {
	return slices.Concat(
		each("device", hostDiskMetrics()),
		eachOf([]string{"mountpoint", "device", "fstype"}, hostFilesystemMetrics()),
		each("interface", hostNetworkMetrics()),
		each("pool", []MetricDefinition{
			gauge("host_storage_pool_capacity_bytes", "bytes", "Size of a storage pool.", Libvirt),
			gauge("host_storage_pool_allocation_bytes", "bytes", "Space in use in a storage pool.", Libvirt),
			gauge("host_storage_pool_available_bytes", "bytes", "Space left in a storage pool.", Libvirt),
		}),
	)
}

func each(label string, all []MetricDefinition) []MetricDefinition {
	return eachOf([]string{label}, all)
}

func eachOf(labels []string, all []MetricDefinition) []MetricDefinition {
	for i := range all {
		all[i].Labels = labels
	}
	return all
}

func hostDiskMetrics() []MetricDefinition {
	return []MetricDefinition{
		counter("host_disk_read_bytes_total", "bytes", "Bytes read.", Host).otel("system.disk.io").node("node_disk_read_bytes_total"),
		counter("host_disk_write_bytes_total", "bytes", "Bytes written.", Host).otel("system.disk.io").node("node_disk_written_bytes_total"),
		counter("host_disk_read_ops_total", "", "Reads.", Host).otel("system.disk.operations").node("node_disk_reads_completed_total"),
		counter("host_disk_write_ops_total", "", "Writes.", Host).otel("system.disk.operations").node("node_disk_writes_completed_total"),
		counter("host_disk_read_merged_total", "", "Reads that were merged into others.", Host).otel("system.disk.merged").node("node_disk_reads_merged_total"),
		counter("host_disk_write_merged_total", "", "Writes that were merged into others.", Host).otel("system.disk.merged").node("node_disk_writes_merged_total"),
		counter("host_disk_read_time_seconds_total", "seconds", "Time that reads took.", Host).otel("system.disk.operation_time").node("node_disk_read_time_seconds_total"),
		counter("host_disk_write_time_seconds_total", "seconds", "Time that writes took.", Host).otel("system.disk.operation_time").node("node_disk_write_time_seconds_total"),
		counter("host_disk_busy_seconds_total", "seconds", "Time with I/O in flight.", Host).otel("system.disk.io_time").node("node_disk_io_time_seconds_total"),
		counter("host_disk_weighted_io_seconds_total", "seconds", "Time with I/O in flight, times the operations in flight.", Host).node("node_disk_io_time_weighted_seconds_total"),
		gauge("host_disk_queue_depth", "", "Operations in flight.", Host).node("node_disk_io_now"),
	}
}

func hostFilesystemMetrics() []MetricDefinition {
	return []MetricDefinition{
		gauge("host_filesystem_size_bytes", "bytes", "Size of a file system.", Host).otel("system.filesystem.limit").node("node_filesystem_size_bytes"),
		gauge("host_filesystem_available_bytes", "bytes", "Space that users without privileges can still fill.", Host).otel("system.filesystem.usage").node("node_filesystem_avail_bytes"),
		gauge("host_filesystem_free_bytes", "bytes", "Space not in use.", Host).otel("system.filesystem.usage").node("node_filesystem_free_bytes"),
		gauge("host_filesystem_inodes", "", "Inodes of a file system.", Host).node("node_filesystem_files"),
		gauge("host_filesystem_inodes_free", "", "Free inodes.", Host).node("node_filesystem_files_free"),
	}
}

func hostNetworkMetrics() []MetricDefinition {
	return []MetricDefinition{
		counter("host_network_receive_bytes_total", "bytes", "Bytes received.", Host).otel("system.network.io").node("node_network_receive_bytes_total"),
		counter("host_network_transmit_bytes_total", "bytes", "Bytes sent.", Host).otel("system.network.io").node("node_network_transmit_bytes_total"),
		counter("host_network_receive_packets_total", "", "Packets received.", Host).otel("system.network.packet.count").node("node_network_receive_packets_total"),
		counter("host_network_transmit_packets_total", "", "Packets sent.", Host).otel("system.network.packet.count").node("node_network_transmit_packets_total"),
		counter("host_network_receive_errors_total", "", "Packets received with errors.", Host).otel("system.network.errors").node("node_network_receive_errs_total"),
		counter("host_network_transmit_errors_total", "", "Packets that failed to be sent.", Host).otel("system.network.errors").node("node_network_transmit_errs_total"),
		counter("host_network_receive_dropped_total", "", "Packets dropped on the way in.", Host).otel("system.network.packet.dropped").node("node_network_receive_drop_total"),
		counter("host_network_transmit_dropped_total", "", "Packets dropped on the way out.", Host).otel("system.network.packet.dropped").node("node_network_transmit_drop_total"),
		gauge("host_network_up", "", "1 while the interface is up.", Host).node("node_network_up"),
		gauge("host_network_speed_bytes_per_second", "bytes_per_second", "Speed of the link.", Host).node("node_network_speed_bytes"),
	}
}
