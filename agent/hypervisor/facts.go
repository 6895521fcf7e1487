package hypervisor

import (
	"slices"
	"strconv"
	"strings"
)

// HostFacts is what the host can do, as the hypervisor tells it.
type HostFacts struct {
	// Driver is "libvirt" or "fake".
	Driver string
	Arch   string
	// CPUs are logical ones, MemoryMB is in MiB.
	CPUs     int
	MemoryMB int
	CPUModel string
	// CPUSignature is the same on hosts with the same processor; empty means unknown.
	CPUSignature string
	// PhysAddrBits is the width of the processor's physical addresses; 0 means unknown.
	PhysAddrBits int
	// NUMANodes are the host's, HugePages how many pages there are of a size in KiB. Nil means unknown.
	NUMANodes []int
	// CPUNodes are the processors by NUMA node; nil means unknown.
	CPUNodes  []CPUNode
	HugePages map[int]int
	Pools     []PoolFacts
	// Networks are active libvirt networks, Bridges those of the host, NetworkFilters libvirt's. Nil means unknown.
	Networks       []string
	Bridges        []string
	NetworkFilters []string
	// BridgeMTUs are in bytes.
	BridgeMTUs map[string]int
	// HostDevices are addresses such as 0000:3b:00.0 and products such as 046d:c52b. Nil means unknown.
	HostDevices []string
	// MachineTypes are versioned types and aliases of the host's architecture.
	MachineTypes []string
	// MachineAliases maps an alias such as q35 to the versioned type that it means here.
	MachineAliases map[string]string
	// Firmwares are "bios" and, where installed, "uefi".
	Firmwares []string
	// Accelerator is "kvm" or "qemu": what was seen to run a guest.
	Accelerator string
	// Guest is what the hypervisor offers its guests; nil means unknown.
	Guest *GuestFacts
	// HypervisorVersion and LibvirtVersion are dotted.
	HypervisorVersion string
	LibvirtVersion    string
}

// CPUNode is a NUMA node: its cores, each with the logical CPUs that share it.
type CPUNode struct {
	ID    int
	Cores [][]int
}

// OneNode is a host of which no more is known than how many logical CPUs it has: each counts as a core.
func OneNode(cpus int) []CPUNode {
	node := CPUNode{}
	for cpu := range cpus {
		node.Cores = append(node.Cores, []int{cpu})
	}
	return []CPUNode{node}
}

// GuestFacts is what libvirt's domain capabilities offer.
type GuestFacts struct {
	// MaxCPUs is for one guest; 0 means unknown.
	MaxCPUs int
	// CPUModes are those of libvirt, CPUModels the named ones that run here.
	CPUModes  []string
	CPUModels []string
	// Migratable says that a processor passed through can be left for another host.
	Migratable bool
	// HyperV are the enlightenments by libvirt's names.
	HyperV []string
	// SecureBoot, TPM and VNC say that they can be had.
	SecureBoot bool
	TPM        bool
	VNC        bool
	// VideoModels and DiskBuses are libvirt's names.
	VideoModels []string
	DiskBuses   []string
	// SEV is nil where the processor does not encrypt memory.
	SEV *SEVFacts
}

// SEVFacts are the parameters of encrypted memory.
type SEVFacts struct {
	CBitPos         uint
	ReducedPhysBits uint
}

// PoolFacts is one active storage pool. Sizes are in bytes.
type PoolFacts struct {
	Name string
	// Type is libvirt's, such as dir, logical or rbd.
	Type string
	// Path is the pool's folder, empty where it is none.
	Path          string
	CapacityBytes uint64
	FreeBytes     uint64
	// NoOvercommit refuses volumes that could outgrow the free space.
	NoOvercommit bool
}

// block tells a pool whose volumes are block devices of their full size.
func (p PoolFacts) block() bool {
	return slices.Contains([]string{"logical", "disk", "iscsi", "iscsi-direct", "mpath", "scsi"}, p.Type)
}

func (f HostFacts) pool(name string) PoolFacts {
	for _, p := range f.Pools {
		if p.Name == name {
			return p
		}
	}
	return PoolFacts{}
}

// atLeast compares dotted versions; an unknown one is new enough.
func atLeast(version, least string) bool {
	if version == "" {
		return true
	}
	return slices.Compare(versionOf(version), versionOf(least)) >= 0
}

// versionOf reads the numbers of a version such as 7.2 or rhel9.2.0.
func versionOf(text string) []int {
	var parts []int
	for part := range strings.SplitSeq(strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyz"), ".") {
		n, _ := strconv.Atoi(part)
		parts = append(parts, n)
	}
	return parts
}
