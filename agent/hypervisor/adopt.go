package hypervisor

import (
	"context"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// ForeignDomain is a domain that no cluster's metadata marks.
type ForeignDomain struct {
	ID, Name      string
	State         State
	Arch, Machine string
	CPUs          int
	// MemoryMB is in MiB.
	MemoryMB int
	// MACs are the addresses of its network cards.
	MACs []string
	// OtherCluster says that it belongs to another cluster: it cannot be adopted.
	OtherCluster bool
}

// Foreign lists the domains of the host that are not this cluster's.
func (m *Manager) Foreign(ctx context.Context) ([]ForeignDomain, error) {
	domains, err := m.driver.Domains(ctx)
	if err != nil {
		return nil, err
	}
	var foreign []ForeignDomain
	for _, d := range domains {
		if _, ours := m.claim(d); ours {
			continue
		}
		one, err := describe(d)
		if err != nil {
			return nil, err
		}
		foreign = append(foreign, one)
	}
	return foreign, nil
}

// describe reads off a domain what the cluster keeps account of.
func describe(d Domain) (ForeignDomain, error) {
	one := ForeignDomain{ID: d.ID, Name: d.Name, State: d.State, OtherCluster: d.Metadata != ""}
	if meta, err := decodeMetadata(d.Metadata); err != nil || meta.Owner.ClusterID == "" {
		one.OtherCluster = false // metadata of other programs
	}
	var x libvirtxml.Domain
	if err := x.Unmarshal(d.XML); err != nil {
		return one, fmt.Errorf("domain %s: %w", d.Name, err)
	}
	if x.Devices != nil {
		one.MACs = actualMACs(&x)
	}
	if x.VCPU != nil {
		one.CPUs = int(x.VCPU.Value)
	}
	if x.Memory != nil {
		one.MemoryMB = int(bytesOf(uint64(x.Memory.Value), x.Memory.Unit) >> 20)
	}
	if x.OS != nil && x.OS.Type != nil {
		one.Arch, one.Machine = x.OS.Type.Arch, x.OS.Type.Machine
	}
	return one, nil
}

// bytesOf reads libvirt's units of memory; without one it is KiB.
func bytesOf(value uint64, unit string) uint64 {
	switch unit {
	case "b", "bytes":
		return value
	case "M", "MiB":
		return value << 20
	case "G", "GiB":
		return value << 30
	case "T", "TiB":
		return value << 40
	}
	return value << 10
}

// Adopt makes a foreign domain this cluster's, by our metadata in it and by nothing else: it runs on as it is. The volumes
// that it uses stay foreign, so a later delete leaves them. One that is ours already is brought in line.
func (m *Manager) Adopt(ctx context.Context, def *VMDefinition, owner Owner) error {
	if err := m.checkOwner(owner); err != nil {
		return err
	}
	release, err := m.machines.lock(ctx, def.UUID)
	if err != nil {
		return err
	}
	defer release()
	d, err := m.driver.Domain(ctx, def.UUID)
	if err != nil {
		return err
	}
	if meta, ours := m.claim(d); ours {
		return m.setOwner(ctx, def.UUID, meta, owner)
	}
	foreign, err := describe(d)
	switch {
	case err != nil:
		return err
	case foreign.OtherCluster:
		return fmt.Errorf("adopt %s (%s): it belongs to another cluster: %w; remove it there first", d.Name, d.ID, ErrForeign)
	case DomainName(def) != d.Name:
		return fmt.Errorf("adopt %s (%s): its name here is %s: %w", def.Name, d.ID, d.Name, ErrExists)
	}
	adopted := vm.Clone(*def)
	return m.writeMetadata(ctx, def.UUID, metadata{Owner: owner, Definition: &adopted})
}
