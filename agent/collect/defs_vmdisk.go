package collect

// vmDiskMetrics are those of a machine's disks and file systems.
func vmDiskMetrics() []MetricDefinition {
	disk := []MetricDefinition{
		counter("vm_disk_read_bytes_total", "bytes", "Bytes read.", CloudWatch, CWAgent, AzureMonitor, GCM, OpsAgent, Libvirt).otel("system.disk.io"),
		counter("vm_disk_write_bytes_total", "bytes", "Bytes written.", CloudWatch, CWAgent, AzureMonitor, GCM, OpsAgent, Libvirt).otel("system.disk.io"),
		counter("vm_disk_read_ops_total", "", "Reads.", CloudWatch, CWAgent, AzureMonitor, GCM, OpsAgent, Libvirt).otel("system.disk.operations"),
		counter("vm_disk_write_ops_total", "", "Writes.", CloudWatch, CWAgent, AzureMonitor, GCM, OpsAgent, Libvirt).otel("system.disk.operations"),
		counter("vm_disk_read_time_seconds_total", "seconds", "Time that reads took.", CloudWatch, CWAgent, OpsAgent, Libvirt).otel("system.disk.operation_time"),
		counter("vm_disk_write_time_seconds_total", "seconds", "Time that writes took.", CloudWatch, CWAgent, OpsAgent, Libvirt).otel("system.disk.operation_time"),
		counter("vm_disk_flush_ops_total", "", "Flushes.", Libvirt),
		counter("vm_disk_flush_time_seconds_total", "seconds", "Time that flushes took.", Libvirt),
		counter("vm_disk_busy_seconds_total", "seconds", "Time with I/O in flight.", CloudWatch, CWAgent, OpsAgent).otel("system.disk.io_time"),
		gauge("vm_disk_latency_seconds", "seconds", "Mean time of an operation in the period.", CloudWatch, AzureMonitor, GCM, Libvirt),
		gauge("vm_disk_queue_depth", "", "Operations in flight.", CloudWatch, CWAgent, AzureMonitor, GCM, OpsAgent),
		gauge("vm_disk_capacity_bytes", "bytes", "Size as the guest sees it.", CloudWatch, AzureMonitor, GCM, Libvirt).otel("system.disk.limit"),
		gauge("vm_disk_allocation_bytes", "bytes", "Highest offset that was written.", Libvirt),
		gauge("vm_disk_physical_bytes", "bytes", "Size of the file or device on the host.", Libvirt),
		gauge("vm_disk_iops_utilization_ratio", "ratio", "Share of the provisioned operations per second in use.", CloudWatch, AzureMonitor),
		gauge("vm_disk_bandwidth_utilization_ratio", "ratio", "Share of the provisioned bandwidth in use.", AzureMonitor),
		counter("vm_disk_errors_total", "", "Failed operations; told by Xen alone.", Libvirt),
		gauge("vm_disk_write_threshold_bytes", "bytes", "Offset beyond which a write raises an event.", Libvirt),
	}
	for i := range disk {
		disk[i].Labels = []string{"device"}
	}
	return append(disk, append(vmFilesystemMetrics(),
		gauge("vm_disk_burst_balance_ratio", "ratio", "Burst credits left; 1 is full.", CloudWatch, AzureMonitor).by("device", "type"),
	)...)
}

// vmFilesystemMetrics are known only inside of the guest.
func vmFilesystemMetrics() []MetricDefinition {
	all := []MetricDefinition{
		gauge("vm_filesystem_size_bytes", "bytes", "Size of a file system in the guest.", CWAgent, OpsAgent, QemuGA).otel("system.filesystem.limit"),
		gauge("vm_filesystem_used_bytes", "bytes", "Space in use.", CWAgent, OpsAgent, QemuGA).otel("system.filesystem.usage"),
		gauge("vm_filesystem_available_bytes", "bytes", "Space left.", CWAgent, OpsAgent, QemuGA).otel("system.filesystem.usage"),
		gauge("vm_filesystem_utilization_ratio", "ratio", "Share of the space in use.", CWAgent, OpsAgent, QemuGA).otel("system.filesystem.utilization"),
		gauge("vm_filesystem_inodes", "", "Inodes of a file system in the guest.", CWAgent),
		gauge("vm_filesystem_inodes_used", "", "Inodes in use.", CWAgent),
	}
	for i := range all {
		all[i].Labels = []string{"mountpoint", "device", "fstype"}
	}
	return all
}
