package cloudwatch

import "github.com/novacron/novacron/agent/collect"

// Dimensions of the agent's plugins.
var (
	ofTotalCPU   = map[string]dimension{"cpu": {only: "cpu-total"}}
	ofDisk       = map[string]dimension{"name": {label: "device"}}
	ofInterface  = map[string]dimension{"interface": {label: "interface"}}
	ofFilesystem = map[string]dimension{"path": {label: "mountpoint"}, "device": {label: "device"}, "fstype": {label: "fstype"}}
)

// agentRows are those of CWAgent: metrics that CloudWatch's agent publishes under its own names. Its documentation has
// their units; swap_used is in bytes, processes_* count.
func agentRows() []row {
	rows := []row{gauge("vm_cpu_utilization_ratio", average("cpu_usage_active", "Percent")).per(ofTotalCPU)}
	for _, mode := range []string{"user", "system", "idle", "iowait", "irq", "softirq", "nice", "steal", "guest"} {
		rows = append(rows, gauge("vm_cpu_mode_ratio", average("cpu_usage_"+mode, "Percent")).with("mode", mode).per(ofTotalCPU))
	}
	for _, state := range []string{"close", "close_wait", "closing", "established", "fin_wait1", "fin_wait2", "last_ack", "listen", "none", "syn_sent", "syn_recv", "time_wait"} {
		rows = append(rows, gauge("vm_network_tcp_connections", average("netstat_tcp_"+state, "")).with("state", state))
	}
	for _, state := range []string{"blocked", "dead", "idle", "paging", "running", "sleeping", "stopped", "wait", "zombies"} {
		rows = append(rows, gauge("vm_processes", average("processes_"+state, "")).with("state", state))
	}
	rows = append(append(append(rows, agentMemoryRows()...), agentDiskRows()...), agentNetworkRows()...)
	for i := range rows {
		rows[i].namespace, rows[i].source, rows[i].set, rows[i].class = nsAgent, collect.CWAgent, SetAgent, classAgent
	}
	return rows
}

func (r row) per(dimensions map[string]dimension) row { r.dimensions = dimensions; return r }

func agentMemoryRows() []row {
	return []row{
		gauge("vm_memory_guest_total_bytes", average("mem_total", "Bytes")),
		gauge("vm_memory_available_bytes", average("mem_available", "Bytes")),
		gauge("vm_memory_used_bytes", average("mem_used", "Bytes")),
		gauge("vm_memory_utilization_ratio", average("mem_used_percent", "Percent")),
		gauge("vm_memory_unused_bytes", average("mem_free", "Bytes")),
		gauge("vm_memory_disk_cache_bytes", average("mem_cached", "Bytes"), average("mem_buffered", "Bytes")).by(total),
		gauge("vm_swap_used_bytes", average("swap_used", "Bytes")),
	}
}

func agentDiskRows() []row {
	rows := []row{
		amount("vm_disk_read_bytes_total", sum("diskio_read_bytes", "Bytes")),
		amount("vm_disk_write_bytes_total", sum("diskio_write_bytes", "Bytes")),
		amount("vm_disk_read_ops_total", sum("diskio_reads", "")),
		amount("vm_disk_write_ops_total", sum("diskio_writes", "")),
		amount("vm_disk_read_time_seconds_total", sum("diskio_read_time", "Milliseconds")),
		amount("vm_disk_write_time_seconds_total", sum("diskio_write_time", "Milliseconds")),
		amount("vm_disk_busy_seconds_total", sum("diskio_io_time", "Milliseconds")),
		gauge("vm_disk_queue_depth", average("diskio_iops_in_progress", "")),
	}
	for i := range rows {
		rows[i].dimensions = ofDisk
	}
	for _, r := range []row{
		gauge("vm_filesystem_size_bytes", average("disk_total", "Bytes")),
		gauge("vm_filesystem_used_bytes", average("disk_used", "Bytes")),
		gauge("vm_filesystem_available_bytes", average("disk_free", "Bytes")),
		gauge("vm_filesystem_utilization_ratio", average("disk_used_percent", "Percent")),
		gauge("vm_filesystem_inodes", average("disk_inodes_total", "")),
		gauge("vm_filesystem_inodes_used", average("disk_inodes_used", "")),
	} {
		rows = append(rows, r.per(ofFilesystem))
	}
	return rows
}

func agentNetworkRows() []row {
	rows := []row{
		amount("vm_network_receive_bytes_total", sum("net_bytes_recv", "Bytes")),
		amount("vm_network_transmit_bytes_total", sum("net_bytes_sent", "Bytes")),
		amount("vm_network_receive_packets_total", sum("net_packets_recv", "")),
		amount("vm_network_transmit_packets_total", sum("net_packets_sent", "")),
		amount("vm_network_receive_errors_total", sum("net_err_in", "")),
		amount("vm_network_transmit_errors_total", sum("net_err_out", "")),
		amount("vm_network_receive_dropped_total", sum("net_drop_in", "")),
		amount("vm_network_transmit_dropped_total", sum("net_drop_out", "")),
	}
	for i := range rows {
		rows[i].dimensions = ofInterface
	}
	return rows
}
