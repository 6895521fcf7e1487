package fake

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/novacron/novacron/agent/hypervisor"
)

// filter is a packet filter of a fake host.
type filter struct {
	hypervisor.Filter

	XML string `json:"xml"`
}

// Networks lists every network; those of Facts are of no use to it.
func (d *Driver) Networks(ctx context.Context) ([]hypervisor.Network, error) {
	if err := d.begin(ctx, "Networks", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []hypervisor.Network
	for _, id := range slices.Sorted(maps.Keys(d.state.Networks)) {
		n := *d.state.Networks[id]
		n.Leases = slices.Clone(n.Leases)
		list = append(list, n)
	}
	return list, nil
}

// network looks one up. The caller holds the lock.
func (d *Driver) network(id string) (*hypervisor.Network, error) {
	if n, ok := d.state.Networks[id]; ok {
		return n, nil
	}
	return nil, fmt.Errorf("network %s: %w", id, hypervisor.ErrNotFound)
}

// change does something to a network.
func (d *Driver) change(ctx context.Context, op, id string, do func(*hypervisor.Network)) error {
	if err := d.begin(ctx, op, id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.network(id)
	if err != nil {
		return err
	}
	do(n)
	return d.save()
}

// DefineNetwork makes or changes a network.
func (d *Driver) DefineNetwork(ctx context.Context, text string) error {
	n, err := hypervisor.ParseNetwork(text)
	if err != nil {
		return err
	}
	if err := d.begin(ctx, "DefineNetwork", n.ID); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.state.Networks {
		if (other.Name == n.Name) != (other.ID == n.ID) {
			return fmt.Errorf("network %s (%s): %w", other.Name, other.ID, hypervisor.ErrExists)
		}
	}
	if before, ok := d.state.Networks[n.ID]; ok {
		n.Active, n.Autostart = before.Active, before.Autostart
	}
	d.state.Networks[n.ID] = &n
	return d.save()
}

// StartNetwork runs a network.
func (d *Driver) StartNetwork(ctx context.Context, id string) error {
	return d.change(ctx, "StartNetwork", id, func(n *hypervisor.Network) { n.Active, n.Autostart = true, true })
}

// RemoveNetwork forgets a network.
func (d *Driver) RemoveNetwork(ctx context.Context, id string) error {
	return d.change(ctx, "RemoveNetwork", id, func(*hypervisor.Network) { delete(d.state.Networks, id) })
}

// SetLease gives an address to a card.
func (d *Driver) SetLease(ctx context.Context, id string, lease hypervisor.Lease) error {
	return d.change(ctx, "SetLease", id, func(n *hypervisor.Network) {
		n.Leases = append(slices.DeleteFunc(n.Leases, func(l hypervisor.Lease) bool { return l.MAC == lease.MAC }), lease)
	})
}

// DropLease takes it back.
func (d *Driver) DropLease(ctx context.Context, id string, lease hypervisor.Lease) error {
	return d.change(ctx, "DropLease", id, func(n *hypervisor.Network) {
		n.Leases = slices.DeleteFunc(n.Leases, func(l hypervisor.Lease) bool { return l.MAC == lease.MAC })
	})
}

// Filters lists every packet filter.
func (d *Driver) Filters(ctx context.Context) ([]hypervisor.Filter, error) {
	if err := d.begin(ctx, "Filters", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []hypervisor.Filter
	for _, id := range slices.Sorted(maps.Keys(d.state.Filters)) {
		list = append(list, d.state.Filters[id].Filter)
	}
	return list, nil
}

// DefineFilter makes or changes a filter.
func (d *Driver) DefineFilter(ctx context.Context, text string) error {
	var x struct {
		Name string `xml:"name,attr"`
		UUID string `xml:"uuid"`
	}
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return fmt.Errorf("filter XML: %w", err)
	}
	if err := d.begin(ctx, "DefineFilter", x.UUID); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.state.Filters {
		if (other.Name == x.Name) != (other.ID == x.UUID) {
			return fmt.Errorf("filter %s (%s): %w", other.Name, other.ID, hypervisor.ErrExists)
		}
	}
	d.state.Filters[x.UUID] = &filter{Filter: hypervisor.Filter{ID: x.UUID, Name: x.Name}, XML: text}
	return d.save()
}

// RemoveFilter forgets a filter, unless a running guest refers to it.
func (d *Driver) RemoveFilter(ctx context.Context, id string) error {
	if err := d.begin(ctx, "RemoveFilter", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.state.Filters[id]
	if !ok {
		return fmt.Errorf("filter %s: %w", id, hypervisor.ErrNotFound)
	}
	for _, dom := range d.state.Domains {
		if !dom.State.Off() && strings.Contains(dom.XML, `<filterref filter="`+f.Name+`"`) {
			return fmt.Errorf("filter %s: %w", f.Name, hypervisor.ErrInUse)
		}
	}
	delete(d.state.Filters, id)
	return d.save()
}

// networkNames are the host's own networks and those that were made and run.
func (d *Driver) networkNames(own []string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := slices.Clone(own)
	for _, n := range d.state.Networks {
		if n.Active {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
