package domainxml

import (
	"strconv"

	"libvirt.org/go/libvirtxml"
)

// shortcut tells how a value whose type has an encoding of its own is written: attributes that go first, and a pointer
// to a structure for the rest, nil where nothing is written. Of a form that it does not know it says so.
func shortcut(v any) (first []attr, body any, known bool) {
	switch v := v.(type) {
	case *libvirtxml.DomainController:
		known = *v == libvirtxml.DomainController{XMLName: v.XMLName, Type: v.Type, Index: v.Index, Model: v.Model, Driver: v.Driver}
		return nil, v, known
	case *libvirtxml.DomainDisk:
		if v.Source == nil {
			return nil, v, true
		}
		return typeVolume, v, v.Source.Volume != nil && onlyVolume(v.Source)
	case *libvirtxml.DomainDiskSource:
		return nil, v.Volume, v.Volume != nil && onlyVolume(v)
	case *libvirtxml.DomainInterface:
		return card(v)
	case *libvirtxml.DomainInterfaceSource:
		return cable(v)
	case *libvirtxml.DomainHostdev:
		return hostdev(v)
	default:
		return shortcutDevice(v)
	}
}

var (
	typeVolume  = []attr{{"type", "volume"}}
	typeNetwork = []attr{{"type", "network"}}
	typeBridge  = []attr{{"type", "bridge"}}
	typeUser    = []attr{{"type", "user"}}
)

func onlyVolume(s *libvirtxml.DomainDiskSource) bool {
	return *s == libvirtxml.DomainDiskSource{Volume: s.Volume} && s.Volume.Volume != ""
}

func card(n *libvirtxml.DomainInterface) ([]attr, any, bool) {
	switch s := n.Source; {
	case s == nil:
		return nil, n, true
	case *s == libvirtxml.DomainInterfaceSource{Network: s.Network}:
		return typeNetwork, n, s.Network != nil
	case *s == libvirtxml.DomainInterfaceSource{Bridge: s.Bridge}:
		return typeBridge, n, true
	case *s == libvirtxml.DomainInterfaceSource{User: s.User}:
		return typeUser, n, true
	default:
		return nil, nil, false
	}
}

// cable is the source of a card. That of a card behind the hypervisor process says nothing.
func cable(s *libvirtxml.DomainInterfaceSource) ([]attr, any, bool) {
	switch {
	case s.Network != nil && *s == libvirtxml.DomainInterfaceSource{Network: s.Network}:
		return nil, s.Network, true
	case s.Bridge != nil && *s == libvirtxml.DomainInterfaceSource{Bridge: s.Bridge}:
		return nil, s.Bridge, true
	case s.User != nil && *s == libvirtxml.DomainInterfaceSource{User: s.User}:
		return nil, nil, *s.User == libvirtxml.DomainInterfaceSourceUser{}
	default:
		return nil, nil, false
	}
}

// pciDevice and usbDevice are devices of the host in the order of libvirt's schema.
type (
	pciDevice struct {
		Managed string     `xml:"managed,attr,omitempty"`
		Address pciAddress `xml:"source"`
	}
	pciAddress struct {
		At struct {
			Domain   string `xml:"domain,attr"`
			Bus      string `xml:"bus,attr"`
			Slot     string `xml:"slot,attr"`
			Function string `xml:"function,attr"`
		} `xml:"address"`
	}
	usbDevice struct {
		Managed string    `xml:"managed,attr,omitempty"`
		Product usbSource `xml:"source"`
	}
	usbSource struct {
		Vendor  *libvirtxml.DomainHostDevProductVendorID `xml:"vendor"`
		Product *libvirtxml.DomainHostDevProductVendorID `xml:"product"`
	}
)

var (
	subsystemPCI = []attr{{"mode", "subsystem"}, {"type", "pci"}}
	subsystemUSB = []attr{{"mode", "subsystem"}, {"type", "usb"}}
)

func hostdev(h *libvirtxml.DomainHostdev) ([]attr, any, bool) {
	switch {
	case h.SubsysPCI != nil && *h == libvirtxml.DomainHostdev{Managed: h.Managed, SubsysPCI: h.SubsysPCI}:
		return onPCI(h)
	case h.SubsysUSB != nil && *h == libvirtxml.DomainHostdev{Managed: h.Managed, SubsysUSB: h.SubsysUSB}:
		return onUSB(h)
	default:
		return nil, nil, false
	}
}

func onPCI(h *libvirtxml.DomainHostdev) ([]attr, any, bool) {
	s := h.SubsysPCI.Source
	if s == nil || s.Address == nil || *h.SubsysPCI != (libvirtxml.DomainHostdevSubsysPCI{Source: s}) ||
		*s != (libvirtxml.DomainHostdevSubsysPCISource{Address: s.Address}) {
		return nil, nil, false
	}
	a := s.Address
	if a.Domain == nil || a.Bus == nil || a.Slot == nil || a.Function == nil || a.MultiFunction != "" || a.ZPCI != nil {
		return nil, nil, false
	}
	d := &pciDevice{Managed: h.Managed}
	d.Address.At.Domain, d.Address.At.Bus = hex(*a.Domain, 4), hex(*a.Bus, 2)
	d.Address.At.Slot, d.Address.At.Function = hex(*a.Slot, 2), hex(*a.Function, 1)
	return subsystemPCI, d, true
}

// hex writes a number with at least so many digits.
func hex(n uint, digits int) string {
	text := strconv.FormatUint(uint64(n), 16)
	return "0x" + "0000"[:max(digits-len(text), 0)] + text
}

func onUSB(h *libvirtxml.DomainHostdev) ([]attr, any, bool) {
	s := h.SubsysUSB.Source
	if s == nil || *s != (libvirtxml.DomainHostdevSubsysUSBSource{Vendor: s.Vendor, Product: s.Product}) {
		return nil, nil, false
	}
	return subsystemUSB, &usbDevice{Managed: h.Managed, Product: usbSource{Vendor: s.Vendor, Product: s.Product}}, true
}
