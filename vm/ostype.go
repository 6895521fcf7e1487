package vm

import (
	"slices"
	"strings"
)

// RootVolume is the name of the root disk; no other volume may have it.
const RootVolume = "root"

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

// OSTypes lists the operating systems that definitions may name.
func OSTypes() []string {
	return []string{
		"linux", "debian", "ubuntu", "rhel", "rocky", "alma", "fedora", "opensuse", "sles", "arch", "alpine", "flatcar",
		"windows", "freebsd", "openbsd", "generic",
	}
}

// hasVirtio tells whether an operating system brings drivers for virtio devices.
func hasVirtio(osType string) bool { return osType != "windows" }

// isI440fx tells the older of the two PC families, which has IDE and no PCI Express.
func isI440fx(machine string) bool {
	return machine == "pc" || strings.HasPrefix(machine, "pc-i440fx-")
}

// isQ35 tells the newer PC family, which has PCI Express and no IDE.
func isQ35(machine string) bool {
	return machine == "q35" || strings.HasPrefix(machine, "pc-q35-")
}

// DiskBus is the bus for disks of an operating system on a machine type.
func DiskBus(osType, machine string) string {
	switch {
	case hasVirtio(osType):
		return "virtio"
	case isI440fx(machine):
		return "ide"
	default:
		return "sata"
	}
}

// NICModel is the network card for an operating system on a machine type.
func NICModel(osType, machine string) string {
	switch {
	case hasVirtio(osType):
		return "virtio"
	case isI440fx(machine):
		return "e1000"
	default:
		return "e1000e"
	}
}

// Arches lists the guest architectures in libvirt's words.
func Arches() []string { return []string{"x86_64", "i686", "aarch64", "riscv64", "ppc64", "s390x"} }

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

func defaultFirmware(arch string) string {
	if arch == "aarch64" || arch == "riscv64" {
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
