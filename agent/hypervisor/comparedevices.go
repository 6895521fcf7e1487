package hypervisor

import (
	"cmp"
	"fmt"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// nics compares the cards by their addresses, as far as they are there.
func (c *comparison) nics() {
	actual := map[string]libvirtxml.DomainInterface{}
	for _, n := range c.domain.Devices.Interfaces {
		if n.MAC != nil {
			actual[n.MAC.Address] = n
		}
	}
	for _, want := range nicDevices(c.def) {
		if want.MAC == nil {
			continue
		}
		if got, there := actual[want.MAC.Address]; there {
			c.differ("card "+want.MAC.Address, describeNIC(want, want), describeNIC(want, got))
		}
	}
}

// describeNIC writes of a card what was asked for: a network adds to a running one what the definition left open.
func describeNIC(asked, n libvirtxml.DomainInterface) string {
	text := ""
	if n.Model != nil {
		text = n.Model.Type
	}
	switch {
	case n.Source == nil:
	case n.Source.Network != nil:
		text += " network " + n.Source.Network.Network
	case n.Source.Bridge != nil:
		text += " bridge " + n.Source.Bridge.Bridge
	case n.Source.User != nil:
		text += " user"
	}
	if asked.VLan != nil && n.VLan != nil && len(n.VLan.Tags) > 0 {
		text += fmt.Sprint(" VLAN ", n.VLan.Tags[0].ID)
	}
	if asked.MTU != nil && n.MTU != nil {
		text += fmt.Sprint(" MTU ", n.MTU.Size)
	}
	if asked.Driver != nil && n.Driver != nil {
		text += fmt.Sprint(" queues ", n.Driver.Queues)
	}
	if asked.FilterRef != nil && n.FilterRef != nil {
		text += " filter " + n.FilterRef.Filter
	}
	if b := n.Bandwidth; asked.Bandwidth != nil && b != nil {
		text += describeRate(" in", b.Inbound) + describeRate(" out", b.Outbound)
	}
	return text
}

func describeRate(way string, r *libvirtxml.DomainInterfaceBandwidthParams) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s %d/%d/%d", way, valueOf(r.Average), valueOf(r.Peak), valueOf(r.Burst))
}

func valueOf(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// devices compares the smaller ones.
func (c *comparison) devices() {
	def, d := c.def, c.domain.Devices
	if def.TPM == vm.TPM2 {
		c.differ("TPMs", 1, len(d.TPMs))
	}
	c.differ("watchdog", def.Devices.Watchdog, watchdogOf(d))
	if def.Devices.Graphics == vm.GraphicsVNC {
		c.differ("screen", true, slices.ContainsFunc(d.Graphics, func(g libvirtxml.DomainGraphic) bool { return g.VNC != nil }))
	}
	if vm.On(def.Devices.Serial) {
		c.differ("serial port", true, len(d.Serials) > 0)
	}
	c.differ("host devices", describeHostDevices(hostDevices(def)), describeHostDevices(d.Hostdevs))
}

// watchdogOf is the action of the first; libvirt adds one to some machines that does nothing until it is used.
func watchdogOf(d *libvirtxml.DomainDeviceList) string {
	for _, w := range d.Watchdogs {
		if w.Model != "itco" {
			return cmp.Or(w.Action, "reset")
		}
	}
	return ""
}

func describeHostDevices(list []libvirtxml.DomainHostdev) []string {
	var names []string
	for _, h := range list {
		switch {
		case h.SubsysPCI != nil && h.SubsysPCI.Source != nil && h.SubsysPCI.Source.Address != nil:
			a := h.SubsysPCI.Source.Address
			names = append(names, fmt.Sprintf("%04x:%02x:%02x.%x", *a.Domain, *a.Bus, *a.Slot, *a.Function))
		case h.SubsysUSB != nil && h.SubsysUSB.Source != nil && h.SubsysUSB.Source.Vendor != nil && h.SubsysUSB.Source.Product != nil:
			names = append(names, h.SubsysUSB.Source.Vendor.ID+" "+h.SubsysUSB.Source.Product.ID)
		}
	}
	slices.Sort(names)
	return names
}
