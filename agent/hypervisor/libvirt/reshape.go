//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"fmt"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/domainxml"
)

// EditDefinition changes what the next start takes.
func (d *Driver) EditDefinition(ctx context.Context, id string, edit func(*libvirtxml.Domain) error) error {
	return run(ctx, d, func(conn *lv.Connect) error {
		dom, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer dom.Free()
		x, err := described(dom, lv.DOMAIN_XML_INACTIVE|lv.DOMAIN_XML_SECURE)
		if err != nil {
			return err
		}
		if err := edit(x); err != nil {
			return err
		}
		text, err := domainxml.Domain(x)
		if err != nil {
			return err
		}
		again, err := conn.DomainDefineXMLFlags(text, lv.DOMAIN_DEFINE_VALIDATE)
		if err != nil {
			return err
		}
		return again.Free()
	})
}

// SetCPUs plugs CPUs in, or sets how many the next start gives.
func (d *Driver) SetCPUs(ctx context.Context, id string, n int) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		flags, err := impact(dom)
		if err != nil {
			return err
		}
		return dom.SetVcpusFlags(uint(n), lv.DomainVcpuFlags(flags))
	})
}

// SetMemory asks the balloon.
func (d *Driver) SetMemory(ctx context.Context, id string, mb int) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		flags, err := impact(dom)
		if err != nil {
			return err
		}
		return dom.SetMemoryFlags(uint64(mb)<<10, lv.DomainMemoryModFlags(flags))
	})
}

// GrowDisk grows the volume through QEMU, which has it open, and tells the guest.
func (d *Driver) GrowDisk(ctx context.Context, id, target string, capacityBytes uint64) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		has, err := dom.GetBlockInfo(target, 0)
		switch {
		case err != nil || has.Capacity == capacityBytes:
			return err
		case has.Capacity > capacityBytes:
			return fmt.Errorf("disk %s: %d bytes are less than its %d: a disk never shrinks", target, capacityBytes, has.Capacity)
		}
		return dom.BlockResize(target, capacityBytes, lv.DOMAIN_BLOCK_RESIZE_BYTES)
	})
}

// LimitDisk sets every limit, those that are gone to none.
func (d *Driver) LimitDisk(ctx context.Context, id, target string, limits *libvirtxml.DomainDiskIOTune) error {
	if limits == nil {
		limits = &libvirtxml.DomainDiskIOTune{}
	}
	return act(ctx, d, id, func(dom *lv.Domain) error {
		flags, err := impact(dom)
		if err != nil {
			return err
		}
		return dom.SetBlockIoTune(target, &lv.DomainBlockIoTuneParameters{
			TotalIopsSecSet: true, TotalIopsSec: limits.TotalIopsSec, ReadIopsSecSet: true, ReadIopsSec: limits.ReadIopsSec,
			WriteIopsSecSet: true, WriteIopsSec: limits.WriteIopsSec, TotalBytesSecSet: true, TotalBytesSec: limits.TotalBytesSec,
			ReadBytesSecSet: true, ReadBytesSec: limits.ReadBytesSec, WriteBytesSecSet: true, WriteBytesSec: limits.WriteBytesSec,
		}, flags)
	})
}

// EditCard changes a card in the running instance first, then in the definition.
func (d *Driver) EditCard(ctx context.Context, id, mac string, edit func(*libvirtxml.DomainInterface)) error {
	return act(ctx, d, id, func(dom *lv.Domain) error {
		active, err := dom.IsActive()
		if err != nil {
			return err
		}
		if active {
			if err := editCard(dom, mac, edit, 0, lv.DOMAIN_DEVICE_MODIFY_LIVE); err != nil {
				return err
			}
		}
		return editCard(dom, mac, edit, lv.DOMAIN_XML_INACTIVE, lv.DOMAIN_DEVICE_MODIFY_CONFIG)
	})
}

func editCard(dom *lv.Domain, mac string, edit func(*libvirtxml.DomainInterface), of lv.DomainXMLFlags, to lv.DomainDeviceModifyFlags) error {
	x, err := described(dom, of)
	if err != nil {
		return err
	}
	card := hypervisor.CardAt(x, mac)
	if card == nil {
		return fmt.Errorf("card %s: %w", mac, hypervisor.ErrNotFound)
	}
	edit(card)
	text, err := card.Marshal()
	if err != nil {
		return err
	}
	return dom.UpdateDeviceFlags(text, to)
}

// impact is the definition, and the running instance where there is one.
func impact(dom *lv.Domain) (lv.DomainModificationImpact, error) {
	active, err := dom.IsActive()
	if err != nil || !active {
		return lv.DOMAIN_AFFECT_CONFIG, err
	}
	return lv.DOMAIN_AFFECT_CONFIG | lv.DOMAIN_AFFECT_LIVE, nil
}
