//go:build cgo && libvirt_dlopen

package collect

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/kvm"
	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/libvirt"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/novacron/novacron/vm"
)

const (
	peer = "prometheus-libvirt-exporter"
	// few and many are how many machines are measured.
	few, many = 50, 100
	// rounds is how often each side collects; one before warms up.
	rounds = 20
	// interval is how often an agent collects, limit what that may cost of a core beyond libvirt's own work.
	interval = 15 * time.Second
	limit    = 0.01
)

// cost is what one collection takes.
type cost struct {
	// own is CPU time of the collecting process, libvirtd's that of the daemon that it asks.
	own, libvirtd time.Duration
	// values are how many were told.
	values int
}

// TestBench prints a line per figure.
func TestBench(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("a benchmark: set NOVACRON_BENCH=1")
	}
	if err := lab.Supported(); err != nil {
		t.Skipf("no lab: %v", err)
	}
	h := newHost(t)
	ours := newOurs(t, h)
	h.add(t, 0, few)
	overhead := h.measure(t, ours.collect).own.Seconds() / interval.Seconds()
	fmt.Printf("bench collect overhead_50_machines peer=limit ours=%.3f%% theirs=%.0f%% ratio=%.2f\n", 100*overhead, 100*limit, limit/overhead)

	h.add(t, few, many)
	theirs := newTheirs(t, h)
	a, b := h.measure(t, ours.collect), h.measure(t, theirs.collect)
	report("cpu_100_machines", a.own, b.own)
	report("libvirtd_cpu_100_machines", a.libvirtd, b.libvirtd)
	report("cpu_per_value", a.own/time.Duration(a.values), b.own/time.Duration(b.values))
	fmt.Printf("bench collect values_per_machine peer=%s ours=%.1f theirs=%.1f ratio=%.2f\n", peer, float64(a.values)/many, float64(b.values)/many, float64(a.values)/float64(b.values))
}

func report(metric string, ours, theirs time.Duration) {
	fmt.Printf("bench collect %s peer=%s ours=%v theirs=%v ratio=%.2f\n", metric, peer, ours.Round(10*time.Nanosecond), theirs.Round(10*time.Nanosecond), float64(theirs)/float64(ours))
}

// host is a real libvirt with machines that are started and paused.
type host struct {
	uri      string
	dir      string
	libvirtd int
	driver   hypervisor.Driver
	template hypervisor.Template
}

func newHost(t *testing.T) *host {
	t.Helper()
	l, err := lab.New(t.Context(), t.TempDir(), lab.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Down(context.WithoutCancel(t.Context()))) })
	one, err := l.AddHost(t.Context(), "h1")
	require.NoError(t, err)
	h := &host{dir: t.TempDir()}
	h.uri, err = one.URI()
	require.NoError(t, err)
	h.driver, err = libvirt.Open(t.Context(), libvirt.Options{URI: h.uri, Accelerator: hypervisor.AcceleratorQEMU})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.driver.Close()) })
	h.template = hypervisor.Template{Accelerator: hypervisor.AcceleratorQEMU}
	h.libvirtd = daemonOf(t, one)
	return h
}

// daemonOf is the pid of a host's libvirtd as this process sees it.
func daemonOf(t *testing.T, one *lab.Host) int {
	t.Helper()
	inside, err := one.Output(t.Context(), "readlink", "/proc/self/ns/pid")
	require.NoError(t, err)
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	require.NoError(t, err)
	for _, exe := range programs {
		program, err := os.Readlink(exe)
		space, err2 := os.Readlink(filepath.Join(filepath.Dir(exe), "ns", "pid"))
		if err == nil && err2 == nil && filepath.Base(program) == "libvirtd" && space == strings.TrimSpace(inside) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(exe)))
			require.NoError(t, err)
			return pid
		}
	}
	require.Fail(t, "no libvirtd runs on the host")
	return 0
}

// add makes the machines from one number to another.
func (h *host) add(t *testing.T, from, to int) {
	t.Helper()
	var commands []string
	for n := from; n < to; n++ {
		def := vm.Normalise(vm.Definition{
			Name: fmt.Sprintf("m%d", n), UUID: uuid.NewString(), CPUs: 1, MemoryMB: 64, DiskGB: 1, Pool: "default", Image: "none",
			NetworkInterfaces: []vm.NetworkInterface{{}},
		}, vm.Defaults{NewMAC: func() string { return fmt.Sprintf("52:54:00:aa:00:%02x", n) }})
		text, err := h.template.GenerateXML(&def)
		require.NoError(t, err)
		file := filepath.Join(h.dir, def.Name+".xml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		commands = append(commands, "vol-create-as default "+hypervisor.VolumeName(def.UUID, "root", "qcow2")+" 1G --format qcow2", "define "+file, "start --paused "+def.Name)
	}
	out, err := exec.CommandContext(t.Context(), "virsh", "-q", "-c", h.uri, strings.Join(commands, "; ")).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// collector is one side: it collects once and tells how many values that gave, and whose CPU time counts.
type collector func(t *testing.T) (values, pid int)

func (h *host) measure(t *testing.T, collect collector) cost {
	t.Helper()
	_, pid := collect(t)
	own, daemon := cpu(t, pid), cpu(t, h.libvirtd)
	c := cost{}
	for range rounds {
		c.values, _ = collect(t)
	}
	c.own, c.libvirtd = (cpu(t, pid)-own)/rounds, (cpu(t, h.libvirtd)-daemon)/rounds
	return c
}

// cpu is the time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	if pid == os.Getpid() {
		var u syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err := strconv.Atoi(fields[11]) // field 14 of proc(5), the name and what is before it left out
	require.NoError(t, err)
	system, err := strconv.Atoi(fields[12])
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// ours is what an agent does: collect, check by the registry, store on disk.
type ours struct {
	collector *kvm.Collector
	registry  *collect.Registry
	shard     *shard.Shard
}

func newOurs(t *testing.T, h *host) ours {
	t.Helper()
	s, err := shard.Open(shard.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return ours{kvm.New(kvm.Config{Hypervisor: h.driver, Host: "h1", Cluster: "bench", Foreign: true}), collect.NewRegistry(), s}
}

func (o ours) collect(t *testing.T) (values, pid int) {
	got, err := o.collector.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.NoError(t, err)
	admitted, refused := o.registry.Admit(got, collect.Limits{})
	require.Empty(t, refused)
	require.NoError(t, o.shard.StoreMetrics(t.Context(), admitted))
	return len(admitted), os.Getpid()
}

// theirs is the exporter, scraped.
type theirs struct {
	url string
	pid int
}

func newTheirs(t *testing.T, h *host) theirs {
	t.Helper()
	program, err := lab.Program(t.Context(), peer, "usr/bin/"+peer)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	cmd := exec.CommandContext(t.Context(), program, "--web.listen-address="+address, "--libvirt.uri="+h.uri)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context
	p := theirs{"http://" + address + "/metrics", cmd.Process.Pid}
	require.Eventually(t, func() bool { _, err := p.scrape(t.Context()); return err == nil }, 20*time.Second, 100*time.Millisecond)
	return p
}

func (p theirs) scrape(ctx context.Context) (values int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "libvirt_domain") {
			values++
		}
	}
	return values, err
}

func (p theirs) collect(t *testing.T) (values, pid int) {
	values, err := p.scrape(t.Context())
	require.NoError(t, err)
	require.Positive(t, values)
	return values, p.pid
}
