package vm

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

func (c *checker) nics(def Definition) {
	if len(def.NetworkInterfaces) > MaxNICs {
		c.add("networkInterfaces", fmt.Sprintf("more than %d cards", MaxNICs), fmt.Sprintf("at most %d", MaxNICs), "remove some")
		return
	}
	seen, ends := map[string]string{}, map[string]string{}
	for i, n := range def.NetworkInterfaces {
		path := fmt.Sprintf("networkInterfaces[%d]", i)
		c.nicSource(path, n)
		c.nicOptions(path, n, def.CPUs)
		c.nicAddress(path, n)
		if n.MAC != "" {
			c.mac(path+".mac", n.MAC, seen)
			seen[strings.ToLower(n.MAC)] = path
		}
		if n.HostInterface != "" {
			c.hostInterface(path+".hostInterface", n.HostInterface, ends)
		}
	}
}

func (c *checker) nicSource(path string, n NetworkInterface) {
	if given := nicSources(n); len(given) > 1 {
		c.add(path, strings.Join(given, " and "), "one of them", "remove the others")
	}
	if n.Network != "" {
		c.thing(path+".network", n.Network)
	}
	if n.Bridge != "" && (!thingForm.MatchString(n.Bridge) || len(n.Bridge) > MaxInterfaceName) {
		c.add(path+".bridge", n.Bridge, fmt.Sprintf("1 to %d of A-Z a-z 0-9 . _ -", MaxInterfaceName), "give the name of a bridge of the host")
	}
	if n.User && (n.VLAN != 0 || n.SecurityGroup != "" || n.HostInterface != "" || n.QoS != NICQoS{}) {
		c.add(path, "user with vlan, securityGroup, hostInterface or qos", "none of these without an interface on the host", "use a network or a bridge")
	}
}

// nicSources are what a card is said to be on.
func nicSources(n NetworkInterface) []string {
	if n.Bridge == "" && !n.User {
		return nil // the network alone, as with most cards
	}
	var given []string
	if n.Network != "" {
		given = append(given, "network "+n.Network)
	}
	if n.Bridge != "" {
		given = append(given, "bridge "+n.Bridge)
	}
	if n.User {
		given = append(given, "user")
	}
	return given
}

func (c *checker) nicOptions(path string, n NetworkInterface, cpus int) {
	c.oneOf(path+".model", n.Model, []string{"virtio", "e1000e", "e1000", "rtl8139"})
	if n.VLAN != 0 {
		c.between(path+".vlan", n.VLAN, 1, MaxVLAN, "", "leave it out for an untagged card")
	}
	if n.MTU != 0 {
		c.between(path+".mtu", n.MTU, MinMTU, 65535, " bytes", "leave it out for that of the network")
	}
	if n.Queues != 0 {
		c.between(path+".queues", n.Queues, 1, min(MaxQueues, max(cpus, 1)), ", one for each CPU", "ask for fewer, or leave it out")
		c.virtioOnly(path+".queues", n.Queues, n.Model)
	}
	if n.SecurityGroup != "" {
		c.thing(path+".securityGroup", n.SecurityGroup)
	}
	c.bandwidth(path+".qos.inbound", n.QoS.Inbound)
	c.bandwidth(path+".qos.outbound", n.QoS.Outbound)
}

func (c *checker) virtioOnly(path string, value any, on string) {
	if on != BusVirtio {
		c.add(path, value, "empty on "+on+"; it is an option of virtio", "use virtio, or leave it out")
	}
}

func (c *checker) bandwidth(path string, b Bandwidth) {
	if b == (Bandwidth{}) {
		return
	}
	const most = 1 << 30
	c.between(path+".averageKBps", b.AverageKBps, 1, most, " KiB/s", "give the average, or leave out the limit")
	c.between(path+".peakKBps", b.PeakKBps, 0, most, " KiB/s", "leave it out")
	c.between(path+".burstKB", b.BurstKB, 0, most, " KiB", "leave it out")
	if b.PeakKBps > 0 && b.PeakKBps < b.AverageKBps {
		c.add(path+".peakKBps", b.PeakKBps, fmt.Sprintf("at least the average of %d KiB/s", b.AverageKBps), "give more, or leave it out")
	}
}

// hostInterface checks the name of a card's end on the host. libvirt gives names such as vnet7 itself.
func (c *checker) hostInterface(path, name string, seen map[string]string) {
	reserved := slices.ContainsFunc([]string{"vnet", "vif", "macvtap", "macvlan"}, func(p string) bool { return strings.HasPrefix(name, p) })
	switch {
	case !thingForm.MatchString(name) || len(name) > MaxInterfaceName:
		c.add(path, name, fmt.Sprintf("1 to %d of A-Z a-z 0-9 . _ -", MaxInterfaceName), "shorten it, or leave it out")
	case reserved:
		c.add(path, name, "not beginning with vnet, vif, macvtap or macvlan", "choose another name, or leave it out")
	case seen[name] != "":
		c.add(path, name, "unique within the machine", "it is taken by "+seen[name]+": choose another name")
	}
	seen[name] = strings.TrimSuffix(path, ".hostInterface")
}

func (c *checker) mac(path, mac string, seen map[string]string) {
	addr, err := net.ParseMAC(mac)
	switch {
	case err != nil || len(addr) != 6 || len(mac) != 17 || strings.Contains(mac, "-"):
		c.add(path, mac, "six bytes such as 52:54:00:12:34:56", "leave it out and one is chosen")
	case addr[0]&1 == 1:
		c.add(path, mac, "a unicast address: the lowest bit of the first byte is 0", "leave it out and one is chosen")
	case addr.String() == "00:00:00:00:00:00":
		c.add(path, mac, "an address other than zero", "leave it out and one is chosen")
	case seen[addr.String()] != "":
		c.add(path, mac, "unique within the machine", "it is taken by "+seen[addr.String()]+": leave it out and one is chosen")
	}
}

// bootOrders checks what disks and network cards say together.
func (c *checker) bootOrders(def Definition) {
	seen := map[int]string{}
	one := func(path string, order int) {
		if order == 0 {
			return
		}
		if order < 0 || order > MaxVolumes+MaxNICs+1 {
			c.add(path, order, fmt.Sprintf("1 to %d", MaxVolumes+MaxNICs+1), "count from 1, or leave it out")
		}
		if other := seen[order]; other != "" {
			c.add(path, order, "unique over disks and network cards", "it is taken by "+other+": choose another")
		}
		seen[order] = path
	}
	one("rootDisk.bootOrder", def.RootDisk.BootOrder)
	for i, v := range def.Volumes {
		one(fmt.Sprintf("volumes[%d].bootOrder", i), v.BootOrder)
	}
	for i, n := range def.NetworkInterfaces {
		one(fmt.Sprintf("networkInterfaces[%d].bootOrder", i), n.BootOrder)
	}
}
