package kvm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/tsdb"
)

// expected is what the second of two collections, 1 s apart, tells of the machine web, worked out by hand.
const expected = `
vm_available = 1
vm_cpu_haltpoll_seconds_total result=fail = 0.01
vm_cpu_haltpoll_seconds_total result=success = 0.02
vm_cpu_mode_seconds_total mode=system = 0.5
vm_cpu_mode_seconds_total mode=user = 1
vm_cpu_seconds_total = 4.11
vm_cpu_steal_seconds_total = 0.75
vm_cpu_utilization_ratio = 0.01
vm_disk_allocation_bytes device=vda = 1048576
vm_disk_capacity_bytes device=vda = 1073741824
vm_disk_errors_total device=vda = 1
vm_disk_flush_ops_total device=vda = 5
vm_disk_flush_time_seconds_total device=vda = 0.025
vm_disk_info device=vda driver=qemu format=qcow2 path=/pool/web.qcow2 serial=S1 = 1
vm_disk_info device=vdb driver=qemu format=raw path=/dev/vg/data = 1
vm_disk_latency_seconds device=vda = 0.015
vm_disk_physical_bytes device=vda = 2097152
vm_disk_read_bytes_total device=vda = 4096
vm_disk_read_bytes_total device=vdb = 7
vm_disk_read_ops_total device=vda = 110
vm_disk_read_time_seconds_total device=vda = 1.65
vm_disk_write_bytes_total device=vda = 8192
vm_disk_write_ops_total device=vda = 50
vm_disk_write_threshold_bytes device=vda = 3145728
vm_disk_write_time_seconds_total device=vda = 0.5
vm_filesystem_available_bytes device=vda1 fstype=ext4 mountpoint=/ = 750
vm_filesystem_size_bytes device=vda1 fstype=ext4 mountpoint=/ = 1000
vm_filesystem_used_bytes device=vda1 fstype=ext4 mountpoint=/ = 250
vm_filesystem_utilization_ratio device=vda1 fstype=ext4 mountpoint=/ = 0.25
vm_info arch=x86_64 hypervisor=kvm machine=pc-q35-7.2 uuid=` + webID + ` = 1
vm_lifecycle_events_total type=crashed = 0
vm_lifecycle_events_total type=paused = 0
vm_lifecycle_events_total type=rebooted = 0
vm_lifecycle_events_total type=resumed = 0
vm_lifecycle_events_total type=started = 0
vm_lifecycle_events_total type=stopped = 0
vm_load1 = 1.5
vm_load15 = 0.5
vm_load5 = 1
vm_memory_allocated_bytes = 134217728
vm_memory_available_bytes = 61440000
vm_memory_dirty_rate_bytes_per_second = 3145728
vm_memory_disk_cache_bytes = 8192000
vm_memory_guest_total_bytes = 102400000
vm_memory_hugepage_allocations_total result=fail = 1
vm_memory_hugepage_allocations_total result=success = 7
vm_memory_limit_bytes = 268435456
vm_memory_page_faults_total type=major = 5
vm_memory_page_faults_total type=minor = 600
vm_memory_rss_bytes = 40525824
vm_memory_stats_age_seconds = 6
vm_memory_swap_in_bytes_total = 3072
vm_memory_swap_out_bytes_total = 4096
vm_memory_unused_bytes = 51200000
vm_memory_used_bytes = 40960000
vm_memory_utilization_ratio = 0.4
vm_network_info bridge=virbr0 interface=net0 mac=52:54:00:aa:bb:cc network=default target=vnet7 = 1
vm_network_info interface=mac-525400aabbdd mac=52:54:00:aa:bb:dd = 1
vm_network_receive_bytes_total interface=net0 = 1000
vm_network_receive_dropped_total interface=net0 = 2
vm_network_receive_errors_total interface=net0 = 1
vm_network_receive_packets_total interface=net0 = 10
vm_network_transmit_bytes_total interface=net0 = 2000
vm_network_transmit_dropped_total interface=net0 = 4
vm_network_transmit_errors_total interface=net0 = 3
vm_network_transmit_packets_total interface=net0 = 20
vm_pressure_cpu_waiting_seconds_total = 2663.084728
vm_pressure_io_stalled_seconds_total = 0.25
vm_pressure_io_waiting_seconds_total = 2.5
vm_pressure_memory_stalled_seconds_total = 0.5
vm_pressure_memory_waiting_seconds_total = 1.5
vm_start_time_seconds = 1782864100
vm_state state=crashed = 0
vm_state state=paused = 0
vm_state state=running = 1
vm_state state=stopped = 0
vm_state state=stopping = 0
vm_state state=suspended = 0
vm_state state=unknown = 0
vm_state_reason_code = 5
vm_vcpu_halted vcpu=0 = 0
vm_vcpu_halted vcpu=1 = 1
vm_vcpu_seconds_total vcpu=0 = 3
vm_vcpu_seconds_total vcpu=1 = 1
vm_vcpu_state state=blocked vcpu=0 = 0
vm_vcpu_state state=blocked vcpu=1 = 1
vm_vcpu_state state=offline vcpu=0 = 0
vm_vcpu_state state=offline vcpu=1 = 0
vm_vcpu_state state=running vcpu=0 = 1
vm_vcpu_state state=running vcpu=1 = 0
vm_vcpu_steal_seconds_total vcpu=0 = 0.25
vm_vcpu_steal_seconds_total vcpu=1 = 0.5
vm_vcpu_wait_seconds_total vcpu=0 = 0.01
vm_vcpu_wait_seconds_total vcpu=1 = 0
vm_vcpus = 2
vm_vcpus_limit = 4
host_memory_allocated_bytes = 134217728
host_storage_pool_allocation_bytes pool=default = 30
host_storage_pool_available_bytes pool=default = 70
host_storage_pool_capacity_bytes pool=default = 100
host_vcpus_allocated = 2
host_vms state=crashed = 0
host_vms state=paused = 0
host_vms state=running = 1
host_vms state=stopped = 0
host_vms state=stopping = 0
host_vms state=suspended = 0
host_vms state=unknown = 0
`

// web is a host with the machine web alone.
func web(t *testing.T, change func(*hypervisor.DomainStats)) (*driver, Config) {
	t.Helper()
	d := &driver{pools: []hypervisor.PoolStats{{Name: "default", CapacityBytes: 100, AllocationBytes: 30, AvailBytes: 70}}}
	domain := domainOf(t, webXML, hypervisor.StateRunning)
	told := float64(time.Now().Unix()) - 5
	d.domains = func(context.Context) ([]hypervisor.Domain, error) { return []hypervisor.Domain{domain}, nil }
	d.stats = func(context.Context, ...string) ([]hypervisor.DomainStats, error) {
		s := webStats(told)
		change(&s)
		return []hypervisor.DomainStats{s}, nil
	}
	d.usage = func(context.Context, string) (hypervisor.GuestUsage, error) {
		<-time.After(time.Millisecond) // after the collection that asked
		return hypervisor.GuestUsage{Answered: true, Load: []float64{1.5, 1, 0.5}, Filesystems: []hypervisor.GuestFilesystem{
			{MountPoint: "/", Device: "vda1", Type: "ext4", TotalBytes: 1000, UsedBytes: 250}, {MountPoint: "/proc", Type: "proc"},
		}}, nil
	}
	cfg := processTree(t)
	cfg.Foreign = true
	cfg.Hypervisor, cfg.Host, cfg.Cluster, cfg.Region = d, "h1", "lab", "berlin"
	return d, cfg
}

func collectNow(t *testing.T, c *Collector) []collect.Metric {
	t.Helper()
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	_, refused := collect.NewRegistry().Admit(got, collect.Limits{})
	require.Empty(t, refused)
	return got
}

// second leaves out what depends on the present: the machine of the test was started in another year.
func second(t *testing.T, c *Collector) []collect.Metric {
	t.Helper()
	got := collectNow(t, c)
	uptime := func(m collect.Metric) bool { return m.Name == "vm_uptime_seconds" }
	require.True(t, slices.ContainsFunc(got, uptime))
	return slices.DeleteFunc(got, uptime)
}

func TestEveryMetricOfAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := 0
		_, cfg := web(t, func(s *hypervisor.DomainStats) {
			if turn > 0 {
				s.Values["cpu.time"] = 4_110_000_000
				s.Disks[0].Values["rd.reqs"], s.Disks[0].Values["rd.times"] = 110, 1_650_000_000
			}
		})
		c := New(cfg)
		began := time.Now()
		first := collectNow(t, c)
		require.Contains(t, showAll(first), "vm_cpu_seconds_total = 4.09")
		require.Contains(t, showAll(first), "vm_disk_read_time_seconds_total device=vda = 1.5")
		c.guests.rounds.Wait()
		time.Sleep(time.Until(began.Add(time.Second)))
		turn++
		got := second(t, c)
		var want []string
		for line := range strings.Lines(expected) {
			if line = strings.TrimSpace(line); line != "" {
				want = append(want, line)
			}
		}
		slices.Sort(want)
		require.Equal(t, want, showAll(got))
		vm := got[slices.IndexFunc(got, func(m collect.Metric) bool { return m.Name == "vm_vcpus" })]
		require.Equal(t, map[string]string{"cloud_provider": "kvm", "cloud_account_id": "lab", "cloud_region": "berlin", "vm_id": webID, "vm_name": "web", "host": "h1"}, vm.Labels)
		require.Equal(t, "libvirt", vm.Source)
	})
}

// TestEveryClaimIsKept: what the registry says libvirt and the guest's agent can tell is told, and nothing else.
func TestEveryClaimIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := 0.0
		_, cfg := web(t, func(s *hypervisor.DomainStats) { s.Disks[0].Values["rd.reqs"] += turn })
		c := New(cfg)
		told := map[string]bool{}
		for range 2 {
			for _, m := range collectNow(t, c) {
				told[m.Name] = true
			}
			c.guests.rounds.Wait()
			time.Sleep(time.Second)
			turn++
		}
		claimed := map[string]bool{}
		definitions, err := c.ListAvailableMetrics(t.Context())
		require.NoError(t, err)
		for _, def := range definitions {
			claimed[def.Name] = true
		}
		delete(claimed, "vm_tags") // machines of ours have labels for that, which nobody has asked for yet
		require.Equal(t, claimed, told)
	})
}

func TestAFrozenBalloonTellsNothing(t *testing.T) {
	guestSide := []string{"guest_total", "available", "used", "utilization", "unused", "disk_cache", "swap", "faults", "hugepage"}
	for name, told := range map[string]float64{"never told": 0, "told 31 s ago": float64(time.Now().Unix()) - 31} {
		t.Run(name, func(t *testing.T) {
			_, cfg := web(t, func(s *hypervisor.DomainStats) { s.Values["balloon.last-update"] = told })
			got := showAll(collectNow(t, New(cfg)))
			require.Contains(t, got, "vm_memory_allocated_bytes = 134217728")
			require.Contains(t, got, "vm_memory_rss_bytes = 40525824")
			for _, line := range got {
				for _, word := range guestSide {
					require.False(t, strings.HasPrefix(line, "vm_memory_"+word), line)
				}
			}
		})
	}
}

func TestWithoutUsableWhatIsUnusedIsAvailable(t *testing.T) {
	_, cfg := web(t, func(s *hypervisor.DomainStats) { delete(s.Values, "balloon.usable") })
	got := showAll(collectNow(t, New(cfg)))
	require.Contains(t, got, "vm_memory_available_bytes = 51200000")
	require.NotContains(t, strings.Join(got, "\n"), "vm_memory_used_bytes")
}

func TestDerivedValues(t *testing.T) {
	ratio, ok := utilization(4_090_000_000, 4_110_000_000, time.Second, 2)
	require.True(t, ok)
	require.InDelta(t, 0.01, ratio, 1e-12)
	for _, bad := range [][4]float64{{2, 1, 1, 1}, {1, 2, 0, 1}, {1, 2, 1, 0}} {
		_, ok := utilization(bad[0], bad[1], time.Duration(bad[2]), bad[3])
		require.False(t, ok)
	}
	v := func(ops, spent float64) map[string]float64 {
		return map[string]float64{"rd.reqs": ops, "rd.times": spent}
	}
	seconds, ok := latency(v(1, 0), v(11, 2e9))
	require.True(t, ok)
	require.InDelta(t, 0.2, seconds, 1e-12)
	for _, bad := range [][2]map[string]float64{{nil, v(1, 1)}, {v(1, 1), v(1, 1)}, {v(0, 5), v(1, 1)}, {{}, {"rd.reqs": 1}}} {
		_, ok := latency(bad[0], bad[1])
		require.False(t, ok)
	}
	for number, name := range map[float64]string{0: "unknown", 1: "running", 2: "running", 3: "paused", 4: "stopping", 5: "stopped", 6: "crashed", 7: "suspended", 99: "unknown"} {
		require.Equal(t, name, stateName(number, true))
	}
	require.Equal(t, "unknown", stateName(1, false))
}

func TestMachinesOfOthersAreCountedAndNotMeasured(t *testing.T) {
	d, cfg := web(t, func(*hypervisor.DomainStats) {})
	cfg.Foreign = false
	d.usage = func(context.Context, string) (hypervisor.GuestUsage, error) {
		panic("nobody asks in a machine of others")
	}
	c := New(cfg)
	c.events.note(hypervisor.Event{ID: webID, Kind: "started"}, time.Now().Add(-time.Second))
	got := collectNow(t, c)
	c.guests.rounds.Wait()
	require.Contains(t, showAll(got), "host_vms state=running = 1")
	require.Contains(t, showAll(got), "host_vcpus_allocated = 2")
	require.Empty(t, of(got, webID))
}

// BenchmarkCollect is the cost of our own for 100 machines, without that of the hypervisor.
func BenchmarkCollect(b *testing.B) {
	var all []hypervisor.DomainStats
	var domains []hypervisor.Domain
	for n := range 100 {
		s := webStats(float64(time.Now().Unix()))
		s.ID = fmt.Sprintf("%08d-0a3b-4c1d-9e2f-3a4b5c6d7e8f", n)
		d, err := hypervisor.ParseDomain(strings.Replace(webXML, webID, s.ID, 1))
		if err != nil {
			b.Fatal(err)
		}
		all, domains = append(all, s), append(domains, d)
	}
	d := &driver{
		stats:   func(context.Context, ...string) ([]hypervisor.DomainStats, error) { return all, nil },
		domains: func(context.Context) ([]hypervisor.Domain, error) { return domains, nil },
	}
	c, registry, metrics := New(Config{Hypervisor: d, Foreign: true, GuestsEvery: -1}), collect.NewRegistry(), 0
	for b.Loop() {
		got, err := c.CollectMetrics(b.Context(), tsdb.MetricsQuery{})
		if err != nil {
			b.Fatal(err)
		}
		admitted, _ := registry.Admit(got, collect.Limits{})
		metrics = len(admitted)
	}
	b.ReportMetric(float64(metrics), "metrics")
}
