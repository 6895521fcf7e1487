package kvm

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/host"
	"github.com/novacron/novacron/agent/hypervisor"
)

// process is a machine's on the host.
type process struct {
	pid string
	// ticks is when it began, in ticks since the boot: with the number it names a process for good.
	ticks string
	// start is in seconds since 1970.
	start float64
	// group is the folder of the machine's control group; empty where it has none of its own.
	group string
}

// process finds the machine's process by the file that libvirt keeps of it. The zero process is none.
func (c *Collector) process(last process, s *hypervisor.DomainStats) process {
	if !isUp(s) {
		return process{}
	}
	text, err := os.ReadFile(filepath.Join(c.cfg.Run, s.Name+".pid"))
	if err != nil {
		return process{}
	}
	pid := strings.TrimSpace(string(text))
	ticks := c.startTicks(pid)
	if ticks == "" || pid == last.pid && ticks == last.ticks {
		return last.only(ticks != "")
	}
	if args, err := os.ReadFile(filepath.Join(c.cfg.Proc, pid, "cmdline")); err != nil || !bytes.Contains(args, []byte(s.ID)) {
		return process{} // the file outlived its process, and the number was given to another
	}
	return process{pid: pid, ticks: ticks, start: c.startTime(ticks), group: c.groupOf(pid)}
}

func (p process) only(there bool) process {
	if there {
		return p
	}
	return process{}
}

// startTicks is field 22 of /proc/PID/stat; the name in field 2 may hold blanks.
func (c *Collector) startTicks(pid string) string {
	text, err := os.ReadFile(filepath.Join(c.cfg.Proc, pid, "stat"))
	if err != nil {
		return ""
	}
	after := text[bytes.LastIndexByte(text, ')')+1:]
	const start = 19
	if fields := strings.Fields(string(after)); len(fields) > start {
		return fields[start]
	}
	return ""
}

// ticksPerSecond is the kernel's USER_HZ, the same on all architectures that we run on.
const ticksPerSecond = 100

func (c *Collector) startTime(ticks string) float64 {
	text, err := os.ReadFile(filepath.Join(c.cfg.Proc, "stat"))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "\nbtime ")
	line, _, _ := strings.Cut(after, "\n")
	boot, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	since, sinceErr := strconv.ParseFloat(ticks, 64)
	if err != nil || sinceErr != nil {
		return 0
	}
	return boot + since/ticksPerSecond
}

// groupOf is the machine's control group, with or without systemd: libvirt's own are below it.
func (c *Collector) groupOf(pid string) string {
	text, err := os.ReadFile(filepath.Join(c.cfg.Proc, pid, "cgroup"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if path, unified := strings.CutPrefix(strings.TrimSpace(line), "0::"); unified {
			return c.machineGroup(path)
		}
	}
	return ""
}

func (c *Collector) machineGroup(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "machine-qemu") || strings.HasPrefix(part, "qemu-") {
			return filepath.Join(c.cfg.Cgroups, filepath.Join(parts[:i+1]...))
		}
	}
	return ""
}

// life tells since when a machine runs, and how long it waited.
func (b *batch) life(m *machine) {
	if m.process.start > 0 {
		b.add("vm_start_time_seconds", collect.Libvirt, m.labels, m.process.start)
		b.add("vm_uptime_seconds", collect.Libvirt, m.labels, max(0, float64(b.at.UnixMilli())/1e3-m.process.start))
	}
	if m.process.group == "" {
		return
	}
	for _, resource := range []string{"cpu", "memory", "io"} {
		text, err := os.ReadFile(filepath.Join(m.process.group, resource+".pressure"))
		if err != nil {
			continue // a kernel without it
		}
		stalls, err := host.ParsePressure(string(text))
		if err != nil {
			continue
		}
		if some, has := stalls["some"]; has {
			b.add("vm_pressure_"+resource+"_waiting_seconds_total", collect.Libvirt, m.labels, some.Seconds)
		}
		if full, has := stalls["full"]; has && resource != "cpu" {
			b.add("vm_pressure_"+resource+"_stalled_seconds_total", collect.Libvirt, m.labels, full.Seconds)
		}
	}
}
