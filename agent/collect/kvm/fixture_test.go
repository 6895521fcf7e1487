package kvm

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
)

const (
	webID = "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f"
	dbID  = "7f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f"
)

// driver is a hypervisor of functions.
type driver struct {
	stats   func(ctx context.Context, ids ...string) ([]hypervisor.DomainStats, error)
	domains func(ctx context.Context) ([]hypervisor.Domain, error)
	usage   func(ctx context.Context, id string) (hypervisor.GuestUsage, error)
	pools   []hypervisor.PoolStats
	hypervisor.EventHub
}

func (d *driver) DomainStats(ctx context.Context, ids ...string) ([]hypervisor.DomainStats, error) {
	return d.stats(ctx, ids...)
}

func (d *driver) Domains(ctx context.Context) ([]hypervisor.Domain, error) { return d.domains(ctx) }

func (d *driver) PoolStats(context.Context) ([]hypervisor.PoolStats, error) { return d.pools, nil }

func (d *driver) GuestUsage(ctx context.Context, id string) (hypervisor.GuestUsage, error) {
	return d.usage(ctx, id)
}

// webXML is a machine with two disks, a card and a balloon that tells every 10 s.
const webXML = `<domain type='kvm'><name>web</name><uuid>` + webID + `</uuid>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/web.qcow2'/><target dev='vda' bus='virtio'/><serial>S1</serial></disk>
<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/data'/><target dev='vdb' bus='virtio'/></disk>
<interface type='network'><mac address='52:54:00:AA:BB:CC'/><source network='default' bridge='virbr0'/><target dev='vnet7'/><alias name='net0'/></interface>
<interface type='user'><mac address='52:54:00:aa:bb:dd'/></interface>
<memballoon model='virtio'><stats period='10'/></memballoon>
</devices></domain>`

func domainOf(t *testing.T, xml string, state hypervisor.State) hypervisor.Domain {
	t.Helper()
	d, err := hypervisor.ParseDomain(xml)
	require.NoError(t, err)
	d.State = state
	return d
}

// webStats are all that libvirt can tell of a running machine; told is when its guest told of its memory.
func webStats(told float64) hypervisor.DomainStats {
	return hypervisor.DomainStats{
		ID: webID, Name: "web",
		Values: map[string]float64{
			"state.state": 1, "state.reason": 5,
			"cpu.time": 4_090_000_000, "cpu.user": 1_000_000_000, "cpu.system": 500_000_000,
			"cpu.haltpoll.success.time": 20_000_000, "cpu.haltpoll.fail.time": 10_000_000,
			"vcpu.current": 2, "vcpu.maximum": 4,
			"balloon.current": 131072, "balloon.maximum": 262144, "balloon.rss": 39576, "balloon.last-update": told,
			"balloon.available": 100000, "balloon.usable": 60000, "balloon.unused": 50000, "balloon.disk_caches": 8000,
			"balloon.swap_in": 3, "balloon.swap_out": 4, "balloon.major_fault": 5, "balloon.minor_fault": 600,
			"balloon.hugetlb_pgalloc": 7, "balloon.hugetlb_pgfail": 1,
			"dirtyrate.calc_status": 2, "dirtyrate.megabytes_per_second": 3,
		},
		VCPUs: []map[string]float64{
			{"state": 1, "time": 3_000_000_000, "wait": 10_000_000, "delay": 250_000_000, "halted": 0},
			{"state": 2, "time": 1_000_000_000, "wait": 0, "delay": 500_000_000, "halted": 1},
			{}, {},
		},
		Disks: []hypervisor.DeviceStats{
			{Name: "vda", Layer: 1, Values: map[string]float64{
				"rd.reqs": 100, "rd.bytes": 4096, "rd.times": 1_500_000_000, "wr.reqs": 50, "wr.bytes": 8192, "wr.times": 500_000_000,
				"fl.reqs": 5, "fl.times": 25_000_000, "allocation": 1 << 20, "capacity": 1 << 30, "physical": 2 << 20, "errors": 1, "threshold": 3 << 20,
			}},
			{Name: "vda", Layer: 2, Values: map[string]float64{"rd.reqs": 1, "rd.bytes": 1}},
			{Name: "vdb", Values: map[string]float64{"rd.bytes": 7}},
		},
		Cards: []hypervisor.DeviceStats{{Name: "vnet7", Values: map[string]float64{
			"rx.bytes": 1000, "rx.pkts": 10, "rx.errs": 1, "rx.drop": 2, "tx.bytes": 2000, "tx.pkts": 20, "tx.errs": 3, "tx.drop": 4,
		}}},
	}
}

// processTree is a host where the machine web runs as process 4711, began 100 s after the boot.
func processTree(t *testing.T) (cfg Config) {
	t.Helper()
	root := t.TempDir()
	fields := "S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 4 0 10000 99 99"
	for name, text := range map[string]string{
		"run/web.pid":       "4711\n",
		"proc/stat":         "cpu 1 2 3\nbtime 1782864000\nprocesses 1\n",
		"proc/4711/stat":    "4711 (qemu-system (x) y) " + fields + "\n",
		"proc/4711/cmdline": "qemu-system-x86_64\x00-uuid\x00" + webID + "\x00",
		"proc/4711/cgroup":  "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator\n",
		"cgroup/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/cpu.pressure":    "some avg10=0.00 avg60=0.00 avg300=0.00 total=2663084728\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
		"cgroup/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
		"cgroup/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/io.pressure":     "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return Config{Proc: filepath.Join(root, "proc"), Cgroups: filepath.Join(root, "cgroup"), Run: filepath.Join(root, "run")}
}

// show is a metric as the expectations have it: without the labels that all metrics of the machine have.
func show(m collect.Metric) string {
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
		if !slices.Contains([]string{"cloud_provider", "cloud_account_id", "cloud_region", "vm_id", "vm_name", "host"}, name) {
			labels = append(labels, name+"="+m.Labels[name])
		}
	}
	value := strconv.FormatFloat(m.Value, 'g', 13, 64)
	if collect.IsStale(m.Value) {
		value = "ended"
	}
	return strings.TrimSpace(m.Name+" "+strings.Join(labels, " ")) + " = " + value
}

func showAll(metrics []collect.Metric) []string {
	all := []string{}
	for _, m := range metrics {
		all = append(all, show(m))
	}
	slices.Sort(all)
	return all
}
