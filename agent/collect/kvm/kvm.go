// Package kvm measures the machines of a host through its hypervisor, without letting one that is stuck keep the others waiting.
package kvm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/tsdb"
)

// Hypervisor is what is needed of a driver.
type Hypervisor interface {
	hypervisor.StatsDriver
	Domains(ctx context.Context) ([]hypervisor.Domain, error)
	Events(ctx context.Context) (<-chan hypervisor.Event, error)
}

var _ Hypervisor = hypervisor.Driver(nil)

// Config says what to measure.
type Config struct {
	Hypervisor Hypervisor
	// Host, Cluster and Region are the labels host, cloud_account_id and cloud_region.
	Host, Cluster, Region string
	// Foreign measures the domains that are not the cluster's as well. Counts of the host have them in any case.
	Foreign bool
	// Patience bounds the wait for all machines together, PatienceEach for one; 0 means 4 s and 2 s.
	Patience, PatienceEach time.Duration
	// GuestsEvery is how often the agents in the guests are asked; 0 means a minute, less than 0 never.
	GuestsEvery time.Duration
	// Proc, Cgroups and Run are where the host's processes, control groups and libvirt's own files are; empty means
	// /proc, /sys/fs/cgroup and /run/libvirt/qemu.
	Proc, Cgroups, Run string
	// State is where the series are kept that were told last, so that those of machines that have gone while the agent
	// was down end; nil keeps none.
	State collect.StateStore
	// Meter counts partial answers; nil for none.
	Meter *collect.Meter
}

// Collector measures the machines of a host.
type Collector struct {
	cfg      Config
	asked    asker
	presence collect.Remembered
	machines map[string]*machine
	guests   *guestRounds
	events   *eventBook
}

var (
	_ collect.MetricsCollector = (*Collector)(nil)
	_ collect.Settler          = (*Collector)(nil)
)

// New measures nothing yet.
func New(cfg Config) *Collector {
	for field, fallback := range map[*time.Duration]time.Duration{&cfg.Patience: 4 * time.Second, &cfg.PatienceEach: 2 * time.Second, &cfg.GuestsEvery: time.Minute} {
		if *field == 0 {
			*field = fallback
		}
	}
	for field, fallback := range map[*string]string{&cfg.Proc: "/proc", &cfg.Cgroups: "/sys/fs/cgroup", &cfg.Run: "/run/libvirt/qemu"} {
		if *field == "" {
			*field = fallback
		}
	}
	return &Collector{
		cfg: cfg, machines: map[string]*machine{}, guests: newGuestRounds(), events: newEventBook(),
		presence: collect.Remembered{Store: cfg.State},
	}
}

// machine is what is known of a domain between collections.
type machine struct {
	about   hypervisor.Description
	labels  map[string]string
	at      time.Time // of the description
	last    hypervisor.DomainStats
	lastAt  time.Time
	process process
	// hidden machines are somebody else's.
	hidden bool
}

// CollectMetrics measures all machines. One that does not answer in time is left out and counted as a partial answer;
// the error says which.
func (c *Collector) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	selection, err := collect.Select(query)
	if err != nil {
		return nil, err
	}
	b := &batch{at: time.Now()}
	forgot := c.presence.Begin(ctx)
	reading := c.read(ctx)
	if reading.err != nil && len(reading.stats) == 0 {
		return nil, errors.Join(reading.err, forgot)
	}
	described := c.describe(ctx, b.at, reading.stats)
	c.guests.ask(ctx, c, b.at, reading.stats)
	whole := c.measure(b, reading)
	b.pools(ctx, c)
	c.guests.tell(b, c.machines)
	c.events.points(b, c.machines)
	if !reading.partial() && described == nil {
		c.forget(reading)
	}
	c.events.tell(b, c.machines)
	b.metrics = append(b.metrics, c.presence.Ended(b.metrics, b.at, whole)...)
	if reading.partial() {
		c.cfg.Meter.Partial()
	}
	return selection.Keep(b.metrics), errors.Join(reading.err, described, b.err, forgot)
}

// Settle notes whether the series are stored.
func (c *Collector) Settle(ctx context.Context, stored bool) error {
	return c.presence.Settle(ctx, stored, time.Now())
}

// ListAvailableMetrics lists what the hypervisor and the agents in the guests can tell.
func (c *Collector) ListAvailableMetrics(context.Context) ([]collect.MetricDefinition, error) {
	return collect.NewRegistry().Definitions(collect.Libvirt, collect.QemuGA), nil
}

// measure turns what was read into metrics. It returns which series are known to be gone when they are not there.
func (c *Collector) measure(b *batch, r reading) func(collect.Metric) bool {
	running := map[string]bool{}
	present := map[string]bool{}
	var sum totals
	for i := range r.stats {
		stats := &r.stats[i]
		m := c.machines[stats.ID]
		if m == nil {
			continue // it came after the descriptions were read; the next collection has it
		}
		present[stats.ID] = true
		running[stats.ID] = isUp(stats)
		sum.add(stats)
		if !m.hidden {
			c.one(b, m, stats)
		}
		m.last, m.lastAt = *stats, b.at
	}
	if !r.partial() {
		sum.tell(b, c.cfg.Host)
	}
	return func(gone collect.Metric) bool {
		id := gone.Labels["vm_id"]
		switch {
		case id == "":
			return !r.partial() && b.err == nil
		case r.stuck[id] || r.partial() && !present[id]:
			return false
		case !present[id]:
			return true
		}
		return !running[id] || c.machines[id].lacks(gone)
	}
}

// lacks tells whether a running machine has no more of what a series is about: NOWAIT leaves values out where a machine
// is busy, which does not end them.
func (m *machine) lacks(gone collect.Metric) bool {
	for name, value := range m.labels { // it was renamed, or the host was
		if gone.Labels[name] != value {
			return true
		}
	}
	switch gone.Name {
	case "vm_info", "vm_disk_info", "vm_network_info":
		return true
	}
	if device, is := gone.Labels["device"]; is && gone.Source == string(collect.Libvirt) {
		return !m.hasDisk(device)
	}
	if card, is := gone.Labels["interface"]; is {
		return !m.hasCard(card)
	}
	return false
}

// forget drops what is known of machines that are gone.
func (c *Collector) forget(r reading) {
	there := map[string]bool{}
	for i := range r.stats {
		there[r.stats[i].ID] = true
	}
	for id := range c.machines {
		if !there[id] {
			delete(c.machines, id)
			c.guests.forget(id)
			c.events.forget(id)
		}
	}
}

// Watch counts the events of the machines' lives until the context ends.
func (c *Collector) Watch(ctx context.Context) error {
	events, err := c.cfg.Hypervisor.Events(ctx)
	if err != nil {
		return fmt.Errorf("events of the hypervisor: %w", err)
	}
	for event := range events {
		c.events.note(event, time.Now())
	}
	return ctx.Err()
}

// batch is what one collection yields.
type batch struct {
	at      time.Time
	metrics []collect.Metric
	err     error
}

// add notes a value with labels that the caller does not change any more.
func (b *batch) add(name string, source collect.Source, labels map[string]string, value float64) {
	b.addAt(b.at, name, source, labels, value)
}

func (b *batch) addAt(at time.Time, name string, source collect.Source, labels map[string]string, value float64) {
	b.metrics = append(b.metrics, collect.Metric{Name: name, Labels: labels, Source: string(source), Value: value, Timestamp: at})
}
