package fake

import (
	"context"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// EditDefinition changes a domain, of which there is one description whether it runs or not.
func (d *Driver) EditDefinition(ctx context.Context, id string, edit func(*libvirtxml.Domain) error) error {
	return d.edit(ctx, "EditDefinition", id, func(_ *domain, x *libvirtxml.Domain) error {
		if err := edit(x); err != nil {
			return err
		}
		d.resolveMachine(x)
		return nil
	})
}

// SetCPUs sets how many CPUs a domain has.
func (d *Driver) SetCPUs(ctx context.Context, id string, n int) error {
	return d.edit(ctx, "SetCPUs", id, func(_ *domain, x *libvirtxml.Domain) error {
		if x.VCPU == nil || uint(n) > x.VCPU.Value {
			return fmt.Errorf("%s: %d CPUs are more than its most", id, n)
		}
		x.VCPU.Current = uint(n)
		return nil
	})
}

// SetMemory sets the balloon.
func (d *Driver) SetMemory(ctx context.Context, id string, mb int) error {
	return d.edit(ctx, "SetMemory", id, func(_ *domain, x *libvirtxml.Domain) error {
		x.CurrentMemory = &libvirtxml.DomainCurrentMemory{Value: uint(mb), Unit: "MiB"}
		return nil
	})
}

// GrowDisk grows the volume behind a disk.
func (d *Driver) GrowDisk(ctx context.Context, id, target string, capacityBytes uint64) error {
	return d.edit(ctx, "GrowDisk", id, func(_ *domain, x *libvirtxml.Domain) error {
		disk := hypervisor.DiskAt(x, target)
		if disk == nil || disk.Source == nil || disk.Source.Volume == nil {
			return fmt.Errorf("disk %s of %s: %w", target, id, hypervisor.ErrNotFound)
		}
		v, err := d.volume(disk.Source.Volume.Pool, disk.Source.Volume.Volume)
		if err != nil {
			return err
		}
		if capacityBytes < v.CapacityBytes {
			return fmt.Errorf("disk %s: %d bytes are less than its %d: a disk never shrinks", target, capacityBytes, v.CapacityBytes)
		}
		v.CapacityBytes = capacityBytes
		return nil
	})
}

// LimitDisk replaces the limits of a disk.
func (d *Driver) LimitDisk(ctx context.Context, id, target string, limits *libvirtxml.DomainDiskIOTune) error {
	return d.edit(ctx, "LimitDisk", id, func(_ *domain, x *libvirtxml.Domain) error {
		disk := hypervisor.DiskAt(x, target)
		if disk == nil {
			return fmt.Errorf("disk %s of %s: %w", target, id, hypervisor.ErrNotFound)
		}
		disk.IOTune = limits
		return nil
	})
}

// EditCard changes a card.
func (d *Driver) EditCard(ctx context.Context, id, mac string, edit func(*libvirtxml.DomainInterface)) error {
	return d.edit(ctx, "EditCard", id, func(_ *domain, x *libvirtxml.Domain) error {
		card := hypervisor.CardAt(x, mac)
		if card == nil {
			return fmt.Errorf("card %s of %s: %w", mac, id, hypervisor.ErrNotFound)
		}
		edit(card)
		return nil
	})
}
