package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// disks answers for the mounts of the made-up host.
func disks(path string) (unix.Statfs_t, error) {
	switch path {
	case "/":
		return unix.Statfs_t{Bsize: 4096, Frsize: 4096, Blocks: 1000, Bfree: 400, Bavail: 350, Files: 500, Ffree: 100}, nil
	case "/var/lib/my disks":
		return unix.Statfs_t{Bsize: 1 << 20, Frsize: 512, Blocks: 100, Bfree: 50, Bavail: 50, Files: 10, Ffree: 9}, nil
	}
	return unix.Statfs_t{}, fmt.Errorf("%s should not have been asked", path)
}

// show is a metric as the expectations have it.
func show(m collect.Metric) string {
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
		if name != "host" {
			labels = append(labels, name+"="+m.Labels[name])
		}
	}
	return strings.TrimSpace(m.Name+" "+strings.Join(labels, " ")) + " = " + strconv.FormatFloat(m.Value, 'g', 12, 64)
}

func showAll(metrics []collect.Metric) []string {
	all := []string{}
	for _, m := range metrics {
		all = append(all, show(m))
	}
	slices.Sort(all)
	return all
}

// expected is what the made-up host measures, worked out by hand; pages are of 4 KiB.
const expected = `
host_boot_time_seconds = 1782864000
host_conntrack_entries = 17
host_conntrack_limit = 262144
host_context_switches_total = 123456
host_cpu_frequency_hertz cpu=0 = 2400000000
host_cpu_frequency_hertz cpu=1 = 800000000
host_cpu_guest_seconds_total cpu=0 mode=nice = 0.04
host_cpu_guest_seconds_total cpu=0 mode=user = 0.6
host_cpu_guest_seconds_total cpu=1 mode=nice = 0.06
host_cpu_guest_seconds_total cpu=1 mode=user = 0.4
host_cpu_seconds_total cpu=0 mode=idle = 25
host_cpu_seconds_total cpu=0 mode=iowait = 0.07
host_cpu_seconds_total cpu=0 mode=irq = 0.03
host_cpu_seconds_total cpu=0 mode=nice = 0.1
host_cpu_seconds_total cpu=0 mode=softirq = 0.05
host_cpu_seconds_total cpu=0 mode=steal = 0.08
host_cpu_seconds_total cpu=0 mode=system = 1.5
host_cpu_seconds_total cpu=0 mode=user = 1
host_cpu_seconds_total cpu=1 mode=idle = 25
host_cpu_seconds_total cpu=1 mode=iowait = 0.03
host_cpu_seconds_total cpu=1 mode=irq = 0.01
host_cpu_seconds_total cpu=1 mode=nice = 0.2
host_cpu_seconds_total cpu=1 mode=softirq = 0.01
host_cpu_seconds_total cpu=1 mode=steal = 0
host_cpu_seconds_total cpu=1 mode=system = 0.5
host_cpu_seconds_total cpu=1 mode=user = 2
host_cpus = 2
host_disk_busy_seconds_total device=vda = 3.5
host_disk_busy_seconds_total device=vdb = 0
host_disk_queue_depth device=vda = 4
host_disk_queue_depth device=vdb = 0
host_disk_read_bytes_total device=vda = 10240
host_disk_read_bytes_total device=vdb = 0
host_disk_read_merged_total device=vda = 1
host_disk_read_merged_total device=vdb = 0
host_disk_read_ops_total device=vda = 10
host_disk_read_ops_total device=vdb = 0
host_disk_read_time_seconds_total device=vda = 1.5
host_disk_read_time_seconds_total device=vdb = 0
host_disk_weighted_io_seconds_total device=vda = 4
host_disk_weighted_io_seconds_total device=vdb = 0
host_disk_write_bytes_total device=vda = 20480
host_disk_write_bytes_total device=vdb = 0
host_disk_write_merged_total device=vda = 2
host_disk_write_merged_total device=vdb = 0
host_disk_write_ops_total device=vda = 30
host_disk_write_ops_total device=vdb = 0
host_disk_write_time_seconds_total device=vda = 2.5
host_disk_write_time_seconds_total device=vdb = 0
host_file_descriptors = 2048
host_file_descriptors_limit = 65536
host_filesystem_available_bytes device=/dev/vda fstype=ext4 mountpoint=/ = 1433600
host_filesystem_available_bytes device=/dev/vdb fstype=xfs mountpoint=/var/lib/my disks = 25600
host_filesystem_free_bytes device=/dev/vda fstype=ext4 mountpoint=/ = 1638400
host_filesystem_free_bytes device=/dev/vdb fstype=xfs mountpoint=/var/lib/my disks = 25600
host_filesystem_inodes device=/dev/vda fstype=ext4 mountpoint=/ = 500
host_filesystem_inodes device=/dev/vdb fstype=xfs mountpoint=/var/lib/my disks = 10
host_filesystem_inodes_free device=/dev/vda fstype=ext4 mountpoint=/ = 100
host_filesystem_inodes_free device=/dev/vdb fstype=xfs mountpoint=/var/lib/my disks = 9
host_filesystem_size_bytes device=/dev/vda fstype=ext4 mountpoint=/ = 4096000
host_filesystem_size_bytes device=/dev/vdb fstype=xfs mountpoint=/var/lib/my disks = 51200
host_forks_total = 789
host_hugepages_free_bytes size=1073741824 = 0
host_hugepages_free_bytes size=2097152 = 33554432
host_hugepages_total_bytes size=1073741824 = 2147483648
host_hugepages_total_bytes size=2097152 = 134217728
host_interrupts_total = 4711
host_ksm_shared_bytes = 28672
host_ksm_sharing_bytes = 286720
host_load1 = 1.25
host_load15 = 0.5
host_load5 = 0.75
host_memory_available_bytes = 6144000
host_memory_buffers_bytes = 102400
host_memory_cached_bytes = 4096000
host_memory_dirty_bytes = 12288
host_memory_free_bytes = 1024000
host_memory_slab_bytes = 307200
host_memory_total_bytes = 8192000
host_memory_utilization_ratio = 0.25
host_network_receive_bytes_total interface=eth0 = 1000
host_network_receive_bytes_total interface=lo = 300
host_network_receive_dropped_total interface=eth0 = 2
host_network_receive_dropped_total interface=lo = 0
host_network_receive_errors_total interface=eth0 = 1
host_network_receive_errors_total interface=lo = 0
host_network_receive_packets_total interface=eth0 = 10
host_network_receive_packets_total interface=lo = 3
host_network_speed_bytes_per_second interface=eth0 = 1250000000
host_network_transmit_bytes_total interface=eth0 = 2000
host_network_transmit_bytes_total interface=lo = 300
host_network_transmit_dropped_total interface=eth0 = 4
host_network_transmit_dropped_total interface=lo = 0
host_network_transmit_errors_total interface=eth0 = 3
host_network_transmit_errors_total interface=lo = 0
host_network_transmit_packets_total interface=eth0 = 20
host_network_transmit_packets_total interface=lo = 3
host_network_up interface=eth0 = 1
host_network_up interface=eth1 = 0
host_network_up interface=lo = 0
host_numa_memory_free_bytes node=0 = 1048576
host_numa_memory_free_bytes node=1 = 524288
host_numa_memory_total_bytes node=0 = 4194304
host_numa_memory_total_bytes node=1 = 2097152
host_page_faults_total type=major = 40
host_page_faults_total type=minor = 960
host_pressure_cpu_waiting_seconds_total = 2663.084728
host_pressure_io_stalled_seconds_total = 0.25
host_pressure_io_waiting_seconds_total = 2.5
host_pressure_irq_stalled_seconds_total = 0.125
host_pressure_memory_stalled_seconds_total = 0.5
host_pressure_memory_waiting_seconds_total = 1.5
host_processes state=blocked = 1
host_processes state=running = 3
host_swap_in_bytes_total = 12288
host_swap_out_bytes_total = 20480
host_swap_total_bytes = 2048000
host_swap_used_bytes = 512000
host_temperature_celsius chip=coretemp_coretemp_0 sensor=package_id_0 = 45.5
host_temperature_celsius chip=coretemp_coretemp_0 sensor=temp2 = 41
host_uptime_seconds = 3600.25
`

func TestEveryMetricOfAHost(t *testing.T) {
	if os.Getpagesize() != 4096 {
		t.Skip("the expectations are of pages of 4 KiB")
	}
	proc, sys := tree(t, nil)
	c := New(Config{Name: "h1", Proc: proc, Sys: sys, Statfs: disks})
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	require.Equal(t, values(t, expected), showAll(got))
	admitted, refused := collect.NewRegistry().Admit(got, collect.Limits{})
	require.Empty(t, refused)
	require.Equal(t, map[string]string{"host": "h1", "source": "host"}, admitted[slices.IndexFunc(admitted, func(m collect.Metric) bool { return m.Name == "host_load1" })].Labels)
}

// TestEveryClaimIsKept: what the registry says a host can measure is measured, and nothing else.
func TestEveryClaimIsKept(t *testing.T) {
	proc, sys := tree(t, nil)
	c := New(Config{Proc: proc, Sys: sys, Statfs: disks, Optional: true})
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	claimed, measured := map[string]bool{}, map[string]bool{}
	definitions, err := c.ListAvailableMetrics(t.Context())
	require.NoError(t, err)
	for _, def := range definitions {
		claimed[def.Name] = true
	}
	for _, m := range got {
		measured[m.Name] = true
	}
	require.Equal(t, claimed, measured)
	require.Contains(t, showAll(got), "host_pressure_cpu_ratio kind=some window=10s = 0.015")
	require.Contains(t, showAll(got), "host_pressure_io_ratio kind=full window=10s = 0.03")
}

func TestWhatTheKernelDoesNotHaveIsLeftOut(t *testing.T) {
	proc, sys := tree(t, map[string]string{
		"proc/pressure/cpu": "", "proc/pressure/memory": "", "proc/pressure/io": "", "proc/pressure/irq": "",
		"proc/sys/net/netfilter/nf_conntrack_count": "", "proc/sys/net/netfilter/nf_conntrack_max": "", "proc/vmstat": "",
		"sys/kernel/mm/ksm/pages_shared": "", "sys/kernel/mm/ksm/pages_sharing": "",
	})
	got, err := New(Config{Proc: proc, Sys: sys, Statfs: disks}).CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	require.Greater(t, len(got), 80)
	for _, m := range got {
		require.NotRegexp(t, "pressure|conntrack|faults|ksm", m.Name)
	}
}

func TestABrokenPartLeavesTheOthersAndEndsNothing(t *testing.T) {
	proc, sys := tree(t, nil)
	meter := collect.NewMeter()
	c := New(Config{Proc: proc, Sys: sys, Statfs: disks, Meter: meter})
	before, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	write(t, proc, "pressure/io", "some avg10=many\n")
	write(t, proc, "diskstats", strings.Replace(kernelFiles["proc/diskstats"], "vdb", "vdc", 1))
	after, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.ErrorContains(t, err, `pressure: pressure "some avg10=many`)
	var ended []string
	for _, m := range after {
		if collect.IsStale(m.Value) {
			ended = append(ended, m.Name+" "+m.Labels["device"])
		}
	}
	require.Len(t, ended, 11, "the disk that is gone, and not what could not be read: %v", ended)
	require.Contains(t, ended, "host_disk_read_bytes_total vdb")
	require.Greater(t, len(after), len(before)-10)
}

func TestQueryNarrows(t *testing.T) {
	proc, sys := tree(t, nil)
	c := New(Config{Proc: proc, Sys: sys, Statfs: disks})
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"host_cpus", "host_load1"}})
	require.NoError(t, err)
	require.Equal(t, []string{"host_cpus = 2", "host_load1 = 1.25"}, showAll(got))
	_, err = c.CollectMetrics(t.Context(), tsdb.MetricsQuery{Aggregation: "sum"})
	require.ErrorContains(t, err, "ask the shard")
}

func TestAHungMountKeepsNoOtherWaitingAndIsAskedOnce(t *testing.T) {
	proc, sys := tree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		asked := make(chan string, 10)
		var hanging atomic.Bool
		c := New(Config{Proc: proc, Sys: sys, Statfs: func(path string) (unix.Statfs_t, error) {
			if path != "/" {
				asked <- path
				if hanging.Load() {
					<-release
				}
			}
			return disks(path)
		}})
		collectOnce := func() (sizes, ended int, err error) {
			got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
			for _, m := range got {
				if m.Name == "host_filesystem_size_bytes" {
					sizes++
				}
				if collect.IsStale(m.Value) {
					ended++
				}
			}
			return sizes, ended, err
		}
		sizes, _, err := collectOnce()
		require.NoError(t, err)
		require.Equal(t, 2, sizes)
		hanging.Store(true)
		for _, patience := range []time.Duration{statfsPatience, 0} {
			began := time.Now()
			sizes, ended, err := collectOnce()
			require.ErrorContains(t, err, "1 mounts do not answer, [/var/lib/my disks]")
			require.Equal(t, 1, sizes)
			require.Zero(t, ended)
			require.Equal(t, patience, time.Since(began))
		}
		require.Len(t, asked, 2, "not again before it has answered")
		hanging.Store(false)
		close(release)
		synctest.Wait()
		sizes, _, err = collectOnce()
		require.NoError(t, err)
		require.Equal(t, 2, sizes)
	})
}

func TestNetworkFilesystemsAreAskedOnDemand(t *testing.T) {
	proc, sys := tree(t, nil)
	asked := make(chan string, 10)
	c := New(Config{Proc: proc, Sys: sys, NetworkFilesystems: true, Statfs: func(path string) (unix.Statfs_t, error) {
		asked <- path
		return unix.Statfs_t{}, errors.New("gone")
	}})
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{MetricNames: []string{"host_filesystem_size_bytes"}})
	require.NoError(t, err)
	require.Empty(t, got)
	require.Len(t, asked, 3)
	require.True(t, isRemote("fuse.sshfs"))
}

func TestThisHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	c := New(Config{Name: "here"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := c.CollectMetrics(ctx, tsdb.MetricsQuery{})
	require.NoError(t, err)
	_, refused := collect.NewRegistry().Admit(got, collect.Limits{})
	require.Empty(t, refused)
	found := map[string]float64{}
	for _, m := range got {
		found[m.Name] += m.Value
	}
	require.InDelta(t, runtime.NumCPU(), found["host_cpus"], 1024)
	require.Greater(t, found["host_memory_total_bytes"], found["host_memory_available_bytes"])
	require.Greater(t, found["host_cpu_seconds_total"], 1.0)
	require.InDelta(t, float64(time.Now().Unix()), found["host_boot_time_seconds"]+found["host_uptime_seconds"], 5, "the boot and the time since are now")
	require.Positive(t, found["host_filesystem_size_bytes"])
	again, err := c.CollectMetrics(ctx, tsdb.MetricsQuery{})
	require.NoError(t, err)
	require.InDelta(t, len(got), len(again), 20)
}

func TestParsePressure(t *testing.T) {
	none, err := ParsePressure("")
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = ParsePressure("some total=x")
	require.ErrorContains(t, err, `pressure "some total=x"`)
}

func BenchmarkCollect(b *testing.B) {
	c := New(Config{Name: "here"})
	for b.Loop() {
		if _, err := c.CollectMetrics(b.Context(), tsdb.MetricsQuery{}); err != nil {
			b.Fatal(err)
		}
	}
}
