package fake

import (
	"context"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// TieCPUs ties a running domain to CPUs of the host until it stops.
func (d *Driver) TieCPUs(ctx context.Context, id string, cpus []int) error {
	if err := d.begin(ctx, "TieCPUs", id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dom, err := d.find(id)
	if err != nil || dom.State.Off() {
		return err
	}
	dom.Tied = slices.Clone(cpus)
	return d.save()
}

// running is the description of the running instance: the definition, and what it is tied to.
func (dom *domain) running() (string, error) {
	if len(dom.Tied) == 0 {
		return dom.XML, nil
	}
	var x libvirtxml.Domain
	if err := x.Unmarshal(dom.XML); err != nil {
		return "", err
	}
	set := vm.FormatSet(dom.Tied)
	x.CPUTune = &libvirtxml.DomainCPUTune{EmulatorPin: &libvirtxml.DomainCPUTuneEmulatorPin{CPUSet: set}}
	if x.VCPU != nil {
		for cpu := range x.VCPU.Value {
			x.CPUTune.VCPUPin = append(x.CPUTune.VCPUPin, libvirtxml.DomainCPUTuneVCPUPin{VCPU: cpu, CPUSet: set})
		}
	}
	return x.Marshal()
}
