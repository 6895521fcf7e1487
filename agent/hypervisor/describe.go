package hypervisor

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Description is what a domain is, for those who measure it.
type Description struct {
	// Name is the machine's for one of a cluster, else the domain's; Project is empty for others.
	Name, Project string
	// Cluster is empty for a domain that no cluster made.
	Cluster                        string
	Arch, Machine, Image, OS, Type string
	// BalloonPeriod is how often the guest tells of its memory, in seconds; 0 where it never does.
	BalloonPeriod uint
	Disks         []DiskDescription
	Cards         []CardDescription
}

// DiskDescription is a disk by its target, such as vda.
type DiskDescription struct{ Device, Path, Serial, Driver, Format string }

// CardDescription is a network card. Target is its device on the host, which changes at every start.
type CardDescription struct{ Name, MAC, Target, Bridge, Network string }

// Describe reads a domain's XML. A card is named by its alias, else by its MAC address.
func Describe(d Domain) (Description, error) {
	var x libvirtxml.Domain
	if err := x.Unmarshal(d.XML); err != nil {
		return Description{}, fmt.Errorf("describe %s: %w", d.Name, err)
	}
	about := Description{Name: d.Name, Machine: d.Machine, Type: x.Type}
	if x.OS != nil && x.OS.Type != nil {
		about.Arch = x.OS.Type.Arch
	}
	if meta, err := decodeMetadata(d.Metadata); err == nil {
		about.Name, about.Project, about.Cluster = meta.Definition.Name, meta.Definition.Project, meta.Owner.ClusterID
		about.Image, about.OS = meta.Definition.Image, strings.TrimSpace(meta.Definition.OSType+" "+meta.Definition.OSVersion)
	}
	if x.Devices == nil {
		return about, nil
	}
	if b := x.Devices.MemBalloon; b != nil && b.Stats != nil {
		about.BalloonPeriod = b.Stats.Period
	}
	for i := range x.Devices.Disks {
		about.Disks = append(about.Disks, diskDescription(&x.Devices.Disks[i]))
	}
	for i := range x.Devices.Interfaces {
		about.Cards = append(about.Cards, cardDescription(&x.Devices.Interfaces[i]))
	}
	return about, nil
}

func diskDescription(disk *libvirtxml.DomainDisk) DiskDescription {
	d := DiskDescription{Serial: disk.Serial}
	if disk.Target != nil {
		d.Device = disk.Target.Dev
	}
	if disk.Driver != nil {
		d.Driver, d.Format = disk.Driver.Name, disk.Driver.Type
	}
	if s := disk.Source; s != nil {
		switch {
		case s.File != nil:
			d.Path = s.File.File
		case s.Block != nil:
			d.Path = s.Block.Dev
		case s.Volume != nil:
			d.Path = s.Volume.Pool + "/" + s.Volume.Volume
		}
	}
	return d
}

func cardDescription(card *libvirtxml.DomainInterface) CardDescription {
	c := CardDescription{}
	if card.MAC != nil {
		c.MAC = strings.ToLower(card.MAC.Address)
		c.Name = "mac-" + strings.ReplaceAll(c.MAC, ":", "")
	}
	if card.Alias != nil && card.Alias.Name != "" {
		c.Name = card.Alias.Name
	}
	if card.Target != nil {
		c.Target = card.Target.Dev
	}
	if s := card.Source; s != nil {
		switch {
		case s.Network != nil:
			c.Network, c.Bridge = s.Network.Network, s.Network.Bridge
		case s.Bridge != nil:
			c.Bridge = s.Bridge.Bridge
		case s.Direct != nil:
			c.Bridge = s.Direct.Dev
		}
	}
	return c
}
