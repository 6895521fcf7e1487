package hypervisor

import (
	"fmt"
	"slices"

	"github.com/novacron/novacron/vm"
)

// The versions from which on something works.
const (
	qemuIOURing       = "5.0.0"
	libvirtIOURing    = "6.3.0"
	libvirtBridgeVLAN = "11.0.0"
)

func (c *hostCheck) disks() {
	names := []string{""}
	capacity := map[string]uint64{}
	for _, p := range c.facts.Pools {
		names = append(names, p.Name)
		capacity[p.Name] = p.CapacityBytes
	}
	checked := map[string]bool{}
	for _, d := range disks(c.def) {
		path := diskPath(c.def, d)
		if !checked[d.pool] {
			c.oneOf(path+" pool", d.pool, names)
		}
		checked[d.pool] = true
		if room := capacity[d.pool]; room > 0 && uint64(d.sizeGB)*gib > room {
			c.add(path+" size", fmt.Sprintf("%d GiB", d.sizeGB), fmt.Sprintf("the pool's %d GiB", room/gib), "ask for less, or choose a larger pool")
		}
		if c.facts.Guest != nil {
			c.oneOf(path+" bus", d.bus, c.facts.Guest.DiskBuses)
		}
		if c.facts.pool(d.pool).block() && d.made() && d.format != vm.FormatRaw {
			c.add(path+" format", d.format, "raw in pool "+d.pool+", whose volumes are block devices", "use raw, or another pool")
		}
		if d.options.IO == "io_uring" && !c.hasIOURing() {
			c.add(path+" io", d.options.IO, fmt.Sprintf("threads or native with QEMU %s and libvirt %s", c.facts.HypervisorVersion, c.facts.LibvirtVersion),
				"use threads, or upgrade the host")
		}
	}
}

func (c *hostCheck) hasIOURing() bool {
	return atLeast(c.facts.HypervisorVersion, qemuIOURing) && atLeast(c.facts.LibvirtVersion, libvirtIOURing)
}

func diskPath(def *VMDefinition, d disk) string {
	switch {
	case d.name == vm.RootVolume:
		return "root disk"
	case isSeed(def, d):
		return "cloudInit"
	case def.ISO != "" && d.name == vm.ISOVolume:
		return "iso"
	default:
		return "volumes[" + d.name + "]"
	}
}

// space compares what the disks of each pool take together with what is free there. A volume of its full size that
// does not fit is a fault; one that only may grow too large is a warning, unless the pool forbids it.
func (c *hostCheck) space(faults bool) {
	for _, p := range c.facts.Pools {
		var asked uint64
		for _, d := range ownDisks(c.def) {
			if d.pool == p.Name {
				asked += uint64(d.sizeGB) * gib
			}
		}
		full := p.block() || p.NoOvercommit
		if asked <= p.FreeBytes || p.CapacityBytes == 0 || full != faults {
			continue
		}
		limit, wayOut := fmt.Sprintf("the %d GiB that are free in it", p.FreeBytes/gib), "ask for less, or choose another pool"
		if !full {
			wayOut = "see that it is not filled, or choose another pool"
		}
		c.add("pool "+p.Name, fmt.Sprintf("%d GiB in all", asked/gib), limit, wayOut)
	}
}

func (c *hostCheck) nics() {
	for i, n := range c.def.NetworkInterfaces {
		path := fmt.Sprintf("networkInterfaces[%d]", i)
		switch {
		case n.Bridge != "":
			c.oneOf(path+".bridge", n.Bridge, append([]string{""}, c.facts.Bridges...))
			c.bridge(path, n)
		case n.Network != "":
			c.oneOf(path+".network", n.Network, append([]string{""}, c.facts.Networks...))
		}
		if n.SecurityGroup != "" {
			c.oneOf(path+".securityGroup", n.SecurityGroup, c.facts.NetworkFilters)
		}
	}
}

func (c *hostCheck) bridge(path string, n NetworkInterface) {
	if mtu := c.facts.BridgeMTUs[n.Bridge]; mtu > 0 {
		c.atMost(path+".mtu", n.MTU, mtu, "bytes of the bridge's MTU")
	}
	if n.VLAN > 0 && slices.Contains(c.facts.Bridges, n.Bridge) && !atLeast(c.facts.LibvirtVersion, libvirtBridgeVLAN) {
		c.add(path+".vlan", fmt.Sprint(n.VLAN), "empty on a Linux bridge before libvirt "+libvirtBridgeVLAN, "use a bridge that is in the VLAN, or upgrade the host")
	}
}
