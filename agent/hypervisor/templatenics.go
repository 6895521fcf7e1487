package hypervisor

import (
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

func nicDevices(def *VMDefinition) []libvirtxml.DomainInterface {
	devices := make([]libvirtxml.DomainInterface, 0, len(def.NetworkInterfaces))
	for _, n := range def.NetworkInterfaces {
		nic := libvirtxml.DomainInterface{
			Source:    nicSource(n),
			Model:     &libvirtxml.DomainInterfaceModel{Type: n.Model},
			Bandwidth: bandwidth(n.QoS),
			Driver:    nicDriver(def, n),
		}
		if n.MAC != "" {
			nic.MAC = &libvirtxml.DomainInterfaceMAC{Address: n.MAC}
		}
		if n.VLAN > 0 {
			nic.VLan = &libvirtxml.DomainInterfaceVLan{Tags: []libvirtxml.DomainInterfaceVLanTag{{ID: uint(n.VLAN)}}}
		}
		if n.MTU > 0 {
			nic.MTU = &libvirtxml.DomainInterfaceMTU{Size: uint(n.MTU)}
		}
		nic.FilterRef = filterRef(n)
		if n.HostInterface != "" {
			nic.Target = &libvirtxml.DomainInterfaceTarget{Dev: n.HostInterface}
		}
		if n.BootOrder > 0 {
			nic.Boot = &libvirtxml.DomainDeviceBoot{Order: uint(n.BootOrder)}
		}
		devices = append(devices, nic)
	}
	return devices
}

func nicSource(n NetworkInterface) *libvirtxml.DomainInterfaceSource {
	switch {
	case n.User:
		return &libvirtxml.DomainInterfaceSource{User: &libvirtxml.DomainInterfaceSourceUser{}}
	case n.Bridge != "":
		return &libvirtxml.DomainInterfaceSource{Bridge: &libvirtxml.DomainInterfaceSourceBridge{Bridge: n.Bridge}}
	default:
		return &libvirtxml.DomainInterfaceSource{Network: &libvirtxml.DomainInterfaceSourceNetwork{Network: n.Network}}
	}
}

func nicDriver(def *VMDefinition, n NetworkInterface) *libvirtxml.DomainInterfaceDriver {
	iommu := ""
	if encrypted(def) && n.Model == "virtio" {
		iommu = "on"
	}
	queues := uint(n.Queues)
	if queues == 1 {
		queues = 0 // libvirt forgets what is the default anyway
	}
	if queues == 0 && iommu == "" {
		return nil
	}
	return &libvirtxml.DomainInterfaceDriver{Queues: queues, IOMMU: iommu}
}

func bandwidth(q vm.NICQoS) *libvirtxml.DomainInterfaceBandwidth {
	if q == (vm.NICQoS{}) {
		return nil
	}
	return &libvirtxml.DomainInterfaceBandwidth{Inbound: rate(q.Inbound), Outbound: rate(q.Outbound)}
}

func rate(b vm.Bandwidth) *libvirtxml.DomainInterfaceBandwidthParams {
	if b == (vm.Bandwidth{}) {
		return nil
	}
	params := &libvirtxml.DomainInterfaceBandwidthParams{Average: &b.AverageKBps}
	if b.PeakKBps > 0 {
		params.Peak = &b.PeakKBps
	}
	if b.BurstKB > 0 {
		params.Burst = &b.BurstKB
	}
	return params
}

// controllers switches USB off unless something is on it, because emulation pays for it, and adds ports to PCI Express
// machines: one for each device, and spare ones.
func controllers(def *VMDefinition, d *libvirtxml.DomainDeviceList) []libvirtxml.DomainController {
	list := []libvirtxml.DomainController{{Type: "usb", Model: "none"}}
	if needsUSB(d) {
		list[0].Model = "qemu-xhci"
	}
	if onBus(d, vm.BusSCSI) > 0 && def.System().VirtioDisk {
		list = append(list, scsiController(def))
	}
	if encrypted(def) && len(d.Channels) > 0 {
		list = append(list, libvirtxml.DomainController{Type: "virtio-serial", Driver: &libvirtxml.DomainControllerDriver{IOMMU: "on"}})
	}
	if !hasPCIe(def.Machine) {
		return list
	}
	return append(list, expressPorts(expressDevices(d)+sparePorts)...)
}

// expressPorts are the root of PCI Express and its ports.
func expressPorts(n int) []libvirtxml.DomainController {
	index, list := make([]uint, n+1), make([]libvirtxml.DomainController, n+1)
	for i := range list {
		index[i] = uint(i)
		list[i] = libvirtxml.DomainController{Type: "pci", Index: &index[i], Model: "pcie-root-port"}
	}
	list[0].Model = "pcie-root"
	return list
}

func scsiController(def *VMDefinition) libvirtxml.DomainController {
	index := uint(0)
	c := libvirtxml.DomainController{Type: "scsi", Index: &index, Model: "virtio-scsi"}
	if encrypted(def) {
		c.Driver = &libvirtxml.DomainControllerDriver{IOMMU: "on"}
	}
	return c
}

func needsUSB(d *libvirtxml.DomainDeviceList) bool {
	for _, h := range d.Hostdevs {
		if h.SubsysUSB != nil {
			return true
		}
	}
	for _, i := range d.Inputs {
		if i.Bus == "usb" {
			return true
		}
	}
	return false
}

// expressDevices counts what takes a PCI Express port: virtio disks and cards, devices of the host, controllers, and
// the small devices that the machine has.
func expressDevices(d *libvirtxml.DomainDeviceList) int {
	n := len(d.Interfaces) + len(d.RNGs) + onBus(d, vm.BusVirtio)
	for _, has := range []bool{len(d.Channels) > 0, d.MemBalloon.Model != "none", onBus(d, vm.BusSCSI) > 0, needsUSB(d), needsPCI(d)} {
		if has {
			n++
		}
	}
	for _, h := range d.Hostdevs {
		if h.SubsysPCI != nil {
			n++
		}
	}
	return n
}

// needsPCI tells devices older than PCI Express, which stand behind a bridge.
func needsPCI(d *libvirtxml.DomainDeviceList) bool {
	for _, n := range d.Interfaces {
		if n.Model.Type == "e1000" || n.Model.Type == "rtl8139" {
			return true
		}
	}
	return len(d.Watchdogs) > 0
}

func hasPCIe(machine string) bool {
	return vm.IsQ35(machine) || machine == "virt" || strings.HasPrefix(machine, "virt-")
}
