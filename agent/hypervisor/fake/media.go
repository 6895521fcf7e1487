package fake

import (
	"context"
	"fmt"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
)

// ChangeMedium puts a volume into a drive.
func (d *Driver) ChangeMedium(ctx context.Context, id string, m hypervisor.Medium) error {
	return d.edit(ctx, "ChangeMedium", id, func(dom *domain, x *libvirtxml.Domain) error {
		i := driveAt(x, m.Target)
		if i < 0 {
			return fmt.Errorf("drive %s of %s: %w", m.Target, id, hypervisor.ErrNotFound)
		}
		if d.opts.LockedDrives && dom.State == hypervisor.StateRunning && x.Devices.Disks[i].Source != nil && !m.Force {
			return fmt.Errorf("drive %s of %s is locked by the guest", m.Target, id)
		}
		hypervisor.Insert(&x.Devices.Disks[i], m)
		return nil
	})
}

// PlugDrive adds a drive to a running domain.
func (d *Driver) PlugDrive(ctx context.Context, id string, m hypervisor.Medium) error {
	return d.edit(ctx, "PlugDrive", id, func(dom *domain, x *libvirtxml.Domain) error {
		if dom.State.Off() {
			return fmt.Errorf("plug a drive into %s: it is stopped", id)
		}
		if i := driveAt(x, m.Target); i >= 0 {
			hypervisor.Insert(&x.Devices.Disks[i], m)
			return nil
		}
		if x.Devices == nil {
			x.Devices = &libvirtxml.DomainDeviceList{}
		}
		x.Devices.Disks = append(x.Devices.Disks, hypervisor.DriveXML(m, vm.BusSCSI))
		return nil
	})
}

func driveAt(x *libvirtxml.Domain, target string) int {
	if x.Devices == nil {
		return -1
	}
	return slices.IndexFunc(x.Devices.Disks, func(disk libvirtxml.DomainDisk) bool {
		return disk.Device == vm.DeviceCDROM && disk.Target != nil && disk.Target.Dev == target
	})
}

// edit changes a domain's XML, which then needs every volume that it names.
func (d *Driver) edit(ctx context.Context, op, id string, change func(*domain, *libvirtxml.Domain) error) error {
	if err := d.begin(ctx, op, id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil {
		return err
	}
	var x libvirtxml.Domain
	if err := x.Unmarshal(dom.XML); err != nil {
		return err
	}
	if err := change(dom, &x); err != nil {
		return err
	}
	text, err := x.Marshal()
	if err != nil {
		return err
	}
	if err := d.checkDisks(text); err != nil {
		return fmt.Errorf("%s %s: %w", op, id, err)
	}
	dom.XML = text
	return d.save()
}

// InDrive is the volume that lies in a drive according to a domain's XML; empty is none.
func InDrive(text, target string) string {
	var x libvirtxml.Domain
	if x.Unmarshal(text) != nil {
		return ""
	}
	i := driveAt(&x, target)
	if i < 0 || x.Devices.Disks[i].Source == nil || x.Devices.Disks[i].Source.Volume == nil {
		return ""
	}
	return x.Devices.Disks[i].Source.Volume.Volume
}
