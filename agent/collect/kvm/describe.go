package kvm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
)

// describedFor is how long a description is believed when nothing hints at a change.
const describedFor = 5 * time.Minute

// describe reads the descriptions anew where a machine is new, began to run, has a device that is not known or was
// described long ago.
func (c *Collector) describe(ctx context.Context, now time.Time, all []hypervisor.DomainStats) error {
	if !slices.ContainsFunc(all, func(s hypervisor.DomainStats) bool { return c.outdated(now, &s) }) {
		return nil
	}
	return c.redescribe(ctx, now)
}

func (c *Collector) redescribe(ctx context.Context, now time.Time) error {
	domains, err := ask(ctx, &c.asked, "descriptions", c.cfg.Patience, c.cfg.Hypervisor.Domains)
	if err != nil {
		return fmt.Errorf("descriptions of the machines: %w", err)
	}
	for _, d := range domains {
		about, err := hypervisor.Describe(d)
		if err != nil {
			return err
		}
		m := c.machines[d.ID]
		if m == nil {
			m = &machine{}
			c.machines[d.ID] = m
		}
		m.about, m.at, m.labels = about, now, c.labels(d.ID, about)
		m.hidden = !c.cfg.Foreign && (about.Cluster == "" || about.Cluster != c.cfg.Cluster)
	}
	return nil
}

func (c *Collector) labels(id string, about hypervisor.Description) map[string]string {
	labels := map[string]string{"cloud_provider": "kvm", "cloud_account_id": c.cfg.Cluster, "vm_id": id, "vm_name": about.Name, "host": c.cfg.Host}
	if c.cfg.Region != "" {
		labels["cloud_region"] = c.cfg.Region
	}
	return labels
}

func (c *Collector) outdated(now time.Time, s *hypervisor.DomainStats) bool {
	m := c.machines[s.ID]
	if m == nil || now.Sub(m.at) > describedFor || isUp(s) != isUp(&m.last) {
		return true
	}
	unknown := func(d hypervisor.DeviceStats) bool { return m.cardOf(d.Name) == "" }
	return slices.ContainsFunc(s.Cards, unknown) || slices.ContainsFunc(s.Disks, func(d hypervisor.DeviceStats) bool { return !m.hasDisk(d.Name) })
}

// isUp tells whether a machine has a process.
func isUp(s *hypervisor.DomainStats) bool {
	switch s.Values["state.state"] {
	case 1, 2, 3, 4, 7: // running, blocked, paused, shutting down, suspended by itself
		return true
	}
	return false
}

func (m *machine) hasDisk(device string) bool {
	return slices.ContainsFunc(m.about.Disks, func(d hypervisor.DiskDescription) bool { return d.Device == device })
}

func (m *machine) hasCard(name string) bool {
	return slices.ContainsFunc(m.about.Cards, func(d hypervisor.CardDescription) bool { return d.Name == name })
}

// cardOf is the stable name of the card behind a device of the host; empty where it is not known.
func (m *machine) cardOf(target string) string {
	for _, card := range m.about.Cards {
		if card.Target == target && target != "" {
			return card.Name
		}
	}
	return ""
}
