package hypervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// verify reads the machine back and compares it with what was asked for.
func (c *creation) verify(ctx context.Context) error {
	d, _, err := c.ours(ctx, c.def.UUID)
	if err != nil {
		return err
	}
	var differences []string
	if c.spec.Start && d.State != StateRunning {
		differences = append(differences, fmt.Sprintf("it is %s, not running; see its console log", d.State))
	}
	var actual libvirtxml.Domain
	if err := actual.Unmarshal(d.XML); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	differences = append(differences, compare(c.def, &actual)...)
	if len(differences) > 0 {
		return fmt.Errorf("%w: %s", ErrReadBack, strings.Join(differences, "; "))
	}
	return nil
}

// compare names what differs between a definition and a domain.
func compare(def *VMDefinition, d *libvirtxml.Domain) []string {
	var out []string
	differ := func(what string, want, got any) {
		if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
			out = append(out, fmt.Sprintf("%s is %s instead of %s", what, g, w))
		}
	}
	differ("name", DomainName(def), d.Name)
	differ("UUID", def.UUID, d.UUID)
	if d.VCPU != nil {
		differ("cpus", def.CPUs, d.VCPU.Value)
	}
	if d.Memory != nil {
		differ("memory in KiB", def.MemoryMB*1024, kibibytes(d.Memory.Value, d.Memory.Unit))
	}
	differ("disks", wantedDisks(def), actualDisks(d))
	differ("MAC addresses", wantedMACs(def), actualMACs(d))
	return out
}

// kibibytes converts libvirt's memory sizes: it writes KiB, and remembers the unit it was given only in a test driver.
func kibibytes(value uint, unit string) uint {
	switch unit {
	case "GiB", "G":
		return value << 20
	case "MiB", "M":
		return value << 10
	case "b", "bytes":
		return value >> 10
	default:
		return value
	}
}

func wantedDisks(def *VMDefinition) []string {
	var list []string
	for _, d := range disks(def) {
		list = append(list, d.pool+"/"+VolumeName(def.UUID, d.name, d.format))
	}
	slices.Sort(list)
	return list
}

func actualDisks(d *libvirtxml.Domain) []string {
	var list []string
	if d.Devices == nil {
		return nil
	}
	for _, disk := range d.Devices.Disks {
		if disk.Source != nil && disk.Source.Volume != nil {
			list = append(list, disk.Source.Volume.Pool+"/"+disk.Source.Volume.Volume)
		} else if disk.Source != nil && disk.Source.File != nil {
			list = append(list, disk.Source.File.File)
		}
	}
	slices.Sort(list)
	return list
}

func wantedMACs(def *VMDefinition) []string {
	var list []string
	for _, n := range def.NetworkInterfaces {
		list = append(list, n.MAC)
	}
	slices.Sort(list)
	return list
}

func actualMACs(d *libvirtxml.Domain) []string {
	var list []string
	if d.Devices == nil {
		return nil
	}
	for _, n := range d.Devices.Interfaces {
		if n.MAC != nil {
			list = append(list, n.MAC.Address)
		}
	}
	slices.Sort(list)
	return list
}
