package vm

import (
	"fmt"
	"net"
	"strings"
)

func (c *checker) disks(def Definition) {
	if def.Pool != "" {
		c.thing("pool", def.Pool)
	}
	if def.Image != "" {
		c.thing("image", def.Image)
		if def.DiskGB == 0 {
			c.add("diskGB", def.DiskGB, "at least 1 with an image", "give the size of the root disk, at least that of the image")
		}
	}
	if len(def.Volumes) > MaxVolumes {
		c.add("volumes", fmt.Sprintf("%d disks", len(def.Volumes)), fmt.Sprintf("at most %d", MaxVolumes), "remove some")
		return
	}
	seen := map[string]string{RootVolume: "the root disk"}
	for i, v := range def.Volumes {
		path := fmt.Sprintf("volumes[%d]", i)
		c.volume(path, v, def)
		c.volumeName(path, v.Name, seen)
	}
	c.busRoom(def)
}

func (c *checker) volumeName(path, name string, seen map[string]string) {
	if name == "" {
		return
	}
	if !nameForm.MatchString(name) {
		c.add(path+".name", name, "1 to 63 of A-Z a-z 0-9 -, no - at either end", "choose another name, or leave it out")
		return
	}
	if other, taken := seen[name]; taken {
		c.add(path+".name", name, "unique within the machine", "it is taken by "+other+": choose another name")
	}
	seen[name] = path
}

func (c *checker) volume(path string, v Volume, def Definition) {
	if v.Pool != "" {
		c.thing(path+".pool", v.Pool)
	}
	c.between(path+".sizeGB", v.SizeGB, 1, MaxDiskGB, " GiB", "give the size of the disk in GiB")
	if v.Format != "" {
		c.oneOf(path+".format", v.Format, []string{FormatQcow2, FormatRaw})
	}
	if v.Image != "" {
		c.thing(path+".image", v.Image)
		if v.Format == FormatRaw {
			c.add(path+".format", v.Format, "qcow2 for a disk with an image, because it is an overlay", "use qcow2")
		}
	}
	if v.Bus != "" {
		c.bus(path+".bus", v.Bus, def)
	}
}

func (c *checker) bus(path, bus string, def Definition) {
	c.oneOf(path, bus, []string{"virtio", "sata", "scsi", "ide"})
	machine := def.Machine
	if machine == "" {
		machine = defaultMachine(def.Arch)
	}
	if bus == "ide" && !isI440fx(machine) {
		c.add(path, bus, "virtio, sata or scsi on machine "+machine, "use sata, or machine pc")
	}
	if bus == "sata" && !isI440fx(machine) && !isQ35(machine) {
		c.add(path, bus, "virtio or scsi on machine "+machine, "use virtio")
	}
}

// busRoom counts the disks of each bus that has few places.
func (c *checker) busRoom(def Definition) {
	count := map[string]int{}
	for _, bus := range diskBuses(def) {
		count[bus]++
	}
	for _, b := range []struct {
		bus   string
		limit int
	}{{"ide", maxIDE}, {"sata", maxSATA}} {
		if count[b.bus] > b.limit {
			c.add("volumes", fmt.Sprintf("%d disks on %s", count[b.bus], b.bus), fmt.Sprintf("at most %d", b.limit), "use bus virtio or scsi for the others")
		}
	}
}

// diskBuses is the bus of every disk, the root disk first.
func diskBuses(def Definition) []string {
	normal := Normalise(def, Defaults{})
	var buses []string
	if def.DiskGB > 0 {
		buses = append(buses, DiskBus(normal.OSType, normal.Machine))
	}
	for _, v := range normal.Volumes {
		buses = append(buses, v.Bus)
	}
	return buses
}

func (c *checker) nics(def Definition) {
	if len(def.NetworkInterfaces) > MaxNICs {
		c.add("networkInterfaces", fmt.Sprintf("%d cards", len(def.NetworkInterfaces)), fmt.Sprintf("at most %d", MaxNICs), "remove some")
		return
	}
	seen := map[string]string{}
	for i, n := range def.NetworkInterfaces {
		path := fmt.Sprintf("networkInterfaces[%d]", i)
		c.nic(path, n)
		if n.MAC != "" {
			c.mac(path+".mac", n.MAC, seen)
			seen[strings.ToLower(n.MAC)] = path
		}
	}
}

func (c *checker) nic(path string, n NetworkInterface) {
	if n.Network != "" && n.Bridge != "" {
		c.add(path, "network "+n.Network+" and bridge "+n.Bridge, "one of the two", "remove one")
	}
	if n.Network != "" {
		c.thing(path+".network", n.Network)
	}
	if n.Bridge != "" && (!thingForm.MatchString(n.Bridge) || len(n.Bridge) > maxBridgeName) {
		c.add(path+".bridge", n.Bridge, fmt.Sprintf("1 to %d of A-Z a-z 0-9 . _ -", maxBridgeName), "give the name of a bridge of the host")
	}
	if n.Model != "" {
		c.oneOf(path+".model", n.Model, []string{"virtio", "e1000e", "e1000", "rtl8139"})
	}
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
