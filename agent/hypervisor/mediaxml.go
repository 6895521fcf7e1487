package hypervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor/domainxml"
	"github.com/novacron/novacron/vm"
)

// changeDrives does to the domain what differs between the definition that it has and the one that it shall have.
func (c *mediaChange) changeDrives(ctx context.Context) error {
	has, shall := media(c.meta.Definition), media(c.def)
	for _, d := range disks(c.def) {
		if d.device != vm.DeviceCDROM || isSeed(c.def, d) {
			continue
		}
		t := Template{bases: c.bases}
		medium := Medium{Pool: d.pool, Volume: t.volumeOf(c.def, d), Force: c.force}
		before, there := has[d.name]
		if there && before == shall[d.name] {
			continue
		}
		if !there {
			if err := c.addDrive(ctx, d, medium); err != nil {
				return err
			}
			continue
		}
		if err := c.fillDrive(ctx, d, medium); err != nil {
			return err
		}
	}
	return nil
}

// media is what lies in each drive, by the drive's name.
func media(def *VMDefinition) map[string]vm.Medium {
	all := map[string]vm.Medium{}
	for _, d := range def.Drives() {
		all[d.Name] = d.Medium
	}
	return all
}

// fillDrive changes what lies in a drive that is there.
func (c *mediaChange) fillDrive(ctx context.Context, d disk, m Medium) error {
	var x libvirtxml.Domain
	if err := x.Unmarshal(c.domain.XML); err != nil {
		return err
	}
	drive := findDrive(c.def, &x, d.name)
	if drive == nil {
		return fmt.Errorf("drive %s: %w in the domain: somebody removed it there; delete it from the definition, or put it back with virsh", d.name, ErrNotFound)
	}
	if holds(drive, m) && c.domain.State.Off() {
		return nil
	}
	m.Target = drive.Target.Dev
	if err := c.driver.ChangeMedium(ctx, c.def.UUID, m); err != nil {
		return fmt.Errorf("drive %s: %w", d.name, err)
	}
	return nil
}

// holds tells whether that lies in a drive already.
func holds(drive *libvirtxml.DomainDisk, m Medium) bool {
	if drive.Source == nil || drive.Source.Volume == nil {
		return m.Volume == "" && (drive.Source == nil || drive.Source.File == nil || drive.Source.File.File == "")
	}
	return drive.Source.Volume.Pool == m.Pool && drive.Source.Volume.Volume == m.Volume
}

// findDrive finds a drive of a definition in a domain: of the drives on its bus, the one in its place. Drives are only ever
// added behind those that are there.
func findDrive(def *VMDefinition, x *libvirtxml.Domain, name string) *libvirtxml.DomainDisk {
	drives := def.Drives()
	i := slices.IndexFunc(drives, func(d vm.Drive) bool { return d.Name == name })
	if i < 0 || x.Devices == nil {
		return nil
	}
	place := 0
	for _, d := range drives[:i] {
		if d.Bus == drives[i].Bus {
			place++
		}
	}
	var found []*libvirtxml.DomainDisk
	for n := range x.Devices.Disks {
		disk := &x.Devices.Disks[n]
		seed := disk.Source != nil && isSeedVolume(disk.Source)
		if disk.Device == vm.DeviceCDROM && disk.Target != nil && disk.Target.Bus == drives[i].Bus && !seed {
			found = append(found, disk)
		}
	}
	slices.SortFunc(found, func(a, b *libvirtxml.DomainDisk) int { return compareTargets(a.Target.Dev, b.Target.Dev) })
	if place >= len(found) {
		return nil
	}
	return found[place]
}

// compareTargets orders sda … sdz, sdaa.
func compareTargets(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// nextTarget is behind every target of the same kind.
func nextTarget(x *libvirtxml.Domain, bus string) string {
	last := -1
	for n := 0; x.Devices != nil && n <= last+len(x.Devices.Disks)+1; n++ {
		name := targetName(bus, n)
		if slices.ContainsFunc(x.Devices.Disks, func(d libvirtxml.DomainDisk) bool { return d.Target != nil && d.Target.Dev == name }) {
			last = n
		}
	}
	return targetName(bus, last+1)
}

// addDrive makes a drive that is not there: in the definition of a stopped domain, with its place in the boot order; plugged
// into a running one.
func (c *mediaChange) addDrive(ctx context.Context, d disk, m Medium) error {
	var x libvirtxml.Domain
	if err := x.Unmarshal(c.domain.XML); err != nil {
		return err
	}
	m.Target = nextTarget(&x, d.bus)
	drive := findDrive(c.def, &x, d.name)
	if drive != nil {
		m.Target = drive.Target.Dev // a crash came between the drive and its record
	}
	switch {
	case c.domain.State.Off() && drive != nil:
		return c.driver.ChangeMedium(ctx, c.def.UUID, m)
	case c.domain.State.Off():
		text, err := withDrive(c.def, &x, d, m)
		if err != nil {
			return err
		}
		return c.driver.Define(ctx, text)
	case d.bus != vm.BusSCSI:
		return fmt.Errorf("drive %s: %w: a running machine takes a drive on scsi alone, not on %s: stop it, and attach again", d.name, ErrUnsupported, d.bus)
	}
	if err := c.driver.PlugDrive(ctx, c.def.UUID, m); err != nil {
		if errors.Is(err, ErrUnsupported) {
			return fmt.Errorf("drive %s: %w: stop the machine, and attach again", d.name, err)
		}
		return fmt.Errorf("drive %s: %w", d.name, err)
	}
	return nil
}

// withDrive is a stopped domain with one more drive.
func withDrive(def *VMDefinition, x *libvirtxml.Domain, d disk, m Medium) (string, error) {
	if x.Devices == nil {
		x.Devices = &libvirtxml.DomainDeviceList{}
	}
	if d.bus == vm.BusSCSI && !slices.ContainsFunc(x.Devices.Controllers, func(c libvirtxml.DomainController) bool { return c.Type == "scsi" }) {
		x.Devices.Controllers = append(x.Devices.Controllers, scsiController(def))
	}
	drive := DriveXML(m, d.bus)
	if order := orderForDrive(def, x, d); order > 0 {
		drive.Boot = &libvirtxml.DomainDeviceBoot{Order: order}
	}
	x.Devices.Disks = append(x.Devices.Disks, drive)
	return domainxml.Domain(x)
}

// orderForDrive is the place of a new drive in the boot order: that of the ISO comes last, any other has none unless it was
// asked for. A domain that so far started from its first disk gets an order.
func orderForDrive(def *VMDefinition, x *libvirtxml.Domain, d disk) uint {
	if d.options.BootOrder > 0 || d.name != vm.ISOVolume || def.Boot != nil {
		return uint(d.options.BootOrder)
	}
	last := uint(0)
	for _, disk := range x.Devices.Disks {
		if disk.Boot != nil {
			last = max(last, disk.Boot.Order)
		}
	}
	for _, nic := range x.Devices.Interfaces {
		if nic.Boot != nil {
			last = max(last, nic.Boot.Order)
		}
	}
	if last > 0 {
		return last + 1
	}
	if x.OS != nil {
		x.OS.BootDevices = nil
	}
	root := slices.IndexFunc(x.Devices.Disks, func(disk libvirtxml.DomainDisk) bool {
		return disk.Source != nil && disk.Source.Volume != nil && disk.Source.Volume.Volume == VolumeName(def.UUID, vm.RootVolume, cmp.Or(def.RootDisk.Format, vm.FormatQcow2))
	})
	if root < 0 {
		return 1
	}
	x.Devices.Disks[root].Boot = &libvirtxml.DomainDeviceBoot{Order: 1}
	return 2
}

// DriveXML is a CD-ROM drive with its medium.
func DriveXML(m Medium, bus string) libvirtxml.DomainDisk {
	drive := libvirtxml.DomainDisk{
		Device: vm.DeviceCDROM, Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: vm.FormatRaw},
		Target: &libvirtxml.DomainDiskTarget{Dev: m.Target, Bus: bus}, ReadOnly: &libvirtxml.DomainDiskReadOnly{},
	}
	Insert(&drive, m)
	return drive
}

// Insert makes the XML of a drive say that a medium lies in it. What libvirt told of the former one goes.
func Insert(drive *libvirtxml.DomainDisk, m Medium) {
	drive.Source, drive.BackingStore, drive.Mirror, drive.Alias = nil, nil, nil, nil
	if m.Volume != "" {
		drive.Source = &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: m.Pool, Volume: m.Volume}}
	}
}
