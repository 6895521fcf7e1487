package fake

import (
	"context"
	"maps"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// stateNumbers are libvirt's.
var stateNumbers = map[hypervisor.State]float64{
	hypervisor.StateRunning: 1, hypervisor.StatePaused: 3, hypervisor.StateStopped: 5, hypervisor.StateCrashed: 6,
}

// DomainStats tells of every domain its state, and what Options.Stats adds to it.
func (d *Driver) DomainStats(ctx context.Context, ids ...string) ([]hypervisor.DomainStats, error) {
	object := ""
	if len(ids) == 1 {
		object = ids[0]
	}
	if err := d.begin(ctx, "DomainStats", object); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []hypervisor.DomainStats
	for _, id := range slices.Sorted(maps.Keys(d.state.Domains)) {
		if len(ids) > 0 && !slices.Contains(ids, id) {
			continue
		}
		one, err := d.state.Domains[id].counted(id)
		if err != nil {
			return nil, err
		}
		if d.opts.Stats != nil {
			one = d.opts.Stats(one)
		}
		all = append(all, one)
	}
	return all, nil
}

func (dom *domain) counted(id string) (hypervisor.DomainStats, error) {
	var x libvirtxml.Domain
	if err := x.Unmarshal(dom.XML); err != nil {
		return hypervisor.DomainStats{}, err
	}
	one := hypervisor.DomainStats{ID: id, Name: x.Name, Values: map[string]float64{"state.state": stateNumbers[dom.State], "state.reason": 0}}
	if dom.State == hypervisor.StateRunning && x.VCPU != nil {
		one.Values["vcpu.current"], one.Values["vcpu.maximum"], one.Values["cpu.time"] = float64(x.VCPU.Value), float64(x.VCPU.Value), 0
	}
	return one, nil
}

// PoolStats tells of the pools that Facts tells of.
func (d *Driver) PoolStats(ctx context.Context) ([]hypervisor.PoolStats, error) {
	if err := d.begin(ctx, "PoolStats", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []hypervisor.PoolStats
	for _, p := range d.facts().Pools {
		all = append(all, hypervisor.PoolStats{Name: p.Name, CapacityBytes: p.CapacityBytes, AllocationBytes: p.CapacityBytes - p.FreeBytes, AvailBytes: p.FreeBytes})
	}
	return all, nil
}

// GuestUsage is that of Options.Usage; without it no agent answers.
func (d *Driver) GuestUsage(ctx context.Context, id string) (hypervisor.GuestUsage, error) {
	if err := d.begin(ctx, "GuestUsage", id); err != nil {
		return hypervisor.GuestUsage{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.find(id); err != nil || d.opts.Usage == nil {
		return hypervisor.GuestUsage{}, err
	}
	return d.opts.Usage(id), nil
}
