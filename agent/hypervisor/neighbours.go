package hypervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// pathUse is how a domain uses a file or device.
type pathUse int

const (
	writesPath pathUse = iota
	// sharesPath writes too, and knows that others do.
	sharesPath
	readsPath
)

// neighbour is what another domain of the host has, ours or not, that a new machine must leave to it.
type neighbour struct {
	name string
	// paths are the files and devices that it uses, down its backing chains, which are only read.
	paths map[string]pathUse
	macs  []string
	// pins are the host's CPUs that it is tied to; dedicated says that they are for it alone.
	pins      []int
	dedicated bool
}

// neighbours looks at all other domains of the host. One whose description cannot be read has nothing.
func (c *creation) neighbours(ctx context.Context) ([]neighbour, error) {
	domains, err := c.driver.Domains(ctx)
	if err != nil {
		return nil, err
	}
	var others []neighbour
	for _, d := range domains {
		var x libvirtxml.Domain
		if d.ID == c.def.UUID || x.Unmarshal(d.XML) != nil {
			continue
		}
		one := neighbour{name: d.Name, paths: map[string]pathUse{}, pins: pinsOf(&x)}
		meta, ours := c.claim(d)
		one.dedicated = ours && meta.Definition.CPU.Dedicated
		if ours && floatsFree(meta.Definition) {
			one.pins = nil // Shield ties it, and to other CPUs if need be
		}
		if x.Devices != nil {
			one.macs = actualMACs(&x)
			for _, disk := range x.Devices.Disks {
				if err := c.addPaths(ctx, one.paths, disk); err != nil {
					return nil, err
				}
			}
		}
		others = append(others, one)
	}
	return others, nil
}

func (c *creation) addPaths(ctx context.Context, used map[string]pathUse, disk libvirtxml.DomainDisk) error {
	add := func(use pathUse, paths ...string) {
		for _, path := range paths {
			if before, there := used[path]; path != "" && (!there || use < before) {
				used[path] = use
			}
		}
	}
	use := writesPath
	switch {
	case disk.ReadOnly != nil || disk.Device == vm.DeviceCDROM:
		use = readsPath
	case disk.Shareable != nil:
		use = sharesPath
	}
	add(use, sourcePath(disk.Source))
	for backing := disk.BackingStore; backing != nil; backing = backing.BackingStore {
		add(readsPath, sourcePath(backing.Source))
	}
	if disk.Source == nil || disk.Source.Volume == nil {
		return nil
	}
	info, err := c.driver.Volume(ctx, disk.Source.Volume.Pool, disk.Source.Volume.Volume)
	if err != nil {
		return ignoreNotFound(err)
	}
	add(use, info.Path)
	add(readsPath, info.BackingPath)
	return nil
}

func sourcePath(source *libvirtxml.DomainDiskSource) string {
	switch {
	case source == nil:
		return ""
	case source.File != nil:
		return source.File.File
	case source.Block != nil:
		return source.Block.Dev
	default:
		return ""
	}
}

// pinsOf lists the host's CPUs that a domain's virtual CPUs and emulator threads are tied to.
func pinsOf(d *libvirtxml.Domain) (pins []int) {
	var sets []string
	if d.VCPU != nil {
		sets = append(sets, d.VCPU.CPUSet)
	}
	if tune := d.CPUTune; tune != nil {
		for _, pin := range tune.VCPUPin {
			sets = append(sets, pin.CPUSet)
		}
		if tune.EmulatorPin != nil {
			sets = append(sets, tune.EmulatorPin.CPUSet)
		}
	}
	for _, text := range sets {
		set, _ := vm.ParseSet(text) // none is no tie
		pins = append(pins, set...)
	}
	slices.Sort(pins)
	return slices.Compact(pins)
}

// macFaults refuses addresses that others have on the host, foreign domains among them: those the cluster does not know.
func macFaults(def *VMDefinition, others []neighbour) (faults vm.Faults) {
	for i, n := range def.NetworkInterfaces {
		for _, other := range others {
			if slices.ContainsFunc(other.macs, func(mac string) bool { return strings.EqualFold(mac, n.MAC) }) {
				faults = append(faults, vm.Fault{Path: fmt.Sprintf("networkInterfaces[%d].mac", i), Value: n.MAC,
					Limit: "an address that no other machine of the host has", WayOut: other.name + " has it: leave it out to get a new one"})
				break
			}
		}
	}
	return faults
}

// cpuFaults refuses pins that would share a CPU which is for one machine alone: this one or another.
func cpuFaults(def *VMDefinition, hostCPUs int, others []neighbour) (faults vm.Faults) {
	var mine []int
	for _, pin := range def.CPU.Pinning {
		set, _ := vm.ParseSet(pin.HostCPUs) // checked with the definition
		mine = append(mine, set...)
	}
	for _, other := range others {
		if !def.CPU.Dedicated && !other.dedicated || len(other.pins) >= hostCPUs && hostCPUs > 0 {
			continue // nobody insists, or it is tied to everything and so to nothing
		}
		both := slices.DeleteFunc(slices.Clone(mine), func(cpu int) bool { return !slices.Contains(other.pins, cpu) })
		if len(both) > 0 {
			slices.Sort(both)
			faults = append(faults, vm.Fault{Path: "cpu.pinning", Value: fmt.Sprint(slices.Compact(both)),
				Limit: "CPUs of the host that no dedicated machine shares", WayOut: other.name + " is tied to them: choose others, or leave the choice to the cluster"})
		}
	}
	return faults
}
