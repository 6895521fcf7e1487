package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/novacron/novacron/vm"
)

// lockSources has creates that name one volume wait for each other, so that none sees it free while another is about to
// take it. The order of the locks keeps them from waiting in a circle.
func (c *creation) lockSources(ctx context.Context) (release func(), err error) {
	var keys []string
	for _, v := range c.def.Volumes {
		if v.Source != "" {
			keys = append(keys, v.Pool+"/"+v.Source)
		}
	}
	slices.Sort(keys)
	var held []func()
	release = func() {
		for _, give := range slices.Backward(held) {
			give()
		}
	}
	for _, key := range slices.Compact(keys) {
		give, err := c.sources.lock(ctx, key)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, give)
	}
	return release, nil
}

// checkSources makes sure that volumes which exist already are there, are what they are declared to be, are not another
// project's, and are nobody else's unless they are shared or only read. The error is one of looking; what is wrong comes as
// faults.
func (c *creation) checkSources(ctx context.Context, others []neighbour) (vm.Faults, error) {
	var faults vm.Faults
	for i, v := range c.def.Volumes {
		if v.Source == "" {
			continue
		}
		path := fmt.Sprintf("volumes[%d].source", i)
		if kind, id := OwnerOf(v.Source); kind == OwnerVolume && !c.sameProject(id) {
			faults = append(faults, vm.Fault{Path: path, Value: v.Source, Limit: "a volume of the machine's project, " + c.def.Project + ", on this host",
				WayOut: "see «novacron volume list», and name one of that project"})
			continue
		}
		info, err := c.driver.Volume(ctx, v.Pool, v.Source)
		if errors.Is(err, ErrNotFound) {
			faults = append(faults, vm.Fault{Path: path, Value: v.Source, Limit: "a volume of pool " + v.Pool, WayOut: "make it first, or name one that is there"})
			continue
		}
		if err != nil {
			return nil, err
		}
		faults = append(faults, sourceFaults(path, v, info, others)...)
	}
	return faults, nil
}

// sameProject tells whether a volume that stands alone is of the machine's project. Who knows of no volume knows of no
// project either.
func (c *creation) sameProject(volumeID string) bool {
	if c.spec.VolumeProject == nil {
		return false
	}
	project, known := c.spec.VolumeProject(volumeID)
	return known && project == c.def.Project
}

func sourceFaults(path string, v Volume, info VolumeInfo, others []neighbour) vm.Faults {
	var faults vm.Faults
	iso := v.Device != vm.DeviceDisk && info.Format == "iso"
	if info.Format != "" && info.Format != v.Format && !iso {
		faults = append(faults, vm.Fault{Path: strings.TrimSuffix(path, "source") + "format", Value: v.Format,
			Limit: info.Format + ", which is what is stored", WayOut: "declare the format that it has"})
	}
	if strings.HasPrefix(v.Source, volumePrefix) && !standsAlone(v.Source) {
		// Whoever may create a machine may not read everybody's disks.
		return append(faults, vm.Fault{Path: path, Value: v.Source, Limit: "no volume that belongs to a machine or an image of the cluster",
			WayOut: "take another, or name an image"})
	}
	for _, other := range others {
		theirs, used := other.paths[info.Path]
		if !used || v.ReadOnly && theirs == readsPath || v.Shareable && theirs == sharesPath {
			continue
		}
		wayOut := other.name + " uses it: take another, or set readOnly"
		if theirs != readsPath {
			wayOut = other.name + " uses it and writes to it: take another, or make it shareable in both"
		}
		return append(faults, vm.Fault{Path: path, Value: v.Source,
			Limit: "a volume that no other machine uses, unless both share it or both only read it", WayOut: wayOut})
	}
	return faults
}
