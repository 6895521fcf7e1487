package hypervisor

import "context"

// StatsDriver tells what the hypervisor counts.
type StatsDriver interface {
	// DomainStats tells what is counted of the named domains, of all where none is named. It waits for no domain that
	// is busy: of such a one values are missing. Domains that are gone are left out.
	DomainStats(ctx context.Context, ids ...string) ([]DomainStats, error)
	// PoolStats tells how full the active pools are.
	PoolStats(ctx context.Context) ([]PoolStats, error)
	// GuestUsage asks the agent in a guest; where none answers, nothing is told.
	GuestUsage(ctx context.Context, id string) (GuestUsage, error)
}

// DomainStats is what libvirt counts of a domain, by its own names and in its own units: times are in nanoseconds, the
// balloon's sizes in KiB. What it does not tell is missing.
type DomainStats struct {
	ID, Name string
	// Values are those of the whole, such as state.state, cpu.time, vcpu.current and balloon.rss.
	Values map[string]float64
	// VCPUs are by number, with values such as time; one that is not plugged has a state at most.
	VCPUs []map[string]float64
	Disks []DeviceStats
	Cards []DeviceStats
}

// DeviceStats is what is counted of a disk, by its target such as vda, or of a card, by its device on the host.
type DeviceStats struct {
	Name string
	// Layer is more than 0 for the backing files of a disk.
	Layer  int
	Values map[string]float64
}

// PoolStats is how full a pool is, in bytes.
type PoolStats struct {
	Name                                       string
	CapacityBytes, AllocationBytes, AvailBytes uint64
}

// GuestUsage is what a guest's agent tells of its resources.
type GuestUsage struct {
	// Answered says that there is an agent, and that it knows of file systems.
	Answered    bool
	Filesystems []GuestFilesystem
	// Load is over 1, 5 and 15 minutes; nil where the agent does not know.
	Load []float64
}

// GuestFilesystem is a file system in a guest. Sizes are in bytes.
type GuestFilesystem struct {
	MountPoint, Device, Type string
	TotalBytes, UsedBytes    uint64
}
