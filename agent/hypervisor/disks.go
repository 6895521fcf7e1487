package hypervisor

import (
	"cmp"
	"slices"

	"github.com/novacron/novacron/vm"
)

// disk is one disk or drive of a machine: the root disk, a volume, or what we add to them.
type disk struct {
	name   string
	pool   string
	format string
	bus    string
	image  string
	sizeGB int
	// device is "disk", "cdrom" or "floppy".
	device string
	// source is a volume that exists and is not ours.
	source    string
	readOnly  bool
	shareable bool
	options   vm.DiskOptions
}

// made tells a disk that gets a volume of its own. What lies in a drive is an image as it was imported.
func (d disk) made() bool { return d.device == vm.DeviceDisk && d.source == "" }

// medium tells a drive with an image in it.
func (d disk) medium() bool { return d.device != vm.DeviceDisk && d.image != "" }

// disks lists the root disk, the volumes, the drive of the ISO and the seed, in the order in which guests see them.
func disks(def *VMDefinition) []disk {
	all := make([]disk, 0, len(def.Volumes)+3)
	if def.DiskGB > 0 {
		root := def.RootDisk
		all = append(all, disk{name: vm.RootVolume, pool: def.Pool, format: cmp.Or(root.Format, vm.FormatQcow2), bus: root.Bus,
			image: def.Image, sizeGB: def.DiskGB, device: vm.DeviceDisk, options: root.DiskOptions})
	}
	for _, v := range def.Volumes {
		all = append(all, disk{name: v.Name, pool: v.Pool, format: v.Format, bus: v.Bus, image: v.Image, sizeGB: v.SizeGB,
			device: cmp.Or(v.Device, vm.DeviceDisk), source: v.Source, readOnly: v.ReadOnly, shareable: v.Shareable, options: v.DiskOptions})
	}
	if def.ISO != "" {
		all = append(all, disk{name: vm.ISOVolume, pool: def.Pool, format: vm.FormatRaw, bus: vm.DriveBus(vm.DeviceCDROM, def.Machine),
			image: def.ISO, device: vm.DeviceCDROM, readOnly: true})
	}
	if def.CloudInit != nil {
		all = append(all, disk{name: vm.SeedVolume, pool: def.Pool, format: vm.FormatRaw, bus: vm.DiskBus(def.System(), def.Machine),
			device: vm.DeviceDisk, readOnly: true})
	}
	return all
}

// ownDisks are those with a volume that is made for the machine.
func ownDisks(def *VMDefinition) []disk {
	return slices.DeleteFunc(disks(def), func(d disk) bool { return !d.made() })
}

// targetName is the n-th device name of a bus, from 0: vda … vdz, vdaa: bijective base 26.
func targetName(bus string, n int) string {
	suffix := ""
	for n++; n > 0; n = (n - 1) / 26 {
		suffix = string(rune('a'+(n-1)%26)) + suffix
	}
	return targetPrefix(bus) + suffix
}

func targetPrefix(bus string) string {
	switch bus {
	case vm.BusVirtio:
		return "vd"
	case vm.BusIDE:
		return "hd"
	case vm.BusFloppy:
		return "fd"
	default:
		return "sd"
	}
}
