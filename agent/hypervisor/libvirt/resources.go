//go:build cgo && libvirt_dlopen

package libvirt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

func pools(conn *lv.Connect) ([]hypervisor.PoolFacts, error) {
	handles, err := conn.ListAllStoragePools(lv.CONNECT_LIST_STORAGE_POOLS_ACTIVE)
	if err != nil {
		return nil, err
	}
	var list []hypervisor.PoolFacts
	for i := range handles {
		defer handles[i].Free()
		p, err := pool(&handles[i])
		if errors.Is(err, lv.ERR_NO_STORAGE_POOL) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func pool(handle *lv.StoragePool) (hypervisor.PoolFacts, error) {
	info, err := handle.GetInfo()
	if err != nil {
		return hypervisor.PoolFacts{}, err
	}
	text, err := handle.GetXMLDesc(0)
	if err != nil {
		return hypervisor.PoolFacts{}, err
	}
	var x libvirtxml.StoragePool
	if err := x.Unmarshal(text); err != nil {
		return hypervisor.PoolFacts{}, fmt.Errorf("pool XML: %w", err)
	}
	p := hypervisor.PoolFacts{Name: x.Name, Type: x.Type, CapacityBytes: info.Capacity, FreeBytes: info.Available}
	if x.Target != nil {
		p.Path = x.Target.Path
	}
	return p, nil
}

func networks(conn *lv.Connect) ([]string, error) {
	handles, err := conn.ListAllNetworks(lv.CONNECT_LIST_NETWORKS_ACTIVE)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range handles {
		defer handles[i].Free()
		name, err := handles[i].GetName()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// networkFilters lists the names of filters; a driver without them tells none.
func networkFilters(conn *lv.Connect) []string {
	names, err := conn.ListNWFilters()
	if err != nil {
		return nil
	}
	slices.Sort(names)
	return names
}

// hostDevices lists what could be handed to a guest: PCI addresses and USB products. A driver that knows none tells none.
func hostDevices(conn *lv.Connect) []string {
	handles, err := conn.ListAllNodeDevices(lv.CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV | lv.CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV)
	if err != nil {
		return nil
	}
	var names []string
	for i := range handles {
		if name := hostDevice(&handles[i]); name != "" {
			names = append(names, name)
		}
		_ = handles[i].Free()
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// hostDevice reads an address from the device's name, which costs nothing, and asks for the XML of USB devices alone.
func hostDevice(handle *lv.NodeDevice) string {
	name, err := handle.GetName()
	if err != nil {
		return ""
	}
	if address, pci := strings.CutPrefix(name, "pci_"); pci {
		return pciAddress(address)
	}
	text, err := handle.GetXMLDesc(0)
	if err != nil {
		return ""
	}
	var x libvirtxml.NodeDevice
	if x.Unmarshal(text) != nil {
		return ""
	}
	if usb := x.Capability.USBDevice; usb != nil {
		return strings.TrimPrefix(usb.Vendor.ID, "0x") + ":" + strings.TrimPrefix(usb.Product.ID, "0x")
	}
	return ""
}

// pciAddress turns 0000_3b_00_0 into 0000:3b:00.0.
func pciAddress(name string) string {
	parts := strings.Split(name, "_")
	if len(parts) != 4 {
		return ""
	}
	return strings.Join(parts[:3], ":") + "." + parts[3]
}
