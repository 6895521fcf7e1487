package hypervisor

import (
	"cmp"
	"fmt"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// spinlockRetries is what Microsoft recommends.
const spinlockRetries = 8191

// GuestCPU is the host's own processor where the accelerator passes it through, else all that emulation offers.
func GuestCPU(accelerator string) *libvirtxml.DomainCPU {
	switch accelerator {
	case AcceleratorKVM:
		return &libvirtxml.DomainCPU{Mode: vm.CPUPassthrough, Check: "none", Migratable: "on"}
	case AcceleratorQEMU:
		return &libvirtxml.DomainCPU{Mode: vm.CPUMaximum, Check: "none"}
	default:
		return nil
	}
}

func (t *Template) cpu(def *VMDefinition) *libvirtxml.DomainCPU {
	cpu := t.processor(def)
	topology, numa := topology(def), cells(def)
	if cpu == nil && (topology != nil || numa != nil) {
		cpu = &libvirtxml.DomainCPU{}
	}
	if cpu != nil {
		cpu.Topology, cpu.Numa = topology, numa
	}
	return cpu
}

// processor is the kind that was asked for, or the best: what can be moved between the hosts of the cluster where the machine
// shall be, else what the host has.
func (t *Template) processor(def *VMDefinition) *libvirtxml.DomainCPU {
	switch def.CPU.Mode {
	case vm.CPUCustom:
		return namedCPU(def.CPU.Model)
	case vm.CPUPassthrough:
		return GuestCPU(AcceleratorKVM)
	case vm.CPUMaximum:
		return GuestCPU(AcceleratorQEMU)
	case vm.CPUHostModel:
		return &libvirtxml.DomainCPU{Mode: vm.CPUHostModel, Check: "partial"}
	}
	switch guest := t.Host.Guest; {
	case t.Accelerator == AcceleratorKVM && t.CPUBaseline != "" && def.EvacuationPolicy == vm.EvacuateMigrate:
		return namedCPU(t.CPUBaseline)
	case t.Accelerator == AcceleratorKVM && guest != nil && !guest.Migratable:
		return &libvirtxml.DomainCPU{Mode: vm.CPUHostModel, Check: "partial"}
	}
	return GuestCPU(t.Accelerator)
}

func namedCPU(model string) *libvirtxml.DomainCPU {
	return &libvirtxml.DomainCPU{Mode: vm.CPUCustom, Match: "exact", Check: "none",
		Model: &libvirtxml.DomainCPUModel{Value: model, Fallback: "forbid"}}
}

func topology(def *VMDefinition) *libvirtxml.DomainCPUTopology {
	c := def.CPU
	if c.Sockets == 0 {
		return nil
	}
	return &libvirtxml.DomainCPUTopology{Sockets: c.Sockets, Dies: c.Dies, Cores: c.Cores, Threads: c.Threads}
}

// cells are the NUMA cells; memory that can be added needs one even where none was asked for.
func cells(def *VMDefinition) *libvirtxml.DomainNuma {
	asked := def.CPU.NUMA
	if len(asked) == 0 && def.Memory.MaxMB > 0 {
		asked = []vm.NUMACell{{CPUs: fmt.Sprintf("0-%d", maxCPUs(def)-1), MemoryMB: def.MemoryMB}}
	}
	if len(asked) == 0 {
		return nil
	}
	numa := &libvirtxml.DomainNuma{}
	for i, cell := range asked {
		id := uint(i)
		numa.Cell = append(numa.Cell, libvirtxml.DomainCell{ID: &id, CPUs: cell.CPUs, Memory: uint(cell.MemoryMB), Unit: "MiB"})
	}
	return numa
}

func numaTune(def *VMDefinition) *libvirtxml.DomainNUMATune {
	var nodes []libvirtxml.DomainNUMATuneMemNode
	for i, cell := range def.CPU.NUMA {
		if cell.HostNodes != "" {
			nodes = append(nodes, libvirtxml.DomainNUMATuneMemNode{CellID: uint(i), Mode: "strict", Nodeset: cell.HostNodes})
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return &libvirtxml.DomainNUMATune{MemNodes: nodes}
}

func maxCPUs(def *VMDefinition) int { return max(def.CPUs, def.CPU.Max) }

func vcpus(def *VMDefinition) *libvirtxml.DomainVCPU {
	v := &libvirtxml.DomainVCPU{Value: uint(maxCPUs(def))}
	if def.CPU.Max > def.CPUs {
		v.Current = uint(def.CPUs)
	}
	return v
}

func cpuTune(def *VMDefinition) *libvirtxml.DomainCPUTune {
	if len(def.CPU.Pinning) == 0 && def.CPU.EmulatorCPUs == "" {
		return nil
	}
	tune := &libvirtxml.DomainCPUTune{}
	for _, pin := range def.CPU.Pinning {
		tune.VCPUPin = append(tune.VCPUPin, libvirtxml.DomainCPUTuneVCPUPin{VCPU: uint(pin.VCPU), CPUSet: pin.HostCPUs})
	}
	slices.SortFunc(tune.VCPUPin, func(a, b libvirtxml.DomainCPUTuneVCPUPin) int { return cmp.Compare(a.VCPU, b.VCPU) })
	if def.CPU.EmulatorCPUs != "" {
		tune.EmulatorPin = &libvirtxml.DomainCPUTuneEmulatorPin{CPUSet: def.CPU.EmulatorCPUs}
	}
	return tune
}

func initialMemory(def *VMDefinition) *libvirtxml.DomainCurrentMemory {
	if def.Memory.InitialMB == 0 {
		return nil
	}
	return &libvirtxml.DomainCurrentMemory{Value: uint(def.Memory.InitialMB), Unit: "MiB"}
}

func maximumMemory(def *VMDefinition) *libvirtxml.DomainMaxMemory {
	if def.Memory.MaxMB == 0 {
		return nil
	}
	return &libvirtxml.DomainMaxMemory{Value: uint(def.Memory.MaxMB), Unit: "MiB", Slots: uint(def.Memory.Slots)}
}

func memoryBacking(def *VMDefinition) *libvirtxml.DomainMemoryBacking {
	m := def.Memory
	if m.HugePages == "" && !m.Locked {
		return nil
	}
	backing := &libvirtxml.DomainMemoryBacking{}
	if m.HugePages != "" {
		backing.MemoryHugePages = &libvirtxml.DomainMemoryHugepages{Hugepages: []libvirtxml.DomainMemoryHugepage{
			{Size: uint(vm.HugePageKiB(m.HugePages)), Unit: "KiB"}}}
	}
	if m.Locked {
		backing.MemoryLocked = &libvirtxml.DomainMemoryLocked{}
	}
	return backing
}

// hyperV are the enlightenments that the host offers, each with what it depends on.
func (t *Template) hyperV(def *VMDefinition) *libvirtxml.DomainFeatureHyperV {
	if !vm.On(def.HyperV) || t.Host.Guest == nil || t.Accelerator != AcceleratorKVM {
		return nil
	}
	has := enlightenments(t.Host.Guest.HyperV, def.System().Windows)
	if len(has) == 0 {
		return nil
	}
	on := func(name string) *libvirtxml.DomainFeatureState {
		if !has[name] {
			return nil
		}
		return &libvirtxml.DomainFeatureState{State: "on"}
	}
	h := &libvirtxml.DomainFeatureHyperV{Relaxed: on("relaxed"), VAPIC: on("vapic"), VPIndex: on("vpindex"), Runtime: on("runtime"),
		Synic: on("synic"), Frequencies: on("frequencies"), IPI: on("ipi")}
	if state := on("spinlocks"); state != nil {
		h.Spinlocks = &libvirtxml.DomainFeatureHyperVSpinlocks{DomainFeatureState: *state, Retries: spinlockRetries}
	}
	if state := on("stimer"); state != nil {
		h.STimer = &libvirtxml.DomainFeatureHyperVSTimer{DomainFeatureState: *state}
	}
	if state := on("tlbflush"); state != nil {
		h.TLBFlush = &libvirtxml.DomainFeatureHyperVTLBFlush{DomainFeatureState: *state}
	}
	return h
}

// enlightenments are those offered whose foundations are there too. The timer needs the Hyper-V clock besides.
func enlightenments(offered []string, clock bool) map[string]bool {
	has := map[string]bool{}
	for _, e := range []struct{ name, needs string }{
		{"relaxed", ""}, {"vapic", ""}, {"spinlocks", ""}, {"vpindex", ""}, {"runtime", ""}, {"synic", "vpindex"},
		{"stimer", "synic"}, {"frequencies", ""}, {"tlbflush", "vpindex"}, {"ipi", "vpindex"},
	} {
		if slices.Contains(offered, e.name) && (e.needs == "" || has[e.needs]) && (e.name != "stimer" || clock) {
			has[e.name] = true
		}
	}
	return has
}
