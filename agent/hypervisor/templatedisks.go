package hypervisor

import (
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

func (t *Template) diskDevices(def *VMDefinition) []libvirtxml.DomainDisk {
	all := disks(def)
	devices := make([]libvirtxml.DomainDisk, 0, len(all))
	used := map[string]int{}
	for _, d := range all {
		prefix := targetPrefix(d.bus)
		device := libvirtxml.DomainDisk{
			Device: deviceOf(def, d),
			Driver: t.diskDriver(def, d),
			Source: t.diskSource(def, d),
			Target: &libvirtxml.DomainDiskTarget{Dev: targetName(d.bus, used[prefix]), Bus: d.bus},
			IOTune: ioTune(d.options.QoS),
			Serial: d.options.Serial,
			Boot:   diskBoot(def, d),
		}
		if d.readOnly {
			device.ReadOnly = &libvirtxml.DomainDiskReadOnly{}
		}
		if d.shareable {
			device.Shareable = &libvirtxml.DomainDiskShareable{}
		}
		devices = append(devices, device)
		used[prefix]++
	}
	return devices
}

// deviceOf is what the guest sees: systems without virtio drivers read a seed from a CD-ROM.
func deviceOf(def *VMDefinition, d disk) string {
	if isSeed(def, d) && d.bus != vm.BusVirtio {
		return vm.DeviceCDROM
	}
	return d.device
}

// isSeed tells the disk that we fill for cloud-init.
func isSeed(def *VMDefinition, d disk) bool {
	return def.CloudInit != nil && d.name == vm.SeedVolume
}

func (t *Template) diskDriver(def *VMDefinition, d disk) *libvirtxml.DomainDiskDriver {
	o := d.options
	driver := &libvirtxml.DomainDiskDriver{Name: "qemu", Type: d.format, Cache: o.Cache, IO: o.IO, Discard: o.Discard}
	if t.Host.pool(d.pool).block() && d.device == vm.DeviceDisk && o.Cache == "" {
		driver.Cache = "none"
		if o.IO == "" {
			driver.IO = "native"
		}
	}
	if o.Queues > 0 {
		queues := uint(o.Queues)
		driver.Queues = &queues
	}
	if o.IOEventFD != nil {
		driver.IOEventFD = map[bool]string{true: "on", false: "off"}[*o.IOEventFD]
	}
	if encrypted(def) && d.bus == vm.BusVirtio {
		driver.IOMMU = "on"
	}
	return driver
}

// diskSource is the volume behind a disk; nil is a drive with nothing in it.
func (t *Template) diskSource(def *VMDefinition, d disk) *libvirtxml.DomainDiskSource {
	volume := t.volumeOf(def, d)
	if volume == "" {
		return nil
	}
	return &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: d.pool, Volume: volume}}
}

// volumeOf names the volume behind a disk: one of its own, one that exists, or an imported image. Before the import
// the image's name stands in.
func (t *Template) volumeOf(def *VMDefinition, d disk) string {
	switch {
	case d.source != "":
		return d.source
	case d.medium():
		if b, ok := t.base(d.image, d.pool); ok {
			return b.Volume
		}
		return d.image
	case d.device != vm.DeviceDisk:
		return ""
	default:
		return VolumeName(def.UUID, d.name, d.format)
	}
}

func ioTune(q vm.DiskQoS) *libvirtxml.DomainDiskIOTune {
	if q == (vm.DiskQoS{}) {
		return nil
	}
	return &libvirtxml.DomainDiskIOTune{
		TotalIopsSec: uint64(q.TotalIOPS), ReadIopsSec: uint64(q.ReadIOPS), WriteIopsSec: uint64(q.WriteIOPS),
		TotalBytesSec: uint64(q.TotalBytes), ReadBytesSec: uint64(q.ReadBytes), WriteBytesSec: uint64(q.WriteBytes),
	}
}

// diskBoot is the order that was asked for; without any, the root disk comes first and the ISO after it.
func diskBoot(def *VMDefinition, d disk) *libvirtxml.DomainDeviceBoot {
	order := d.options.BootOrder
	switch {
	case def.Boot != nil && order == 0, !ordered(def):
		return nil
	case order == 0 && d.name == vm.ISOVolume && def.BootsISO():
		order = lastOrder(def) + 1
	case d.name == vm.RootVolume && !asksForOrder(def):
		order = 1
	}
	if order == 0 {
		return nil
	}
	return &libvirtxml.DomainDeviceBoot{Order: uint(order)}
}

// lastOrder is the highest in use, that of the root disk among them.
func lastOrder(def *VMDefinition) int {
	last := 0
	if !asksForOrder(def) && def.DiskGB > 0 {
		last = 1
	}
	last = max(last, def.RootDisk.BootOrder)
	for _, v := range def.Volumes {
		last = max(last, v.BootOrder)
	}
	for _, n := range def.NetworkInterfaces {
		last = max(last, n.BootOrder)
	}
	return last
}

// onBus counts the disks of a bus.
func onBus(d *libvirtxml.DomainDeviceList, bus string) int {
	n := 0
	for i := range d.Disks {
		if d.Disks[i].Target.Bus == bus {
			n++
		}
	}
	return n
}
