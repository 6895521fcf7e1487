package vm

import (
	"slices"
	"strings"

	"github.com/novacron/novacron/vm/ostype"
)

// RootVolume is the name of the root disk; no other volume may have it.
const RootVolume = "root"

// SeedVolume is the name of the disk with the cloud-init seed, where there is one; no other volume may have it then.
const SeedVolume = "seed"

// ISOVolume is the name of the drive that ISO lies in, where it is given; no other volume may have it then.
const ISOVolume = "iso"

// Disk formats.
const (
	FormatQcow2 = "qcow2"
	FormatRaw   = "raw"
)

// Firmwares.
const (
	FirmwareBIOS = "bios"
	FirmwareUEFI = "uefi"
)

// Kinds of disks.
const (
	DeviceDisk   = "disk"
	DeviceCDROM  = "cdrom"
	DeviceFloppy = "floppy"
)

// Buses that disks are on.
const (
	BusVirtio = "virtio"
	BusSATA   = "sata"
	BusSCSI   = "scsi"
	BusIDE    = "ide"
	BusFloppy = "fdc"
)

// OSTypes lists the operating systems that definitions may name.
func OSTypes() []string { return ostype.Builtin().Types() }

// System is what the table knows of a definition's operating system.
func (d Definition) System() ostype.System {
	s, _ := ostype.Builtin().Lookup(d.OSType, d.OSVersion)
	return s
}

// IsI440fx tells the older of the two PC families, which has IDE and no PCI Express.
func IsI440fx(machine string) bool {
	return machine == "pc" || strings.HasPrefix(machine, "pc-i440fx-")
}

// IsQ35 tells the newer PC family, which has PCI Express and no IDE.
func IsQ35(machine string) bool {
	return machine == "q35" || strings.HasPrefix(machine, "pc-q35-")
}

// DiskBus is the bus for disks of an operating system on a machine type.
func DiskBus(s ostype.System, machine string) string {
	switch {
	case s.VirtioDisk:
		return BusVirtio
	case IsI440fx(machine):
		return BusIDE
	case IsQ35(machine):
		return BusSATA
	default:
		return BusSCSI
	}
}

// DriveBus is the bus for a CD-ROM or floppy drive on a machine type.
func DriveBus(device, machine string) string {
	switch {
	case device == DeviceFloppy:
		return BusFloppy
	case IsI440fx(machine):
		return BusIDE
	case IsQ35(machine):
		return BusSATA
	default:
		return BusSCSI
	}
}

// NICModel is the network card for an operating system on a machine type.
func NICModel(s ostype.System, machine string) string {
	switch {
	case s.VirtioNIC:
		return "virtio"
	case IsQ35(machine):
		return "e1000e"
	case IsI440fx(machine):
		return "e1000"
	default:
		return "rtl8139"
	}
}

// Arches lists the guest architectures in libvirt's words.
func Arches() []string { return []string{"x86_64", "i686", "aarch64", "riscv64", "ppc64", "s390x"} }

// IsPC tells the architectures of PCs.
func IsPC(arch string) bool { return arch == "x86_64" || arch == "i686" }

func defaultMachine(arch string) string {
	switch arch {
	case "aarch64", "riscv64":
		return "virt"
	case "s390x":
		return "s390-ccw-virtio"
	case "ppc64":
		return "pseries"
	default:
		return "q35"
	}
}

// defaultFirmware is UEFI where the architecture has only that or the system needs it.
func defaultFirmware(arch string, s ostype.System) string {
	if arch == "aarch64" || arch == "riscv64" || arch == "x86_64" && s.UEFI {
		return FirmwareUEFI
	}
	return FirmwareBIOS
}

// machineFamilies are the machine types of an architecture: an entry itself, or what follows it after a dash.
func machineFamilies(arch string) []string {
	switch arch {
	case "aarch64", "riscv64":
		return []string{"virt"}
	case "s390x":
		return []string{"s390-ccw-virtio"}
	case "ppc64":
		return []string{"pseries"}
	default:
		return []string{"q35", "pc", "pc-q35", "pc-i440fx"}
	}
}

func machineAllowed(arch, machine string) bool {
	return slices.ContainsFunc(machineFamilies(arch), func(family string) bool {
		if machine == family {
			return family != "pc-q35" && family != "pc-i440fx"
		}
		version, ok := strings.CutPrefix(machine, family+"-")
		return ok && family != "pc" && isVersion(version)
	})
}

// isVersion accepts what follows a machine family: 7.2, or rhel9.2.0.
func isVersion(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.") == ""
}

// MachineFamily is a machine type without its version: q35, pc, virt and so on.
func MachineFamily(machine string) string {
	switch {
	case IsQ35(machine):
		return "q35"
	case IsI440fx(machine):
		return "pc"
	}
	for _, family := range []string{"s390-ccw-virtio", "pseries", "virt"} {
		if machine == family || strings.HasPrefix(machine, family+"-") {
			return family
		}
	}
	return machine
}
