package cloudwatch

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
)

// rowCase is a row of the specification: what is published for each step and what comes of it.
type rowCase struct {
	native, unit string
	value        float64
	series       string
	want         float64
}

// cases are those of AWS/EC2: 5 minutes a step, collected when the period from 12:00 is final.
var machineCases = []rowCase{
	{"CPUUtilization", "Percent", 37.5, `vm_cpu_utilization_ratio`, 0.375},
	{"NetworkIn", "Bytes", 6000, `vm_network_receive_bytes_total,interface="_all"`, 6000},
	{"NetworkOut", "Bytes", 7000, `vm_network_transmit_bytes_total,interface="_all"`, 7000},
	{"EBSReadBytes", "Bytes", 1, `vm_disk_read_bytes_total,device="_ebs_all"`, 1},
	{"EBSWriteBytes", "Bytes", 2, `vm_disk_write_bytes_total,device="_ebs_all"`, 2},
	{"EBSReadOps", "Count", 3, `vm_disk_read_ops_total,device="_ebs_all"`, 3},
	{"EBSWriteOps", "Count", 4, `vm_disk_write_ops_total,device="_ebs_all"`, 4},
	{"StatusCheckFailed", "Count", 1, `vm_status_check_failed,check="any"`, 1},
	{"StatusCheckFailed", "Count", 1, `vm_available`, 0},
	{"NetworkPacketsIn", "Count", 5, `vm_network_receive_packets_total,interface="_all"`, 5},
	{"NetworkPacketsOut", "Count", 6, `vm_network_transmit_packets_total,interface="_all"`, 6},
	{"DiskReadBytes", "Bytes", 7, `vm_disk_read_bytes_total,device="_instance_store_all"`, 7},
	{"DiskWriteBytes", "Bytes", 8, `vm_disk_write_bytes_total,device="_instance_store_all"`, 8},
	{"DiskReadOps", "Count", 9, `vm_disk_read_ops_total,device="_instance_store_all"`, 9},
	{"DiskWriteOps", "Count", 10, `vm_disk_write_ops_total,device="_instance_store_all"`, 10},
	{"StatusCheckFailed_Instance", "Count", 1, `vm_status_check_failed,check="instance"`, 1},
	{"StatusCheckFailed_System", "Count", 1, `vm_status_check_failed,check="system"`, 1},
	{"StatusCheckFailed_AttachedEBS", "Count", 1, `vm_status_check_failed,check="attached_ebs"`, 1},
	{"CPUCreditBalance", "Count", 144, `vm_cpu_credits_remaining`, 144},
	{"CPUCreditUsage", "Count", 0.5, `vm_cpu_credits_spent_total`, 0.5},
	{"CPUSurplusCreditBalance", "Count", 12, `vm_cpu_surplus_credits`, 12},
	{"EBSIOBalance%", "Percent", 90, `vm_disk_burst_balance_ratio,device="_ebs_all",type="io"`, 0.9},
	{"EBSByteBalance%", "Percent", 80, `vm_disk_burst_balance_ratio,device="_ebs_all",type="throughput"`, 0.8},
}

// volumeCases are those of AWS/EBS: a minute a step, five in a period. The latency is (50 s + 10 s) / (1000 + 500).
var volumeCases = []rowCase{
	{"VolumeReadBytes", "Bytes", 100, `vm_disk_read_bytes_total,device="sda1"`, 500},
	{"VolumeWriteBytes", "Bytes", 200, `vm_disk_write_bytes_total,device="sda1"`, 1000},
	{"VolumeReadOps", "Count", 200, `vm_disk_read_ops_total,device="sda1"`, 1000},
	{"VolumeWriteOps", "Count", 100, `vm_disk_write_ops_total,device="sda1"`, 500},
	{"VolumeTotalReadTime", "Seconds", 10, `vm_disk_read_time_seconds_total,device="sda1"`, 50},
	{"VolumeTotalWriteTime", "Seconds", 2, `vm_disk_write_time_seconds_total,device="sda1"`, 10},
	{"VolumeTotalWriteTime", "Seconds", 2, `vm_disk_latency_seconds,device="sda1"`, 0.04},
	{"VolumeIdleTime", "Seconds", 48, `vm_disk_busy_seconds_total,device="sda1"`, 60},
	{"VolumeQueueLength", "Count", 1.5, `vm_disk_queue_depth,device="sda1"`, 1.5},
	{"VolumeThroughputPercentage", "Percent", 75, `vm_disk_iops_utilization_ratio,device="sda1"`, 0.75},
	{"BurstBalance", "Percent", 60, `vm_disk_burst_balance_ratio,device="sda1",type="io"`, 0.6},
	{"BurstBalance", "Percent", 60, `vm_disk_burst_balance_ratio,device="sda1",type="throughput"`, 0.6},
}

// agentCases are those of CWAgent: a minute a step; at 12:10 seven are final.
var agentCases = []rowCase{
	{"mem_total", "Bytes", 8e9, `vm_memory_guest_total_bytes`, 8e9},
	{"mem_available", "Bytes", 6e9, `vm_memory_available_bytes`, 6e9},
	{"mem_used", "Bytes", 2e9, `vm_memory_used_bytes`, 2e9},
	{"mem_used_percent", "Percent", 25, `vm_memory_utilization_ratio`, 0.25},
	{"mem_free", "Bytes", 3e9, `vm_memory_unused_bytes`, 3e9},
	{"mem_cached", "Bytes", 1e9, `vm_memory_disk_cache_bytes`, 1.5e9},
	{"mem_buffered", "Bytes", 5e8, `vm_memory_disk_cache_bytes`, 1.5e9},
	{"swap_used", "Bytes", 4096, `vm_swap_used_bytes`, 4096},
	{"cpu_usage_active", "Percent", 50, `vm_cpu_utilization_ratio`, 0.5},
	{"diskio_read_bytes", "Bytes", 10, `vm_disk_read_bytes_total,device="nvme0n1"`, 70},
	{"diskio_write_bytes", "Bytes", 20, `vm_disk_write_bytes_total,device="nvme0n1"`, 140},
	{"diskio_reads", "Count", 1, `vm_disk_read_ops_total,device="nvme0n1"`, 7},
	{"diskio_writes", "Count", 2, `vm_disk_write_ops_total,device="nvme0n1"`, 14},
	{"diskio_read_time", "Milliseconds", 100, `vm_disk_read_time_seconds_total,device="nvme0n1"`, 0.7},
	{"diskio_write_time", "Milliseconds", 200, `vm_disk_write_time_seconds_total,device="nvme0n1"`, 1.4},
	{"diskio_io_time", "Milliseconds", 300, `vm_disk_busy_seconds_total,device="nvme0n1"`, 2.1},
	{"diskio_iops_in_progress", "Count", 3, `vm_disk_queue_depth,device="nvme0n1"`, 3},
	{"net_bytes_recv", "Bytes", 10, `vm_network_receive_bytes_total,interface="eth0"`, 70},
	{"net_bytes_sent", "Bytes", 20, `vm_network_transmit_bytes_total,interface="eth0"`, 140},
	{"net_packets_recv", "Count", 1, `vm_network_receive_packets_total,interface="eth0"`, 7},
	{"net_packets_sent", "Count", 2, `vm_network_transmit_packets_total,interface="eth0"`, 14},
	{"net_err_in", "Count", 3, `vm_network_receive_errors_total,interface="eth0"`, 21},
	{"net_err_out", "Count", 4, `vm_network_transmit_errors_total,interface="eth0"`, 28},
	{"net_drop_in", "Count", 5, `vm_network_receive_dropped_total,interface="eth0"`, 35},
	{"net_drop_out", "Count", 6, `vm_network_transmit_dropped_total,interface="eth0"`, 42},
	{"disk_total", "Bytes", 1e10, `vm_filesystem_size_bytes,device="nvme0n1p1",fstype="xfs",mountpoint="/"`, 1e10},
	{"disk_used", "Bytes", 4e9, `vm_filesystem_used_bytes,device="nvme0n1p1",fstype="xfs",mountpoint="/"`, 4e9},
	{"disk_free", "Bytes", 6e9, `vm_filesystem_available_bytes,device="nvme0n1p1",fstype="xfs",mountpoint="/"`, 6e9},
	{"disk_used_percent", "Percent", 40, `vm_filesystem_utilization_ratio,device="nvme0n1p1",fstype="xfs",mountpoint="/"`, 0.4},
	{"disk_inodes_total", "Count", 1000, `vm_filesystem_inodes,device="nvme0n1p1",fstype="xfs",mountpoint="/"`, 1000},
	{"disk_inodes_used", "Count", 10, `vm_filesystem_inodes_used,device="nvme0n1p1",fstype="xfs",mountpoint="/"`, 10},
	{"cpu_usage_user", "Percent", 10, `vm_cpu_mode_ratio,mode="user"`, 0.1},
	{"cpu_usage_system", "Percent", 11, `vm_cpu_mode_ratio,mode="system"`, 0.11},
	{"cpu_usage_idle", "Percent", 12, `vm_cpu_mode_ratio,mode="idle"`, 0.12},
	{"cpu_usage_iowait", "Percent", 13, `vm_cpu_mode_ratio,mode="iowait"`, 0.13},
	{"cpu_usage_irq", "Percent", 14, `vm_cpu_mode_ratio,mode="irq"`, 0.14},
	{"cpu_usage_softirq", "Percent", 15, `vm_cpu_mode_ratio,mode="softirq"`, 0.15},
	{"cpu_usage_nice", "Percent", 16, `vm_cpu_mode_ratio,mode="nice"`, 0.16},
	{"cpu_usage_steal", "Percent", 17, `vm_cpu_mode_ratio,mode="steal"`, 0.17},
	{"cpu_usage_guest", "Percent", 18, `vm_cpu_mode_ratio,mode="guest"`, 0.18},
}

// stateCases are the agent's metrics with a state in their names.
func stateCases() (cases []rowCase) {
	for i, state := range []string{"close", "close_wait", "closing", "established", "fin_wait1", "fin_wait2", "last_ack", "listen", "none", "syn_sent", "syn_recv", "time_wait"} {
		cases = append(cases, rowCase{"netstat_tcp_" + state, "Count", float64(i + 1), `vm_network_tcp_connections,state="` + state + `"`, float64(i + 1)})
	}
	for i, state := range []string{"blocked", "dead", "idle", "paging", "running", "sleeping", "stopped", "wait", "zombies"} {
		cases = append(cases, rowCase{"processes_" + state, "Count", float64(i + 1), `vm_processes,state="` + state + `"`, float64(i + 1)})
	}
	return cases
}

// dimensionsFor are those that the agent's plugins publish with, as it is configured by default.
func dimensionsFor(native string) []string {
	machine := []string{"InstanceId", "i-1", "ImageId", "ami-1", "InstanceType", "t3.micro"}
	plugin, _, _ := strings.Cut(native, "_")
	return append(machine, map[string][]string{
		"cpu": {"cpu", "cpu-total"}, "diskio": {"name", "nvme0n1"}, "net": {"interface", "eth0"},
		"disk": {"path", "/", "device", "nvme0n1p1", "fstype", "xfs"},
	}[plugin]...)
}

func TestMachineRows(t *testing.T) {
	for _, c := range machineCases {
		t.Run(c.native+" is "+c.series, func(t *testing.T) {
			inLab(t, func(l *lab) {
				kind := map[bool]string{true: "t3.micro", false: "m5d.large"}[strings.HasPrefix(c.native, "CPU")]
				l.machine(func(m *fakecloud.Machine) { m.Type = kind })
				l.publish(nsEC2, c.native, c.unit, c.value, "InstanceId", "i-1")
				l.row(c, `,vm_id="i-1"`, SetDefault, SetExtended)
			})
		})
	}
}

func TestVolumeRows(t *testing.T) {
	for _, c := range volumeCases {
		t.Run(c.native+" is "+c.series, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.machine()
				kind := map[bool]string{true: "gp2", false: "io2"}[c.native == "BurstBalance"]
				if strings.Contains(c.series, "throughput") {
					kind = "st1"
				}
				l.aws.AddVolume(fakecloud.Volume{ID: "vol-1", Region: testRegion, Type: kind, Machine: "i-1", Device: "/dev/sda1", GiB: 8})
				for _, other := range volumeCases {
					l.publish(nsEBS, other.native, other.unit, other.value, "VolumeId", "vol-1")
				}
				l.row(c, `,vm_id="i-1"`, SetVolumes)
			})
		})
	}
}

func TestAgentRows(t *testing.T) {
	for _, c := range slices.Concat(agentCases, stateCases()) {
		t.Run(c.native+" is "+c.series, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.machine()
				for _, other := range agentCases {
					if other.native == c.native || other.series == c.series {
						l.publish(nsAgent, other.native, other.unit, other.value, dimensionsFor(other.native)...)
					}
				}
				l.publish(nsAgent, c.native, c.unit, c.value, dimensionsFor(c.native)...)
				l.row(c, `,source="cwagent",vm_id="i-1"`, SetAgent)
			})
		})
	}
}

// row collects when the first period is final and compares. Labels are in order of their names.
func (l *lab) row(c rowCase, also string, sets ...Set) {
	l.start(func(cfg *Config) { cfg.Sets, cfg.Since = sets, oclock("12:00:00") })
	until("12:10:00")
	l.good()
	name, labels, _ := strings.Cut(c.series, ",")
	parts := strings.Split(labels+also, ",")
	slices.Sort(parts)
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	series := name + "," + strings.Join(parts, ",")
	end := oclock("12:05:00")
	if slices.Contains(sets, SetAgent) {
		end = oclock("12:07:00")
	}
	v, ok := l.at(series, end)
	require.True(l.t, ok, "%s at %v; there are %v", series, end, slices.Sorted(maps.Keys(l.stored)))
	require.InDelta(l.t, c.want, v, 1e-9)
}

// TestEveryRowIsTested holds that no row of the tables is without a case.
func TestEveryRowIsTested(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range slices.Concat(machineCases, volumeCases, agentCases, stateCases()) {
		name, _, _ := strings.Cut(c.series, ",")
		tested[name+" of "+c.native] = true
	}
	for _, r := range slices.Concat(machineTable, volumeTable, agentTable) {
		require.True(t, slices.ContainsFunc(r.natives, func(n native) bool { return tested[r.name+" of "+n.name] }), "%s of %v", r.name, r.natives)
	}
}

func TestAvailableIsWhatTheRegistryHas(t *testing.T) {
	inLab(t, func(l *lab) {
		l.start(func(c *Config) { c.Sets = allSets })
		available, err := l.ListAvailableMetrics(context.Background())
		require.NoError(t, err)
		require.Equal(t, collect.NewRegistry().Definitions(collect.CloudWatch, collect.CWAgent), available)

		l.start()
		available, err = l.ListAvailableMetrics(context.Background())
		require.NoError(t, err)
		var names []string
		for _, def := range available {
			names = append(names, def.Name)
		}
		require.Contains(t, names, "vm_cpu_utilization_ratio")
		require.NotContains(t, names, "vm_memory_used_bytes", "the agent is not asked by default")
	})
}

func TestDefaultSetIsWhatTheSpecificationSays(t *testing.T) {
	natives := map[string]bool{}
	for _, r := range machineTable {
		if r.set == SetDefault {
			natives[r.natives[0].name] = true
		}
	}
	require.ElementsMatch(t, []string{"CPUUtilization", "NetworkIn", "NetworkOut", "EBSReadBytes", "EBSWriteBytes", "EBSReadOps", "EBSWriteOps", "StatusCheckFailed"},
		slices.Collect(maps.Keys(natives)))
}

func TestInventoryFacts(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine(func(m *fakecloud.Machine) { m.Tags = map[string]string{"env": "prod", "secret": "x"} })
		l.aws.AddVolume(fakecloud.Volume{ID: "vol-1", Region: testRegion, Type: "gp3", Machine: "i-1", Device: "/dev/sda1", GiB: 8})
		l.start(func(c *Config) { c.Tags = []string{"env"} })
		now := time.Now()
		launched := l.machine().Launched
		l.machine(func(m *fakecloud.Machine) { m.Tags = map[string]string{"env": "prod", "secret": "x"} })
		l.good()
		for series, want := range map[string]float64{
			`vm_vcpus,vm_id="i-1"`:                             2,
			`vm_memory_limit_bytes,vm_id="i-1"`:                8 << 30,
			`vm_disk_capacity_bytes,device="sda1",vm_id="i-1"`: 8 << 30,
			`vm_state,state="running",vm_id="i-1"`:             1,
			`vm_state,state="stopped",vm_id="i-1"`:             0,
			`vm_start_time_seconds,vm_id="i-1"`:                float64(launched.Unix()),
			`vm_uptime_seconds,vm_id="i-1"`:                    now.Sub(launched).Seconds(),
			`vm_tags,tag_env="prod",vm_id="i-1"`:               1,
			`vm_network_info,interface="eni-i-1",mac="02:00:00:00:00:01",network="subnet-1",vm_id="i-1"`:                                                 1,
			`vm_disk_info,device="sda1",path="/dev/sda1",storage_type="gp3",vm_id="i-1",volume_id="vol-1"`:                                               1,
			`vm_info,arch="x86_64",cloud_availability_zone="eu-central-1a",flavor="m5.large",hypervisor="xen",image="ami-1",os="Linux/UNIX",vm_id="i-1"`: 1,
		} {
			require.Len(t, l.stored[series], 1, "%s; there are %v", series, slices.Sorted(maps.Keys(l.stored)))
			for _, v := range l.stored[series] {
				require.InDelta(t, want, v, 0.1, series)
			}
		}
	})
}

func TestStatesAreThoseOfEC2(t *testing.T) {
	for native, want := range map[string]string{
		"pending": "pending", "running": "running", "stopping": "stopping", "shutting-down": "stopping", "stopped": "stopped", "terminated": "terminated", "new-fangled": "unknown",
	} {
		f := facts{wants: func(string) bool { return true }}
		f.state(machine{ID: "i-1", State: types.InstanceStateName(native)}, map[string]string{})
		ones := 0
		for _, s := range f.series {
			if s.Name == "vm_state" && s.Points[0].Value == 1 {
				ones++
				require.Equal(t, want, s.Labels["state"])
			}
		}
		require.Equal(t, 1, ones, native)
	}
}
