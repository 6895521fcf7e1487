//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

// PoolStats tells how full the active pools are.
func (d *Driver) PoolStats(ctx context.Context) ([]hypervisor.PoolStats, error) {
	return call(ctx, d, func(conn *lv.Connect) ([]hypervisor.PoolStats, error) {
		handles, err := conn.ListAllStoragePools(lv.CONNECT_LIST_STORAGE_POOLS_ACTIVE)
		if err != nil {
			return nil, err
		}
		var all []hypervisor.PoolStats
		for i := range handles {
			defer handles[i].Free()
			name, err := handles[i].GetName()
			if err != nil {
				return nil, err
			}
			info, err := handles[i].GetInfo()
			if errors.Is(err, lv.ERR_NO_STORAGE_POOL) || errors.Is(err, lv.ERR_OPERATION_INVALID) {
				continue // it went away since it was listed
			}
			if err != nil {
				return nil, err
			}
			all = append(all, hypervisor.PoolStats{Name: name, CapacityBytes: info.Capacity, AllocationBytes: info.Allocation, AvailBytes: info.Available})
		}
		return all, nil
	})
}

// GuestUsage asks the guest's agent for its file systems, and for its load where libvirt and the agent know of it.
func (d *Driver) GuestUsage(ctx context.Context, id string) (hypervisor.GuestUsage, error) {
	return with(ctx, d, id, func(dom *lv.Domain) (hypervisor.GuestUsage, error) {
		if !agentConnected(dom) {
			return hypervisor.GuestUsage{}, nil
		}
		told, err := dom.GetGuestInfo(lv.DOMAIN_GUEST_INFO_FILESYSTEM, 0)
		if errors.Is(err, lv.ERR_AGENT_UNRESPONSIVE) || errors.Is(err, lv.ERR_AGENT_UNSYNCED) {
			return hypervisor.GuestUsage{}, nil
		}
		if err != nil {
			return hypervisor.GuestUsage{}, err
		}
		usage := hypervisor.GuestUsage{Answered: true}
		for i := range told.FileSystems {
			usage.Filesystems = append(usage.Filesystems, filesystem(&told.FileSystems[i]))
		}
		// Older libvirts refuse the question, older agents the answer.
		if more, err := dom.GetGuestInfo(lv.DOMAIN_GUEST_INFO_LOAD, 0); err == nil && more.Load != nil && more.Load.Load15MSet {
			usage.Load = []float64{more.Load.Load1M, more.Load.Load5M, more.Load.Load15M}
		}
		return usage, nil
	})
}

func filesystem(f *lv.DomainGuestInfoFileSystem) hypervisor.GuestFilesystem {
	return hypervisor.GuestFilesystem{MountPoint: f.MountPoint, Device: f.Name, Type: f.FSType, TotalBytes: f.TotalBytes, UsedBytes: f.UsedBytes}
}
