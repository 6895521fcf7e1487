package hypervisor

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// ReshapeDriver changes domains that exist. Every change but that of the ties holds for later starts; in a running domain it
// is made at once too, but for that of the definition.
type ReshapeDriver interface {
	// EditDefinition changes the definition that the next start takes.
	EditDefinition(ctx context.Context, id string, edit func(*libvirtxml.Domain) error) error
	// SetCPUs sets how many virtual CPUs the guest has, up to the domain's maximum.
	SetCPUs(ctx context.Context, id string, n int) error
	// SetMemory asks the balloon for a size in MiB.
	SetMemory(ctx context.Context, id string, mb int) error
	// GrowDisk tells a running guest that its disk is larger, in bytes. The volume grows with it.
	GrowDisk(ctx context.Context, id, target string, capacityBytes uint64) error
	// LimitDisk replaces the limits of a disk; nil is none.
	LimitDisk(ctx context.Context, id, target string, limits *libvirtxml.DomainDiskIOTune) error
	// EditCard changes the filter and the limits of the card with an address.
	EditCard(ctx context.Context, id, mac string, edit func(*libvirtxml.DomainInterface)) error
	// TieCPUs has all threads of a running domain run on some logical CPUs of the host until it stops. One that does not run
	// is left alone.
	TieCPUs(ctx context.Context, id string, cpus []int) error
}

// Reshape brings a machine in line with its definition where it was created with another: all that vm.Reshape allows to
// change. It is idempotent: what a crash left undone is done by the same order. A change that takes a stopped machine is
// refused while it runs, with all others.
func (m *Manager) Reshape(ctx context.Context, def *VMDefinition) error {
	release, err := m.machines.lock(ctx, def.UUID)
	if err != nil {
		return err
	}
	defer release()
	domain, meta, err := m.ours(ctx, def.UUID)
	if err != nil {
		return err
	}
	next := vm.Reshaped(*meta.Definition, *def)
	next.Labels, next.Annotations = meta.Definition.Labels, meta.Definition.Annotations // those are Adjust's
	if reflect.DeepEqual(next, *meta.Definition) {
		return nil
	}
	r := &reshaping{Manager: m, domain: domain, meta: meta, has: meta.Definition, next: &next, runs: !domain.State.Off()}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("change %s (%s): %w", next.Name, next.UUID, err)
	}
	return nil
}

// reshaping is one change of a definition on its way.
type reshaping struct {
	*Manager
	domain    Domain
	meta      metadata
	has, next *VMDefinition
	runs      bool
}

func (r *reshaping) run(ctx context.Context) error {
	if err := r.check(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.definition, r.compute, r.disks, r.cards} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.meta.Definition = r.next
	return r.writeMetadata(ctx, r.next.UUID, r.meta)
}

// check compares with the machine as it is, and with the host. The versioned machine type is the domain's: the definition may
// name the family alone.
func (r *reshaping) check(ctx context.Context) error {
	if _, err := vm.Reshape(*r.has, *r.next, r.runs); err != nil {
		return err
	}
	if r.next.Machine != r.has.Machine {
		if err := vm.CheckMachineChange(r.domain.Machine, r.next.Machine, !r.runs); err != nil {
			return err
		}
	}
	facts, err := r.recentFacts(ctx)
	if err != nil {
		return err
	}
	c := &hostCheck{def: r.next, facts: facts}
	c.size()
	c.machine()
	c.processor()
	c.memory()
	return c.faults.Err()
}

// definition changes what the next start takes.
func (r *reshaping) definition(ctx context.Context) error {
	facts, err := r.recentFacts(ctx)
	if err != nil {
		return err
	}
	t := &Template{Accelerator: facts.Accelerator, Owner: r.meta.Owner, Host: facts, CPUBaseline: r.baseline(), bases: r.meta.Bases}
	before, after := shapeOf(t.domain(r.has)), shapeOf(t.domain(r.next))
	if r.runs { // those are set in the guest and in the definition at once
		before.VCPU, before.CurrentMemory = after.VCPU, after.CurrentMemory
	}
	if reflect.DeepEqual(before, after) {
		return nil
	}
	return r.driver.EditDefinition(ctx, r.next.UUID, func(x *libvirtxml.Domain) error {
		after.putInto(x, r.next.Machine != r.has.Machine)
		return nil
	})
}

// shape is the part of a domain that a change of its definition replaces as a whole.
type shape struct {
	Memory        *libvirtxml.DomainMemory
	CurrentMemory *libvirtxml.DomainCurrentMemory
	MaximumMemory *libvirtxml.DomainMaxMemory
	VCPU          *libvirtxml.DomainVCPU
	CPU           *libvirtxml.DomainCPU
	Clock         *libvirtxml.DomainClock
	HyperV        *libvirtxml.DomainFeatureHyperV
	Machine       string
	OnCrash       string
}

func shapeOf(d *libvirtxml.Domain) shape {
	return shape{d.Memory, d.CurrentMemory, d.MaximumMemory, d.VCPU, d.CPU, d.Clock, d.Features.HyperV, d.OS.Type.Machine, d.OnCrash}
}

// putInto leaves the machine type alone where it does not change: the domain has the versioned one.
func (s shape) putInto(d *libvirtxml.Domain, machine bool) {
	d.Memory, d.CurrentMemory, d.MaximumMemory = s.Memory, s.CurrentMemory, s.MaximumMemory
	d.VCPU, d.VCPUs, d.CPU, d.Clock, d.OnCrash = s.VCPU, nil, s.CPU, s.Clock, s.OnCrash
	if d.Features == nil {
		d.Features = &libvirtxml.DomainFeatureList{}
	}
	d.Features.HyperV = s.HyperV
	if machine {
		d.OS.Type.Machine = s.Machine
	}
}

// compute gives a running guest more CPUs, and sets its balloon.
func (r *reshaping) compute(ctx context.Context) error {
	if !r.runs {
		return nil
	}
	if r.next.CPUs != r.has.CPUs {
		if err := r.driver.SetCPUs(ctx, r.next.UUID, r.next.CPUs); err != nil {
			return fmt.Errorf("cpus: %w", err)
		}
	}
	if r.next.Memory.InitialMB != r.has.Memory.InitialMB {
		mb := r.next.Memory.InitialMB
		if mb == 0 {
			mb = r.next.MemoryMB
		}
		if err := r.driver.SetMemory(ctx, r.next.UUID, mb); err != nil {
			return fmt.Errorf("memory.initialMB: %w", err)
		}
	}
	return nil
}

// disks grow, and get other limits.
func (r *reshaping) disks(ctx context.Context) error {
	had := map[string]disk{}
	for _, d := range disks(r.has) {
		had[d.name] = d
	}
	for _, d := range disks(r.next) {
		if before := had[d.name]; reflect.DeepEqual(before, d) {
			continue
		}
		if err := r.disk(ctx, had[d.name], d); err != nil {
			return fmt.Errorf("disk %s: %w", d.name, err)
		}
	}
	return nil
}

func (r *reshaping) disk(ctx context.Context, before, after disk) error {
	t := &Template{bases: r.meta.Bases}
	volume := t.volumeOf(r.next, after)
	target, err := targetOf(r.domain.XML, after.pool, volume)
	if err != nil {
		return err
	}
	if after.sizeGB != before.sizeGB && after.made() {
		bytes := uint64(after.sizeGB) << 30
		if r.runs {
			err = r.driver.GrowDisk(ctx, r.next.UUID, target, bytes)
		} else {
			err = r.driver.ResizeVolume(ctx, after.pool, volume, bytes)
		}
		if err != nil {
			return err
		}
		if err := r.driver.RefreshPool(ctx, after.pool); err != nil {
			r.log.Warn("the pool does not know yet that a disk grew", "pool", after.pool, "error", err)
		}
	}
	if after.options.QoS == before.options.QoS {
		return nil
	}
	return r.driver.LimitDisk(ctx, r.next.UUID, target, ioTune(after.options.QoS))
}

// targetOf finds a disk in a domain by the volume behind it.
func targetOf(text, pool, volume string) (string, error) {
	var x libvirtxml.Domain
	if err := x.Unmarshal(text); err != nil {
		return "", err
	}
	if x.Devices != nil {
		for _, d := range x.Devices.Disks {
			if d.Source != nil && d.Source.Volume != nil && d.Source.Volume.Pool == pool && d.Source.Volume.Volume == volume && d.Target != nil {
				return d.Target.Dev, nil
			}
		}
	}
	return "", fmt.Errorf("volume %s of pool %s: %w in the domain: somebody removed it there; put it back with virsh", volume, pool, ErrNotFound)
}

// cards get other filters and limits.
func (r *reshaping) cards(ctx context.Context) error {
	for i, card := range r.next.NetworkInterfaces {
		if i >= len(r.has.NetworkInterfaces) || card == r.has.NetworkInterfaces[i] {
			continue
		}
		wanted := nicDevices(r.next)[i]
		err := r.driver.EditCard(ctx, r.next.UUID, card.MAC, func(x *libvirtxml.DomainInterface) {
			x.FilterRef, x.Bandwidth = wanted.FilterRef, wanted.Bandwidth
		})
		if err != nil {
			return fmt.Errorf("networkInterfaces[%d]: %w", i, err)
		}
	}
	return nil
}

// CardAt finds the card with an address in a domain; nil where there is none.
func CardAt(x *libvirtxml.Domain, mac string) *libvirtxml.DomainInterface {
	if x.Devices == nil {
		return nil
	}
	i := slices.IndexFunc(x.Devices.Interfaces, func(n libvirtxml.DomainInterface) bool { return n.MAC != nil && n.MAC.Address == mac })
	if i < 0 {
		return nil
	}
	return &x.Devices.Interfaces[i]
}

// DiskAt finds the disk of a target in a domain; nil where there is none.
func DiskAt(x *libvirtxml.Domain, target string) *libvirtxml.DomainDisk {
	if x.Devices == nil {
		return nil
	}
	i := slices.IndexFunc(x.Devices.Disks, func(d libvirtxml.DomainDisk) bool { return d.Target != nil && d.Target.Dev == target })
	if i < 0 {
		return nil
	}
	return &x.Devices.Disks[i]
}
