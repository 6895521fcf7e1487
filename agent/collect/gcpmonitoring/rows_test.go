package gcpmonitoring

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
)

// tl are labels, given in pairs.
func tl(pairs ...string) map[string]string {
	labels := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		labels[pairs[i]] = pairs[i+1]
	}
	return labels
}

// claim is a row of the normalisation rules: what Google tells and what has to come of it.
type claim struct {
	name, native, unit string
	kind               metric.MetricDescriptor_MetricKind
	value              float64
	// theirs are the labels of the series, each with the same value.
	theirs []map[string]string
	// want is the value of the metric with ours.
	want float64
	ours map[string]string
}

func one(pairs ...string) []map[string]string { return []map[string]string{tl(pairs...)} }

func googleClaims() []claim {
	i, boot := instancePrefix, one("instance_name", "one", "device_name", "boot", "device_type", "permanent", "storage_type", "pd-ssd")
	balanced := []map[string]string{tl("instance_name", "one", "loadbalanced", "true"), tl("instance_name", "one", "loadbalanced", "false")}
	all, device := tl("interface", "_all"), tl("device", "boot")
	return []claim{
		{"vm_cpu_utilization_ratio", i + "cpu/utilization", "10^2.%", gaugeKind, 0.42, one("instance_name", "one"), 0.42, nil},
		{"vm_cpu_seconds_total", i + "cpu/usage_time", "s{CPU}", deltaKind, 30, one("instance_name", "one"), 30, nil},
		{"vm_vcpus", i + "cpu/guest_visible_vcpus", "1", gaugeKind, 4, one("instance_name", "one"), 4, nil},
		{"vm_vcpus_reserved", i + "cpu/reserved_cores", "1", gaugeKind, 0.5, one("instance_name", "one"), 0.5, nil},
		{"vm_cpu_steal_seconds_total", i + "cpu/scheduler_wait_time", "s{idle}", deltaKind, 2, one("instance_name", "one"), 2, nil},
		{"vm_memory_limit_bytes", i + "memory/balloon/ram_size", "By", gaugeKind, 4000, one("instance_name", "one"), 4000, nil},
		{"vm_memory_used_bytes", i + "memory/balloon/ram_used", "By", gaugeKind, 1000, one("instance_name", "one"), 1000, nil},
		{"vm_memory_utilization_ratio", "", "", 0, 0, nil, 0.25, nil},
		{"vm_memory_swap_in_bytes_total", i + "memory/balloon/swap_in_bytes_count", "By", deltaKind, 7, one("instance_name", "one"), 7, nil},
		{"vm_memory_swap_out_bytes_total", i + "memory/balloon/swap_out_bytes_count", "KiBy", deltaKind, 8, one("instance_name", "one"), 8192, nil},
		{"vm_disk_read_bytes_total", i + "disk/read_bytes_count", "By", deltaKind, 11, boot, 11, device},
		{"vm_disk_write_bytes_total", i + "disk/write_bytes_count", "By", deltaKind, 12, boot, 12, device},
		{"vm_disk_read_ops_total", i + "disk/read_ops_count", "1", deltaKind, 13, boot, 13, device},
		{"vm_disk_write_ops_total", i + "disk/write_ops_count", "{operation}", deltaKind, 14, boot, 14, device},
		{"vm_disk_latency_seconds", i + "disk/average_io_latency", "us", gaugeKind, 1500, boot, 0.0015, device},
		{"vm_disk_queue_depth", i + "disk/average_io_queue_depth", "1", gaugeKind, 3, boot, 3, device},
		{"vm_disk_capacity_bytes", i + "disk/provisioning/size", "GiBy", gaugeKind, 20, boot, 20 << 30, device},
		{"vm_network_receive_bytes_total", i + "network/received_bytes_count", "By", deltaKind, 50, balanced, 100, all},
		{"vm_network_transmit_bytes_total", i + "network/sent_bytes_count", "By", deltaKind, 60, balanced, 120, all},
		{"vm_network_receive_packets_total", i + "network/received_packets_count", "{packet}", deltaKind, 5, balanced, 10, all},
		{"vm_network_transmit_packets_total", i + "network/sent_packets_count", "1", deltaKind, 6, balanced, 12, all},
		{"vm_network_firewall_dropped_packets_total", computePrefix + "firewall/dropped_packets_count", "1", deltaKind, 1, one("instance_name", "one"), 1, nil},
		{"vm_network_firewall_dropped_bytes_total", computePrefix + "firewall/dropped_bytes_count", "By", deltaKind, 90, one("instance_name", "one"), 90, nil},
		{"vm_uptime_seconds", i + "uptime_total", "s", gaugeKind, 86400, one("instance_name", "one"), 86400, nil},
		{"vm_available", i + "uptime", "s{uptime}", deltaKind, 60, one("instance_name", "one"), 1, nil},
	}
}

func agentClaims() []claim {
	a := agentPrefix
	cpus := []map[string]string{tl("cpu_number", "0", "cpu_state", "user"), tl("cpu_number", "1", "cpu_state", "user")}
	memory := []map[string]string{tl("state", "used"), tl("state", "free"), tl("state", "cached"), tl("state", "buffered"), tl("state", "slab")}
	disks := []map[string]string{tl("device", "sda", "direction", "read"), tl("device", "sda", "direction", "write")}
	files := []map[string]string{tl("device", "/dev/sda1", "state", "used"), tl("device", "/dev/sda1", "state", "free"), tl("device", "/dev/sda1", "state", "reserved")}
	links := []map[string]string{tl("device", "eth0", "direction", "rx"), tl("device", "eth0", "direction", "tx")}
	sda, fs, eth0 := tl("device", "sda"), tl("device", "/dev/sda1"), tl("interface", "eth0")
	return []claim{
		{"vm_cpu_mode_seconds_total", a + "cpu/usage_time", "us{CPU}", cumulativeKind, 5e6, cpus, 10, tl("mode", "user")},
		{"vm_cpu_mode_ratio", a + "cpu/utilization", "%", gaugeKind, 30, cpus, 0.3, tl("mode", "user")},
		{"vm_load1", a + "cpu/load_1m", "1", gaugeKind, 0.7, one(), 0.7, nil},
		{"vm_load5", a + "cpu/load_5m", "1", gaugeKind, 0.5, one(), 0.5, nil},
		{"vm_load15", a + "cpu/load_15m", "1", gaugeKind, 0.3, one(), 0.3, nil},
		{"vm_memory_guest_total_bytes", a + "memory/bytes_used", "By", gaugeKind, 100, memory, 500, nil},
		{"vm_memory_available_bytes", a + "memory/bytes_used", "By", gaugeKind, 100, memory, 300, nil},
		{"vm_memory_used_bytes", a + "memory/bytes_used", "By", gaugeKind, 100, memory, 100, nil},
		{"vm_memory_unused_bytes", a + "memory/bytes_used", "By", gaugeKind, 100, memory, 100, nil},
		{"vm_memory_disk_cache_bytes", a + "memory/bytes_used", "By", gaugeKind, 100, memory, 200, nil},
		{"vm_memory_utilization_ratio", a + "memory/percent_used", "%", gaugeKind, 55, memory, 0.55, nil},
		{"vm_memory_swap_ops_total", a + "swap/io", "{operation}", cumulativeKind, 9, []map[string]string{tl("direction", "in"), tl("direction", "out")}, 9, tl("direction", "in")},
		{"vm_swap_used_bytes", a + "swap/bytes_used", "By", gaugeKind, 33, []map[string]string{tl("device", "a", "state", "used"), tl("device", "b", "state", "used"), tl("device", "a", "state", "free")}, 66, nil},
		{"vm_processes", a + "processes/count_by_state", "{process}", gaugeKind, 12, one("state", "running"), 12, tl("state", "running")},
		{"vm_network_tcp_connections", a + "network/tcp_connections", "{connection}", gaugeKind, 4, []map[string]string{tl("port", "80", "tcp_state", "ESTABLISHED"), tl("port", "443", "tcp_state", "ESTABLISHED")}, 8, tl("state", "ESTABLISHED")},
		{"vm_disk_read_bytes_total", a + "disk/read_bytes_count", "By", cumulativeKind, 21, one("device", "sda"), 21, sda},
		{"vm_disk_write_bytes_total", a + "disk/write_bytes_count", "By", cumulativeKind, 22, one("device", "sda"), 22, sda},
		{"vm_disk_read_ops_total", a + "disk/operation_count", "{operation}", cumulativeKind, 23, disks, 23, sda},
		{"vm_disk_write_ops_total", a + "disk/operation_count", "{operation}", cumulativeKind, 23, disks, 23, sda},
		{"vm_disk_read_time_seconds_total", a + "disk/operation_time", "ms", cumulativeKind, 2400, disks, 2.4, sda},
		{"vm_disk_write_time_seconds_total", a + "disk/operation_time", "ms", cumulativeKind, 2400, disks, 2.4, sda},
		{"vm_disk_busy_seconds_total", a + "disk/io_time", "ms", cumulativeKind, 1200, one("device", "sda"), 1.2, sda},
		{"vm_disk_queue_depth", a + "disk/pending_operations", "{operation}", gaugeKind, 2, one("device", "sda"), 2, sda},
		{"vm_filesystem_size_bytes", a + "disk/bytes_used", "By", gaugeKind, 1000, files, 3000, fs},
		{"vm_filesystem_used_bytes", a + "disk/bytes_used", "By", gaugeKind, 1000, files, 1000, fs},
		{"vm_filesystem_available_bytes", a + "disk/bytes_used", "By", gaugeKind, 1000, files, 1000, fs},
		{"vm_filesystem_utilization_ratio", a + "disk/percent_used", "%", gaugeKind, 40, files, 0.4, fs},
		{"vm_network_receive_bytes_total", a + "interface/traffic", "By", cumulativeKind, 70, links, 70, eth0},
		{"vm_network_transmit_bytes_total", a + "interface/traffic", "By", cumulativeKind, 70, links, 70, eth0},
		{"vm_network_receive_packets_total", a + "interface/packets", "{packet}", cumulativeKind, 71, links, 71, eth0},
		{"vm_network_transmit_packets_total", a + "interface/packets", "{packet}", cumulativeKind, 71, links, 71, eth0},
		{"vm_network_receive_errors_total", a + "interface/errors", "{error}", cumulativeKind, 72, links, 72, eth0},
		{"vm_network_transmit_errors_total", a + "interface/errors", "{error}", cumulativeKind, 72, links, 72, eth0},
	}
}

// TestRows holds every row of the rules that Google's monitoring or its agent claims.
func TestRows(t *testing.T) {
	var metrics []collect.Metric
	var refused []string
	inWorld(t, func(w *world) {
		w.cfg.Extended, w.cfg.Agent = true, true
		w.add("11", "one")
		there := map[string]bool{}
		for _, c := range slices.Concat(googleClaims(), agentClaims()) {
			if c.native != "" && !there[c.native] {
				there[c.native] = true
				w.metric(c.native, c.unit, c.kind, c.value, c.theirs...)
			}
		}
		w.open()
		w.wait(5 * time.Minute)
		metrics = w.whole()
		refused = w.refused
	})
	require.Empty(t, refused)
	for source, claims := range map[collect.Source][]claim{collect.GCM: googleClaims(), collect.OpsAgent: agentClaims()} {
		for _, c := range claims {
			t.Run(string(source)+"/"+c.name, func(t *testing.T) {
				labels := []string{"source", string(source), "vm_id", "11", "vm_name", "one"}
				for _, name := range slices.Sorted(maps.Keys(c.ours)) {
					labels = append(labels, name, c.ours[name])
				}
				found := find(metrics, c.name, labels...)
				require.NotEmpty(t, found)
				require.InDelta(t, c.want, found[0].Value, 1e-9*c.want)
				for _, m := range found {
					require.True(t, c.kind != gaugeKind || m.Value == found[0].Value, "nobody contradicts it: %v", found)
				}
				require.Len(t, found[0].Labels, 5+len(c.ours), "labels %v", found[0].Labels)
			})
		}
	}
}

// TestEveryRowIsTested holds that the claims above are those of the table, and both those of the registry.
func TestEveryRowIsTested(t *testing.T) {
	key := func(name, native string) string { return name + " of " + native }
	var rows, claims []string
	for _, r := range table() {
		rows = append(rows, key(r.name, r.native))
	}
	for _, c := range slices.Concat(googleClaims(), agentClaims()) {
		if c.native != "" {
			claims = append(claims, key(c.name, c.native))
		}
	}
	slices.Sort(rows)
	slices.Sort(claims)
	require.Equal(t, rows, claims)

	inWorld(t, func(w *world) {
		w.cfg.Extended, w.cfg.Agent, w.cfg.Tags = true, true, []string{"team"}
		w.open()
		defs, err := w.c.ListAvailableMetrics(w.t.Context())
		require.NoError(w.t, err)
		require.Equal(w.t, collect.NewRegistry().Definitions(collect.GCM, collect.OpsAgent), defs)
	})
}

func TestDefaultSetIsWhatTheRulesSay(t *testing.T) {
	cfg := Config{}
	got := slices.Sorted(maps.Keys(wanted(cfg)))
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], instancePrefix)
	}
	require.Equal(t, []string{
		"cpu/usage_time", "cpu/utilization", "disk/read_bytes_count", "disk/read_ops_count", "disk/write_bytes_count", "disk/write_ops_count",
		"network/received_bytes_count", "network/sent_bytes_count", "uptime_total",
	}, got)
}

// TestInventoryRows holds the rows that the inventory tells.
func TestInventoryRows(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.Tags = []string{"Team-Name", "absent"}
		w.add("11", "one")
		w.fake.Instances[0].Labels = map[string]string{"Team-Name": "db", "secret": "x"}
		started := w.fake.Instances[0].Start
		w.metric(instancePrefix+"disk/read_bytes_count", "By", deltaKind, 1, tl("device_name", "boot", "device_type", "permanent", "storage_type", "pd-ssd"))
		w.open()
		w.wait(5 * time.Minute)
		metrics := w.whole()
		for name, want := range map[string]struct {
			value  float64
			labels map[string]string
		}{
			"vm_start_time_seconds":  {float64(started.Unix()), nil},
			"vm_info":                {1, tl("flavor", "e2-small", "cloud_availability_zone", "europe-west4-a", "project", testProject)},
			"vm_vcpus":               {2, nil},
			"vm_memory_limit_bytes":  {2 << 30, nil},
			"vm_disk_capacity_bytes": {10 << 30, tl("device", "boot")},
			"vm_disk_info":           {1, tl("device", "boot", "volume_id", "one-disk", "driver", "scsi", "storage_type", "pd-ssd", "device_type", "permanent")},
			"vm_network_info":        {1, tl("interface", "nic0", "network", "default")},
			"vm_tags":                {1, tl("tag_team_name", "db")},
		} {
			found := find(metrics, name)
			require.Len(w.t, found, 1, name)
			require.InDelta(w.t, want.value, found[0].Value, 0, name)
			require.Equal(w.t, time.Now().UnixMilli(), found[0].Timestamp.UnixMilli())
			labels := tl("cloud_provider", "gcp", "cloud_account_id", testProject, "cloud_region", "europe-west4", "vm_id", "11", "vm_name", "one")
			maps.Copy(labels, want.labels)
			require.Equal(w.t, labels, found[0].Labels, name)
		}
		require.Empty(w.t, w.refused)
		require.Equal(w.t, 1, w.fake.Calls["machineTypes"])
	})
}

func TestStates(t *testing.T) {
	for status, want := range map[string]string{
		"PROVISIONING": "pending", "STAGING": "pending", "RUNNING": "running", "SUSPENDING": "suspended", "SUSPENDED": "suspended",
		"STOPPING": "stopping", "TERMINATED": "stopped", "REPAIRING": "repairing", "SOMETHING_NEW": "unknown",
	} {
		t.Run(status, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.cfg.Extended = true
				w.add("11", "one")
				w.fake.Instances[0].Status = status
				w.open()
				metrics := w.whole()
				states := find(metrics, "vm_state")
				require.Len(w.t, states, 10)
				for _, s := range states {
					require.InDelta(w.t, oneIf(s.Labels["state"] == want), s.Value, 0, s.Labels["state"])
				}
				available := find(metrics, "vm_available")
				if status == "RUNNING" {
					require.Empty(w.t, available, "nobody says yet that it is up")
				} else {
					require.Len(w.t, available, 1)
					require.Zero(w.t, available[0].Value)
				}
			})
		})
	}
}
