package host

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/load"
)

// cpu tells the time of each CPU by mode. Guests' time is part of user and nice, and told beside them.
func (c *Collector) cpu(ctx context.Context, b *batch) error {
	all, err := cpu.TimesWithContext(ctx, true)
	if err != nil {
		return err
	}
	if len(all) == 0 { // gopsutil's way to say that it could not read the file
		return errors.New(filepath.Join(c.cfg.Proc, "stat") + " tells of no CPU")
	}
	for _, t := range all {
		id := strings.TrimPrefix(t.CPU, "cpu")
		for _, mode := range []struct {
			name  string
			value float64
		}{
			{"user", t.User}, {"nice", t.Nice}, {"system", t.System}, {"idle", t.Idle},
			{"iowait", t.Iowait}, {"irq", t.Irq}, {"softirq", t.Softirq}, {"steal", t.Steal},
		} {
			b.add("host_cpu_seconds_total", mode.value, "cpu", id, "mode", mode.name)
		}
		b.add("host_cpu_guest_seconds_total", t.Guest, "cpu", id, "mode", "user")
		b.add("host_cpu_guest_seconds_total", t.GuestNice, "cpu", id, "mode", "nice")
	}
	b.add("host_cpus", float64(len(all)))
	return nil
}

func (c *Collector) frequency(_ context.Context, b *batch) error {
	for _, path := range named(c.cfg.Sys, "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq") {
		khz, ok, err := number(path)
		if err != nil {
			return err
		}
		if ok {
			id := strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(path))), "cpu")
			b.add("host_cpu_frequency_hertz", khz*1000, "cpu", id)
		}
	}
	return nil
}

func (c *Collector) load(ctx context.Context, b *batch) error {
	avg, err := load.AvgWithContext(ctx)
	if err != nil {
		return err
	}
	b.add("host_load1", avg.Load1)
	b.add("host_load5", avg.Load5)
	b.add("host_load15", avg.Load15)
	return nil
}
