package hypervisor

import (
	"path"
	"strings"

	"libvirt.org/go/libvirtxml"
)

const agentChannel = "org.qemu.guest_agent.0"

func (t *Template) devices(def *VMDefinition) *libvirtxml.DomainDeviceList {
	d := &libvirtxml.DomainDeviceList{
		Disks:      diskDevices(def),
		Interfaces: nicDevices(def),
		Serials:    []libvirtxml.DomainSerial{t.serial(def)},
		Channels:   []libvirtxml.DomainChannel{guestAgent()},
		RNGs:       []libvirtxml.DomainRNG{randomness()},
		MemBalloon: &libvirtxml.DomainMemBalloon{Model: "virtio", Stats: &libvirtxml.DomainMemBalloonStats{Period: balloonPeriod}},
	}
	d.Controllers = controllers(def, d)
	return d
}

func diskDevices(def *VMDefinition) []libvirtxml.DomainDisk {
	var devices []libvirtxml.DomainDisk
	used := map[string]int{}
	for _, disk := range disks(def) {
		prefix := targetName(disk.bus, 0)[:2]
		devices = append(devices, libvirtxml.DomainDisk{
			Device: "disk",
			Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: disk.format, Discard: "unmap"},
			Source: &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{
				Pool: disk.pool, Volume: VolumeName(def.UUID, disk.name, disk.format)}},
			Target: &libvirtxml.DomainDiskTarget{Dev: targetName(disk.bus, used[prefix]), Bus: disk.bus},
		})
		used[prefix]++
	}
	return devices
}

func nicDevices(def *VMDefinition) []libvirtxml.DomainInterface {
	var devices []libvirtxml.DomainInterface
	for _, n := range def.NetworkInterfaces {
		nic := libvirtxml.DomainInterface{
			Source: &libvirtxml.DomainInterfaceSource{},
			Model:  &libvirtxml.DomainInterfaceModel{Type: n.Model},
		}
		if n.MAC != "" {
			nic.MAC = &libvirtxml.DomainInterfaceMAC{Address: n.MAC}
		}
		if n.Bridge != "" {
			nic.Source.Bridge = &libvirtxml.DomainInterfaceSourceBridge{Bridge: n.Bridge}
		} else {
			nic.Source.Network = &libvirtxml.DomainInterfaceSourceNetwork{Network: n.Network}
		}
		devices = append(devices, nic)
	}
	return devices
}

// serial is the console: a pseudo-terminal, recorded to a file whether anyone listens or not.
func (t *Template) serial(def *VMDefinition) libvirtxml.DomainSerial {
	port := uint(0)
	s := libvirtxml.DomainSerial{
		Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}},
		Target: &libvirtxml.DomainSerialTarget{Port: &port},
	}
	if t.ConsoleLogDir != "" {
		s.Log = &libvirtxml.DomainChardevLog{File: path.Join(t.ConsoleLogDir, consoleLogName(def.UUID)), Append: "on"}
	}
	return s
}

func guestAgent() libvirtxml.DomainChannel {
	return libvirtxml.DomainChannel{
		Source: &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: "bind"}},
		Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: agentChannel}},
	}
}

func randomness() libvirtxml.DomainRNG {
	return libvirtxml.DomainRNG{Model: "virtio", Backend: &libvirtxml.DomainRNGBackend{
		Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}}}
}

// controllers switches USB off, which nothing needs and emulation pays for, and adds ports to PCI Express machines:
// one for each device, and spare ones.
func controllers(def *VMDefinition, d *libvirtxml.DomainDeviceList) []libvirtxml.DomainController {
	list := []libvirtxml.DomainController{{Type: "usb", Model: "none"}}
	if !hasPCIe(def.Machine) {
		return list
	}
	root := uint(0)
	list = append(list, libvirtxml.DomainController{Type: "pci", Index: &root, Model: "pcie-root"})
	for n := range expressDevices(def, d) + sparePorts {
		index := uint(n + 1)
		list = append(list, libvirtxml.DomainController{Type: "pci", Index: &index, Model: "pcie-root-port"})
	}
	return list
}

// expressDevices counts what takes a PCI Express port: virtio disks and cards, and the serial bus, balloon and
// randomness that every machine has, and a controller for SCSI disks.
func expressDevices(def *VMDefinition, d *libvirtxml.DomainDeviceList) int {
	n, scsi := 3+len(d.Interfaces), 0
	for _, disk := range disks(def) {
		switch disk.bus {
		case "virtio":
			n++
		case "scsi":
			scsi = 1
		}
	}
	return n + scsi
}

func hasPCIe(machine string) bool {
	return machine == "q35" || strings.HasPrefix(machine, "pc-q35-") || machine == "virt" || strings.HasPrefix(machine, "virt-")
}
