//go:build cgo && libvirt_dlopen

package kvm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/libvirt"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/vm"
)

// labImages are files of this machine.
type labImages map[string]hypervisor.ImageFile

func (l labImages) Image(_ context.Context, name string) (hypervisor.ImageFile, error) {
	return l[name], nil
}

func image(t *testing.T, path, format string) hypervisor.ImageFile {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	return hypervisor.ImageFile{Path: path, SHA256: hex.EncodeToString(sum[:]), Format: format}
}

// labGuest is a real guest that has come up on a host of its own.
type labGuest struct {
	host    *lab.Host
	driver  hypervisor.Driver
	manager *hypervisor.Manager
	id      string
	console hypervisor.Console
	// begun is when it was about to be started.
	begun time.Time
}

func bootLabGuest(t *testing.T) labGuest {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a real guest; not in a short run")
	}
	if err := lab.Supported(); err != nil {
		t.Skipf("no lab: %v", err)
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	guest, err := lab.BuildGuest(t.Context(), filepath.Join(cache, "novacron", "guest"), nil)
	if err != nil {
		lab.Lacks(t, "guest", err)
	}
	l, err := lab.New(t.Context(), t.TempDir(), lab.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, l.Down(ctx))
	})
	g := labGuest{}
	g.host, err = l.AddHost(t.Context(), "h1")
	require.NoError(t, err)
	uri, err := g.host.URI()
	require.NoError(t, err)
	g.driver, err = libvirt.Open(t.Context(), libvirt.Options{URI: uri, Accelerator: hypervisor.AcceleratorQEMU})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.driver.Close()) })
	g.manager, err = hypervisor.New(hypervisor.Config{Driver: g.driver, ClusterID: "lab", JournalDir: t.TempDir(), ConsoleLogDir: t.TempDir()})
	require.NoError(t, err)
	g.begun = time.Now()
	g.id, err = g.manager.Create(t.Context(), labOrder(t, guest))
	require.NoError(t, err)
	g.console, err = g.manager.Console(t.Context(), g.id)
	require.NoError(t, err)
	t.Cleanup(func() { g.console.Close() })
	g.hear(t, lab.UpMark)
	return g
}

func labOrder(t *testing.T, guest lab.Guest) hypervisor.CreateSpec {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", disk, "64M").CombinedOutput()
	require.NoError(t, err, "%s", out)
	def := vm.Normalise(vm.Definition{
		Name: "web", UUID: uuid.NewString(), CPUs: 2, MemoryMB: 128, DiskGB: 1, Image: "disk", Pool: "default",
		NetworkInterfaces: []vm.NetworkInterface{{}},
		Boot:              &vm.DirectBoot{Kernel: "kernel", Initrd: "initrd", Cmdline: lab.KernelArgs},
		CloudInit:         &vm.CloudInit{Hostname: "seeded"},
	}, vm.Defaults{NewMAC: func() string { return "52:54:00:aa:bb:cc" }})
	return hypervisor.CreateSpec{Definition: &def, Owner: hypervisor.Owner{ClusterID: "lab", Epoch: 1}, Start: true, Images: labImages{
		"disk": image(t, disk, vm.FormatQcow2), "kernel": image(t, guest.Kernel, vm.FormatRaw), "initrd": image(t, guest.Initrd, vm.FormatRaw),
	}}
}

// hear reads the console until a word has come by.
func (g labGuest) hear(t *testing.T, word string) {
	t.Helper()
	found := make(chan bool, 1)
	go func() {
		heard, buf := "", make([]byte, 4096)
		for !strings.Contains(heard, word) {
			n, err := g.console.Read(buf)
			if err != nil {
				break
			}
			heard += string(buf[:n])
		}
		found <- strings.Contains(heard, word)
	}()
	select {
	case ok := <-found:
		require.True(t, ok, "the guest does not say %q", word)
	case <-time.After(2 * time.Minute):
		require.Failf(t, "the guest is silent", "it does not say %q", word)
	}
}

// domstats is what virsh tells.
func (g labGuest) domstats(t *testing.T) map[string]string {
	t.Helper()
	out, err := g.host.Output(t.Context(), "virsh", "domstats", "--nowait", g.id)
	require.NoError(t, err)
	values := map[string]string{}
	for line := range strings.Lines(out) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), "="); is {
			values[name] = value
		}
	}
	return values
}

// comparison is what this collector tells between two answers of virsh.
type comparison struct {
	ours          []collect.Metric
	before, after map[string]string
}

func (g labGuest) read(t *testing.T, c *Collector) comparison {
	t.Helper()
	before := g.domstats(t)
	ours, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	_, refused := collect.NewRegistry().Admit(ours, collect.Limits{})
	require.Empty(t, refused)
	return comparison{ours, before, g.domstats(t)}
}

// labRules are all values that virsh tells too, by the name in its list.
func labRules() map[string]rule {
	all := map[string]rule{}
	add := func(prefix string, rules []rule, label, value string) {
		for _, r := range rules {
			r.labels = append([]string{}, r.labels...)
			if label != "" {
				r.labels = append(r.labels, label, value)
			}
			all[prefix+r.field] = r
		}
	}
	add("", wholeRules, "", "")
	add("", guestRules, "", "")
	add("vcpu.0.", vcpuRules, "vcpu", "0")
	add("vcpu.1.", vcpuRules, "vcpu", "1")
	add("block.0.", diskRules, "device", "vda")
	add("net.0.", cardRules, "interface", "net0")
	return all
}

func find(all []collect.Metric, r rule) (collect.Metric, bool) {
	for _, m := range all {
		matches := m.Name == r.metric
		for i := 0; i+1 < len(r.labels); i += 2 {
			matches = matches && m.Labels[r.labels[i]] == r.labels[i+1]
		}
		if matches {
			return m, true
		}
	}
	return collect.Metric{}, false
}

// TestAgreesWithVirsh puts a real guest under load and asks virsh, this collector and virsh again.
func TestAgreesWithVirsh(t *testing.T) {
	g := bootLabGuest(t)
	root, err := g.host.Root()
	require.NoError(t, err)
	c := New(Config{
		Hypervisor: g.driver, Host: "h1", Cluster: "lab", GuestsEvery: time.Second,
		Proc: filepath.Join(root, "proc"), Cgroups: filepath.Join(root, "sys/fs/cgroup"), Run: filepath.Join(root, "run/libvirt/qemu"),
	})
	_, err = io.WriteString(g.console, "for d in /dev/vd? /dev/sr?; do mount -t iso9660 -o ro $d /mnt 2>/dev/null && break; done\n"+
		"while :; do dd if=/dev/zero of=/dev/vda bs=64k count=64 conv=fsync 2>/dev/null; dd if=/dev/vda of=/dev/null bs=64k count=64 2>/dev/null; done &\n"+
		"while ! route -n | grep -q UG; do sleep 1; done; ping -q -s 1400 -i 0.05 $(route -n | awk '/UG/{sub(/[0-9]+$/, \"255\", $2); print $2}') >/dev/null & (while :; do :; done) &\n")
	require.NoError(t, err)
	var first, last comparison
	compared := map[string]int{}
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for round := range maxRounds {
		<-ticker.C
		last = g.read(t, c)
		for name, r := range labRules() {
			compared[name] += between(t, round, r, name, last)
		}
		if round == loaded {
			first = last
		}
		if round >= minRounds && last.vague(t, first, "cpu.time") < exact && last.vague(t, first, "block.0.wr.bytes") < exact {
			break
		}
	}
	agree := 0
	for name := range labRules() {
		if compared[name] > 0 {
			agree++
		}
	}
	t.Logf("%d of %d values that virsh tells lay between its two answers in every round", agree, len(labRules()))
	require.Greater(t, agree, 30)
	for _, name := range []string{"cpu.time", "vcpu.0.time", "block.0.rd.bytes", "block.0.wr.bytes", "net.0.tx.bytes"} {
		sameGrowth(t, name, labRules()[name], first, last)
	}
	sent, _ := find(last.ours, labRules()["net.0.tx.bytes"])
	got, _ := find(last.ours, labRules()["net.0.rx.bytes"])
	require.Greater(t, sent.Value, 10*got.Value, "the guest sends and hears little: directions are the guest's")
	g.requireSurroundings(t, last.ours)
	g.requireGuest(t, c)
}

// between holds that a value of ours lies between two of virsh's; 0 where one of them is not told.
func between(t *testing.T, round int, r rule, name string, got comparison) int {
	t.Helper()
	before, after := got.before[name], got.after[name]
	m, has := find(got.ours, r)
	if !has || before == "" || after == "" {
		return 0
	}
	low, high := parse(t, before)*r.factor, parse(t, after)*r.factor
	low, high = min(low, high), max(low, high)
	slack := 1e-9 * high
	if !strings.HasSuffix(r.metric, "_total") {
		slack = 0.02 * high
	}
	require.True(t, m.Value >= low-slack && m.Value <= high+slack, "round %d: %s is %v, virsh's %s %v to %v", round, show(m), m.Value, name, low, high)
	return 1
}

func parse(t *testing.T, text string) float64 {
	t.Helper()
	switch text {
	case "yes":
		return 1
	case "no":
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v
}

// Rounds of readings: the guest is under load from the loaded one on, and as many follow as it takes for virsh to say
// how much happened between the first and the last, to within what is exact enough.
const (
	loaded    = 2
	minRounds = 6
	maxRounds = 20
	exact     = 0.02
)

// grown is what happened between two readings, by virsh: at least and at most, as it does not say when it read.
func (got comparison) grown(t *testing.T, since comparison, name string) (least, most float64) {
	t.Helper()
	return parse(t, got.before[name]) - parse(t, since.after[name]), parse(t, got.after[name]) - parse(t, since.before[name])
}

// vague is how far apart the two are, as a share.
func (got comparison) vague(t *testing.T, since comparison, name string) float64 {
	t.Helper()
	least, most := got.grown(t, since, name)
	return (most - least) / most
}

// sameGrowth holds that a counter of ours has grown as virsh's has, within 2 % of what virsh leaves open.
func sameGrowth(t *testing.T, name string, r rule, first, last comparison) {
	t.Helper()
	a, hasA := find(first.ours, r)
	b, hasB := find(last.ours, r)
	require.True(t, hasA && hasB, name)
	least, most := last.grown(t, first, name)
	ours := (b.Value - a.Value) / r.factor
	t.Logf("%s: grown by %.6g, virsh says by %.6g to %.6g", name, ours, least, most)
	require.Positive(t, least, "%s: there is no load", name)
	require.True(t, ours >= 0.98*least && ours <= 1.02*most, "%s: grown by %.6g, virsh says by %.6g to %.6g", name, ours, least, most)
}

// requireSurroundings looks at what virsh does not tell.
func (g labGuest) requireSurroundings(t *testing.T, got []collect.Metric) {
	t.Helper()
	values := map[string]float64{}
	for _, m := range got {
		values[show(m)[:strings.LastIndex(show(m), " = ")]] = m.Value
	}
	require.Equal(t, 1.0, values["vm_state state=running"])
	require.Equal(t, 2.0, values["vm_vcpus"])
	started := values["vm_start_time_seconds"]
	require.True(t, started > float64(g.begun.Unix()-10) && started < float64(time.Now().Unix()+10), "the process was found: %v", started)
	require.Positive(t, values["vm_cpu_utilization_ratio"])
	require.Positive(t, values["host_storage_pool_capacity_bytes pool=default"])
	require.Equal(t, 2.0, values["host_vcpus_allocated"])
	require.Equal(t, 1.0, values["host_vms state=running"])
}

// requireGuest looks at what the guest's agent tells: of the disk with the seed, which the guest has mounted.
func (g labGuest) requireGuest(t *testing.T, c *Collector) {
	t.Helper()
	var told []string
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(2 * time.Minute); len(told) < 4 && time.Now().Before(end); <-ticker.C {
		told = nil
		got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
		require.NoError(t, err)
		for _, m := range got {
			if strings.HasPrefix(m.Name, "vm_filesystem_") && m.Labels["mountpoint"] == "/mnt" && m.Labels["fstype"] == "iso9660" && m.Value > 0 || m.Name == "vm_filesystem_available_bytes" {
				told = append(told, show(m))
			}
		}
	}
	require.Len(t, told, 4, "size, used, available and utilization")
	t.Log(told)
}
