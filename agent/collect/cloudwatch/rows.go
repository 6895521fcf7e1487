package cloudwatch

import (
	"strings"

	"github.com/novacron/novacron/agent/collect"
)

// Namespaces that have canonical names.
const (
	nsEC2   = "AWS/EC2"
	nsEBS   = "AWS/EBS"
	nsAgent = "CWAgent"
)

// row is how one canonical metric comes of native ones.
type row struct {
	set       Set
	name      string
	source    collect.Source
	namespace string
	// natives are what is asked for; combine makes one value of theirs in one period.
	natives []native
	combine combine
	kind    collect.NativeKind
	class   class
	// labels are the same for all series of the row.
	labels map[string]string
	// dimensions are those of the agent's metrics beside the machine, with the labels that they become.
	dimensions map[string]dimension
	// where leaves out machines, or volumes, that do not have the metric.
	where func(machine, volume) bool
	// sum says that it is a sum over volumes.
	sum bool
}

// native is a metric of CloudWatch with its statistic.
type native struct {
	name, stat string
	// unit is CloudWatch's; what was published in another is left out.
	unit string
}

// dimension says what becomes of one.
type dimension struct {
	// label takes its value; empty for none.
	label string
	// only is the value that it must have; empty for any.
	only string
}

func (r row) with(label, value string) row {
	labels := map[string]string{label: value}
	for name, v := range r.labels {
		labels[name] = v
	}
	r.labels = labels
	return r
}

func (r row) in(set Set) row { r.set = set; return r }

func (r row) of(c class) row { r.class = c; return r }

func (r row) only(where func(machine, volume) bool) row { r.where = where; return r }

func (r row) by(how combine) row { r.combine = how; return r }

func (r row) sums() row { r.sum = true; return r }

// gauge, amount and the namespaces' variants of them keep the tables readable: a row per metric.
func gauge(name string, natives ...native) row {
	return row{name: name, source: collect.CloudWatch, natives: natives, combine: first, kind: collect.NativeGauge, class: classBasic}
}

func amount(name string, natives ...native) row {
	r := gauge(name, natives...)
	r.kind = collect.NativeDelta
	return r
}

func average(name, unit string) native { return native{name, "Average", unit} }

func maximum(name, unit string) native { return native{name, "Maximum", unit} }

func sum(name, unit string) native { return native{name, "Sum", unit} }

func burstable(m machine, _ volume) bool { return strings.HasPrefix(m.Type, "t") }

func hasInstanceStore(m machine, _ volume) bool { return m.Model.InstanceStore || !m.Model.Known }

func hasEBSMetrics(m machine, _ volume) bool { return m.Model.Hypervisor != "xen" }

// machineRows are those of AWS/EC2. What the provider publishes in Count is asked for in any unit: it is a plain number.
func machineRows() []row {
	network := func(name, metric, unit string) row {
		return amount(name, sum(metric, unit)).with("interface", "_all")
	}
	ebs := func(name, metric, unit string) row {
		return amount(name, sum(metric, unit)).with("device", "_ebs_all").only(hasEBSMetrics).sums()
	}
	store := func(name, metric, unit string) row {
		return amount(name, sum(metric, unit)).with("device", "_instance_store_all").only(hasInstanceStore).in(SetExtended)
	}
	check := func(label, metric string) row {
		return gauge("vm_status_check_failed", maximum(metric, "")).with("check", label).of(classStatus)
	}
	balance := func(kind, metric string) row {
		return gauge("vm_disk_burst_balance_ratio", average(metric, "Percent")).
			with("device", "_ebs_all").with("type", kind).only(hasEBSMetrics).in(SetExtended)
	}
	rows := []row{
		gauge("vm_cpu_utilization_ratio", average("CPUUtilization", "Percent")),
		network("vm_network_receive_bytes_total", "NetworkIn", "Bytes"),
		network("vm_network_transmit_bytes_total", "NetworkOut", "Bytes"),
		ebs("vm_disk_read_bytes_total", "EBSReadBytes", "Bytes"),
		ebs("vm_disk_write_bytes_total", "EBSWriteBytes", "Bytes"),
		ebs("vm_disk_read_ops_total", "EBSReadOps", ""),
		ebs("vm_disk_write_ops_total", "EBSWriteOps", ""),
		check("any", "StatusCheckFailed"),
		gauge("vm_available", maximum("StatusCheckFailed", "")).by(complement).of(classStatus),

		network("vm_network_receive_packets_total", "NetworkPacketsIn", "").in(SetExtended),
		network("vm_network_transmit_packets_total", "NetworkPacketsOut", "").in(SetExtended),
		store("vm_disk_read_bytes_total", "DiskReadBytes", "Bytes"),
		store("vm_disk_write_bytes_total", "DiskWriteBytes", "Bytes"),
		store("vm_disk_read_ops_total", "DiskReadOps", ""),
		store("vm_disk_write_ops_total", "DiskWriteOps", ""),
		check("instance", "StatusCheckFailed_Instance").in(SetExtended),
		check("system", "StatusCheckFailed_System").in(SetExtended),
		check("attached_ebs", "StatusCheckFailed_AttachedEBS").only(hasEBSMetrics).in(SetExtended),
		gauge("vm_cpu_credits_remaining", average("CPUCreditBalance", "")).of(classCredits).only(burstable).in(SetExtended),
		amount("vm_cpu_credits_spent_total", sum("CPUCreditUsage", "")).of(classCredits).only(burstable).in(SetExtended),
		gauge("vm_cpu_surplus_credits", average("CPUSurplusCreditBalance", "")).of(classCredits).only(burstable).in(SetExtended),
		balance("io", "EBSIOBalance%"),
		balance("throughput", "EBSByteBalance%"),
	}
	for i := range rows {
		rows[i].namespace = nsEC2
		orDefault(&rows[i].set, SetDefault)
	}
	return rows
}

func volumeOf(types ...string) func(machine, volume) bool {
	return func(_ machine, v volume) bool {
		for _, t := range types {
			if v.Type == t {
				return true
			}
		}
		return false
	}
}

// volumeRows are those of AWS/EBS. Of its amounts Sum alone means the same on all machines.
func volumeRows() []row {
	rows := []row{
		amount("vm_disk_read_bytes_total", sum("VolumeReadBytes", "Bytes")),
		amount("vm_disk_write_bytes_total", sum("VolumeWriteBytes", "Bytes")),
		amount("vm_disk_read_ops_total", sum("VolumeReadOps", "")),
		amount("vm_disk_write_ops_total", sum("VolumeWriteOps", "")),
		amount("vm_disk_read_time_seconds_total", sum("VolumeTotalReadTime", "Seconds")),
		amount("vm_disk_write_time_seconds_total", sum("VolumeTotalWriteTime", "Seconds")),
		amount("vm_disk_busy_seconds_total", sum("VolumeIdleTime", "Seconds")).by(restOfPeriod),
		gauge("vm_disk_latency_seconds", sum("VolumeTotalReadTime", "Seconds"), sum("VolumeTotalWriteTime", "Seconds"),
			sum("VolumeReadOps", ""), sum("VolumeWriteOps", "")).by(latency),
		gauge("vm_disk_queue_depth", average("VolumeQueueLength", "")),
		gauge("vm_disk_iops_utilization_ratio", average("VolumeThroughputPercentage", "Percent")).only(volumeOf("io1", "io2")),
		gauge("vm_disk_burst_balance_ratio", average("BurstBalance", "Percent")).with("type", "io").only(volumeOf("gp2")),
		gauge("vm_disk_burst_balance_ratio", average("BurstBalance", "Percent")).with("type", "throughput").only(volumeOf("st1", "sc1")),
	}
	for i := range rows {
		rows[i].namespace, rows[i].set, rows[i].class = nsEBS, SetVolumes, classVolume
	}
	return rows
}
