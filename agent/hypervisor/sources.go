package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// checkSources makes sure that volumes which exist already are there, are what they are declared to be, and are nobody
// else's unless they are shared or only read. The error is one of looking; what is wrong comes as faults.
func (c *creation) checkSources(ctx context.Context) (vm.Faults, error) {
	var faults vm.Faults
	var used map[string]string
	for i, v := range c.def.Volumes {
		if v.Source == "" {
			continue
		}
		path := fmt.Sprintf("volumes[%d].source", i)
		info, err := c.driver.Volume(ctx, v.Pool, v.Source)
		if errors.Is(err, ErrNotFound) {
			faults = append(faults, vm.Fault{Path: path, Value: v.Source, Limit: "a volume of pool " + v.Pool, WayOut: "make it first, or name one that is there"})
			continue
		}
		if err != nil {
			return nil, err
		}
		if used == nil {
			if used, err = c.usedPaths(ctx); err != nil {
				return nil, err
			}
		}
		faults = append(faults, sourceFaults(path, v, info, used)...)
	}
	return faults, nil
}

func sourceFaults(path string, v Volume, info VolumeInfo, used map[string]string) vm.Faults {
	var faults vm.Faults
	iso := v.Device != vm.DeviceDisk && info.Format == "iso"
	if info.Format != "" && info.Format != v.Format && !iso {
		faults = append(faults, vm.Fault{Path: strings.TrimSuffix(path, "source") + "format", Value: v.Format,
			Limit: info.Format + ", which is what is stored", WayOut: "declare the format that it has"})
	}
	owner, taken := used[info.Path]
	switch {
	case strings.HasPrefix(v.Source, volumePrefix) && !standsAlone(v.Source):
		// Whoever may create a machine may not read everybody's disks.
		faults = append(faults, vm.Fault{Path: path, Value: v.Source, Limit: "no volume that belongs to a machine or an image of the cluster",
			WayOut: "take another, or name an image"})
	case taken && !v.ReadOnly && !v.Shareable:
		faults = append(faults, vm.Fault{Path: path, Value: v.Source, Limit: "a volume that no other machine uses, unless it is shareable or read-only",
			WayOut: owner + " uses it: take another, or set readOnly"})
	}
	return faults
}

// usedPaths maps every path that a domain of the host uses, down its backing chains, to the domain's name.
func (c *creation) usedPaths(ctx context.Context) (map[string]string, error) {
	domains, err := c.driver.Domains(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]string{}
	for _, d := range domains {
		if d.ID == c.def.UUID {
			continue
		}
		var x libvirtxml.Domain
		if x.Unmarshal(d.XML) != nil || x.Devices == nil {
			continue
		}
		for _, disk := range x.Devices.Disks {
			if err := c.addPaths(ctx, used, d.Name, disk); err != nil {
				return nil, err
			}
		}
	}
	return used, nil
}

func (c *creation) addPaths(ctx context.Context, used map[string]string, domain string, disk libvirtxml.DomainDisk) error {
	for _, path := range chain(disk) {
		used[path] = domain
	}
	if disk.Source == nil || disk.Source.Volume == nil {
		return nil
	}
	info, err := c.driver.Volume(ctx, disk.Source.Volume.Pool, disk.Source.Volume.Volume)
	if err != nil {
		return ignoreNotFound(err)
	}
	for _, path := range []string{info.Path, info.BackingPath} {
		if path != "" {
			used[path] = domain
		}
	}
	return nil
}

// chain lists the files and devices of a disk as the domain tells them.
func chain(disk libvirtxml.DomainDisk) []string {
	paths := sourcePaths(disk.Source)
	for backing := disk.BackingStore; backing != nil; backing = backing.BackingStore {
		paths = slices.Concat(paths, sourcePaths(backing.Source))
	}
	return paths
}

func sourcePaths(source *libvirtxml.DomainDiskSource) []string {
	switch {
	case source == nil:
		return nil
	case source.File != nil:
		return []string{source.File.File}
	case source.Block != nil:
		return []string{source.Block.Dev}
	default:
		return nil
	}
}
