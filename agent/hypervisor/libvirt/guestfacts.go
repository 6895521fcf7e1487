//go:build cgo && libvirt_dlopen

package libvirt

import (
	"slices"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// memoryFacts reads the host's NUMA nodes and its large pages.
func memoryFacts(facts *hypervisor.HostFacts, caps libvirtxml.Caps) {
	if caps.Host.NUMA == nil || caps.Host.NUMA.Cells == nil {
		return
	}
	facts.HugePages = map[int]int{}
	for _, cell := range caps.Host.NUMA.Cells.Cells {
		facts.NUMANodes = append(facts.NUMANodes, cell.ID)
		for _, page := range cell.PageInfo {
			if page.Size > 4 {
				facts.HugePages[page.Size] += int(page.Count)
			}
		}
	}
}

// withGuestFacts adds what libvirt's domain capabilities offer. BIOS is part of every PC; where libvirt cannot tell
// more, nothing more is known.
func withGuestFacts(conn *lv.Connect, facts hypervisor.HostFacts) hypervisor.HostFacts {
	facts.Firmwares = []string{"bios"}
	text, err := conn.GetDomainCapabilities("", facts.Arch, defaultMachine(facts), facts.Accelerator, 0)
	if err != nil {
		return facts
	}
	var caps libvirtxml.DomainCaps
	if caps.Unmarshal(text) != nil || caps.OS == nil {
		return facts
	}
	if offers(caps.OS.Enums, "firmware", "efi") {
		facts.Firmwares = append(facts.Firmwares, "uefi")
	}
	facts.Guest = guestFacts(caps)
	if maxBits := physAddrBits(caps); maxBits > 0 {
		facts.PhysAddrBits = maxBits
	}
	return facts
}

// defaultMachine is the type whose capabilities we ask for: the one that definitions take.
func defaultMachine(facts hypervisor.HostFacts) string {
	if _, ok := facts.MachineAliases["q35"]; ok {
		return "q35"
	}
	return ""
}

func guestFacts(caps libvirtxml.DomainCaps) *hypervisor.GuestFacts {
	g := &hypervisor.GuestFacts{SecureBoot: secureBoot(caps.OS)}
	if caps.VCPU != nil {
		g.MaxCPUs = int(caps.VCPU.Max)
	}
	processors(g, caps.CPU)
	if d := caps.Devices; d != nil {
		g.TPM = device(d.TPM) && offers(d.TPM.Enums, "backendModel", "emulator")
		g.VNC = device(d.Graphics) && offers(d.Graphics.Enums, "type", "vnc")
		if device(d.Video) {
			g.VideoModels = values(d.Video.Enums, "modelType")
		}
		if device(d.Disk) {
			g.DiskBuses = values(d.Disk.Enums, "bus")
		}
	}
	if f := caps.Features; f != nil {
		if f.HyperV != nil && f.HyperV.Supported == "yes" {
			g.HyperV = values(f.HyperV.Enums, "features")
		}
		if f.SEV != nil && f.SEV.Supported == "yes" {
			g.SEV = &hypervisor.SEVFacts{CBitPos: f.SEV.CBitPos, ReducedPhysBits: f.SEV.ReducedPhysBits}
		}
	}
	return g
}

func device(d *libvirtxml.DomainCapsDevice) bool { return d != nil && d.Supported == "yes" }

// processors reads the modes, and of the named models those that run here.
func processors(g *hypervisor.GuestFacts, cpu *libvirtxml.DomainCapsCPU) {
	if cpu == nil {
		return
	}
	for _, mode := range cpu.Modes {
		if mode.Supported != "yes" {
			continue
		}
		g.CPUModes = append(g.CPUModes, mode.Name)
		if mode.Name == "host-passthrough" {
			g.Migratable = offers(mode.Enums, "hostPassthroughMigratable", "on")
		}
		if mode.Name != "custom" {
			continue
		}
		for _, model := range mode.Models {
			if model.Usable != "no" {
				g.CPUModels = append(g.CPUModels, model.Name)
			}
		}
	}
	slices.Sort(g.CPUModels)
}

// physAddrBits is the width of addresses that the host's processor passes through; 0 where libvirt does not tell.
func physAddrBits(caps libvirtxml.DomainCaps) int {
	if caps.CPU == nil {
		return 0
	}
	for _, mode := range caps.CPU.Modes {
		if mode.MaxPhysAddr != nil && mode.MaxPhysAddr.Limit > 0 {
			return int(mode.MaxPhysAddr.Limit)
		}
	}
	return 0
}

// secureBoot tells whether there is a firmware that libvirt can choose for it.
func secureBoot(os *libvirtxml.DomainCapsOS) bool {
	return os.Loader != nil && os.Loader.Supported == "yes" && offers(os.Enums, "firmware", "efi") && offers(os.Loader.Enums, "secure", "yes")
}

func offers(enums []libvirtxml.DomainCapsEnum, name, value string) bool {
	return slices.Contains(values(enums, name), value)
}

func values(enums []libvirtxml.DomainCapsEnum, name string) []string {
	for _, e := range enums {
		if e.Name == name {
			return e.Values
		}
	}
	return nil
}
