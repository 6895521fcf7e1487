package host

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
)

// stat tells what /proc/stat counts. gopsutil walks over all processes for it.
func (c *Collector) stat(_ context.Context, b *batch) error {
	values, err := keyed(c.cfg.Proc, "stat")
	if err != nil {
		return err
	}
	for key, name := range map[string]string{
		"ctxt": "host_context_switches_total", "intr": "host_interrupts_total", "processes": "host_forks_total", "btime": "host_boot_time_seconds",
	} {
		if v, has := values[key]; has {
			b.add(name, v)
		}
	}
	for key, state := range map[string]string{"procs_running": "running", "procs_blocked": "blocked"} {
		if v, has := values[key]; has {
			b.add("host_processes", v, "state", state)
		}
	}
	return nil
}

func (c *Collector) uptime(_ context.Context, b *batch) error {
	text, err := lines(c.cfg.Proc, "uptime")
	if err != nil || len(text) == 0 {
		return err
	}
	first, _, _ := strings.Cut(text[0], " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err == nil {
		b.add("host_uptime_seconds", seconds)
	}
	return err
}

func (c *Collector) descriptors(_ context.Context, b *batch) error {
	text, err := lines(c.cfg.Proc, "sys/fs/file-nr")
	if err != nil || len(text) == 0 {
		return err
	}
	fields := strings.Fields(text[0])
	for i, name := range map[int]string{0: "host_file_descriptors", 2: "host_file_descriptors_limit"} {
		if len(fields) <= i {
			continue
		}
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return err
		}
		b.add(name, v)
	}
	return nil
}

func (c *Collector) conntrack(_ context.Context, b *batch) error {
	for file, name := range map[string]string{"nf_conntrack_count": "host_conntrack_entries", "nf_conntrack_max": "host_conntrack_limit"} {
		v, ok, err := number(c.cfg.Proc, "sys/net/netfilter", file)
		if err != nil {
			return err
		}
		if ok {
			b.add(name, v)
		}
	}
	return nil
}

// pressure tells the kernel's stall times: in microseconds there, in seconds here.
func (c *Collector) pressure(_ context.Context, b *batch) error {
	for _, resource := range []string{"cpu", "memory", "io", "irq"} {
		text, err := lines(c.cfg.Proc, "pressure", resource)
		if err != nil {
			return err
		}
		stalls, err := ParsePressure(strings.Join(text, "\n"))
		if err != nil {
			return err
		}
		for kind, stall := range stalls {
			c.stall(b, resource, kind, stall)
		}
	}
	return nil
}

func (c *Collector) stall(b *batch, resource, kind string, stall Stall) {
	word := map[string]string{"some": "waiting", "full": "stalled"}[kind]
	switch {
	case resource == "cpu" && kind == "full": // 0 by definition for the whole system
		return
	default:
		b.add("host_pressure_"+resource+"_"+word+"_seconds_total", stall.Seconds)
	}
	if c.cfg.Optional && resource != "irq" {
		for window, share := range stall.Ratios {
			b.add("host_pressure_"+resource+"_ratio", share, "window", window, "kind", kind)
		}
	}
}

// temperature tells what each sensor of each chip says.
func (c *Collector) temperature(_ context.Context, b *batch) error {
	for _, chip := range named(c.cfg.Sys, "class/hwmon/hwmon*") {
		name := chipName(chip)
		seen := map[string]bool{}
		for _, input := range named(chip, "temp*_input") {
			milli, ok, err := number(input)
			if err != nil || !ok {
				continue // a sensor that sleeps, as of a disk, refuses to be read
			}
			sensor := sensorName(strings.TrimSuffix(input, "_input"))
			if seen[sensor] {
				sensor = strings.TrimSuffix(filepath.Base(input), "_input")
			}
			seen[sensor] = true
			b.add("host_temperature_celsius", milli*1e-3, "chip", name, "sensor", sensor)
		}
	}
	return nil
}
