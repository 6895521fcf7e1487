package collect

// vmStateMetrics say how a machine is, and what it is.
func vmStateMetrics() []MetricDefinition {
	return []MetricDefinition{
		gauge("vm_load1", "", "Load of the guest over 1 minute.", OpsAgent, QemuGA),
		gauge("vm_load5", "", "Load of the guest over 5 minutes.", OpsAgent, QemuGA),
		gauge("vm_load15", "", "Load of the guest over 15 minutes.", OpsAgent, QemuGA),
		gauge("vm_processes", "", "Processes of the guest by state.", CWAgent, OpsAgent).by("state").otel("system.process.count"),
		gauge("vm_state", "", "1 for the state that the machine is in, 0 for the others.", CloudWatch, AzureMonitor, GCM, Libvirt).by("state"),
		gauge("vm_state_reason_code", "", "libvirt's number for why the machine is in its state.", Libvirt),
		gauge("vm_start_time_seconds", "seconds", "When the machine was started, in seconds since 1970.", CloudWatch, AzureMonitor, GCM, Libvirt),
		gauge("vm_uptime_seconds", "seconds", "Time since the start.", CloudWatch, AzureMonitor, GCM, Libvirt),
		gauge("vm_available", "", "1 while the machine runs and its provider finds no fault.", CloudWatch, AzureMonitor, GCM, Libvirt),
		gauge("vm_status_check_failed", "", "1 where a check of the provider failed.", CloudWatch).by("check"),
		counter("vm_lifecycle_events_total", "", "Events of the machine's life, such as started, stopped and crashed, since the agent's start.", Libvirt).by("type"),
		gauge("vm_info", "", "1; the labels say what the machine is.", CloudWatch, AzureMonitor, GCM, Libvirt).
			by("image", "flavor", "cloud_availability_zone", "os", "machine", "uuid", "resource_group", "arch", "project", "hypervisor"),
		gauge("vm_disk_info", "", "1; the labels say what a disk is.", CloudWatch, AzureMonitor, GCM, Libvirt).
			by("device", "path", "serial", "volume_id", "driver", "format", "backing_index", "storage_type", "device_type"),
		gauge("vm_network_info", "", "1; the labels say what a network interface is.", CloudWatch, AzureMonitor, GCM, Libvirt).
			by("interface", "mac", "bridge", "network", "target"),
		gauge("vm_tags", "", "1; the labels are the tags that were asked for.", CloudWatch, AzureMonitor, GCM, Libvirt).by("tag_*"),
	}
}
