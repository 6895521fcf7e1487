// Package host measures the machine that the agent runs on: gopsutil where it tells what the kernel tells, and the kernel's files where it does not.
package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v4/common"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// Config says what to measure. The zero value with a name measures this host.
type Config struct {
	// Name is the value of the label «host».
	Name string
	// Proc and Sys are where the kernel's files are; empty means /proc and /sys.
	Proc, Sys string
	// Optional adds what is off by default.
	Optional bool
	// NetworkFilesystems adds those on other machines, which may hang.
	NetworkFilesystems bool
	// Statfs asks for the size of what is mounted at a path; nil means the system call.
	Statfs func(path string) (unix.Statfs_t, error)
	// State is where the series are kept that were told last, so that those that have gone while the agent was down end;
	// nil keeps none.
	State collect.StateStore
	// Meter counts partial answers; nil for none.
	Meter *collect.Meter
}

// Collector measures a host.
type Collector struct {
	cfg      Config
	labels   map[string]string
	mounts   mountWatch
	presence collect.Remembered
	// parts says which part told a metric.
	parts map[string]string
}

var (
	_ collect.MetricsCollector = (*Collector)(nil)
	_ collect.Settler          = (*Collector)(nil)
)

// New measures nothing yet.
func New(cfg Config) *Collector {
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	if cfg.Sys == "" {
		cfg.Sys = "/sys"
	}
	if cfg.Statfs == nil {
		cfg.Statfs = statfs
	}
	return &Collector{
		cfg: cfg, labels: map[string]string{"host": cfg.Name}, mounts: mountWatch{asking: map[string]bool{}}, parts: map[string]string{},
		presence: collect.Remembered{Store: cfg.State},
	}
}

// part is one thing to measure.
type part struct {
	name    string
	measure func(*Collector, context.Context, *batch) error
}

// allParts are measured one after the other, those that can wait for a disk last.
var allParts = []part{
	{"cpu", (*Collector).cpu}, {"frequency", (*Collector).frequency}, {"load", (*Collector).load}, {"stat", (*Collector).stat},
	{"memory", (*Collector).memory}, {"paging", (*Collector).paging}, {"hugepages", (*Collector).hugepages}, {"ksm", (*Collector).ksm}, {"numa", (*Collector).numa},
	{"pressure", (*Collector).pressure}, {"uptime", (*Collector).uptime}, {"descriptors", (*Collector).descriptors}, {"conntrack", (*Collector).conntrack},
	{"disks", (*Collector).disks}, {"network", (*Collector).network}, {"links", (*Collector).links}, {"temperature", (*Collector).temperature},
	{"filesystems", (*Collector).filesystems},
}

// batch is what one collection yields.
type batch struct {
	at      time.Time
	labels  map[string]string
	metrics []collect.Metric
}

// add notes a value with pairs of labels.
func (b *batch) add(name string, value float64, labels ...string) {
	all := b.labels
	if len(labels) > 0 {
		all = make(map[string]string, len(b.labels)+len(labels)/2)
		maps.Copy(all, b.labels)
		for i := 0; i+1 < len(labels); i += 2 {
			all[labels[i]] = labels[i+1]
		}
	}
	b.metrics = append(b.metrics, collect.Metric{Name: name, Labels: all, Source: string(collect.Host), Value: value, Timestamp: b.at})
}

// CollectMetrics measures. A part that fails leaves the others; what the kernel does not have is left out.
func (c *Collector) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	selection, err := collect.Select(query)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: c.cfg.Proc, common.HostSysEnvKey: c.cfg.Sys, common.HostProcMountinfo: filepath.Join(c.cfg.Proc, "self", "mountinfo"),
	})
	b := &batch{at: time.Now(), labels: c.labels}
	failed := map[string]bool{}
	var failures []error
	if err := c.presence.Begin(ctx); err != nil {
		failures = append(failures, err)
	}
	for _, p := range allParts {
		before := len(b.metrics)
		if err := p.measure(c, ctx, b); err != nil {
			failed[p.name] = true
			failures = append(failures, fmt.Errorf("%s: %w", p.name, err))
		}
		for _, m := range b.metrics[before:] {
			c.parts[m.Name] = p.name
		}
	}
	conclusive := func(m collect.Metric) bool {
		part, known := c.parts[m.Name]
		if !known { // it was told before the start, by a part that tells nothing of it now
			return len(failed) == 0 && !c.mounts.hangs(m.Labels["mountpoint"])
		}
		return !failed[part] && !c.mounts.hangs(m.Labels["mountpoint"])
	}
	if len(failures) > 0 {
		c.cfg.Meter.Partial()
	}
	b.metrics = append(b.metrics, c.presence.Ended(b.metrics, b.at, conclusive)...)
	return selection.Keep(b.metrics), errors.Join(failures...)
}

// Settle notes whether the series are stored.
func (c *Collector) Settle(ctx context.Context, stored bool) error {
	return c.presence.Settle(ctx, stored, time.Now())
}

// ListAvailableMetrics lists what a host can tell.
func (c *Collector) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	var all []collect.MetricDefinition
	for _, def := range collect.NewRegistry().Definitions(collect.Host) {
		if c.cfg.Optional || !def.Optional {
			all = append(all, def)
		}
	}
	return all, nil
}
