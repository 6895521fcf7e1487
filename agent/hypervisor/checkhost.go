package hypervisor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/novacron/novacron/vm"
)

// The oldest QEMU and libvirt that understand what we write.
const (
	minQEMU    = "6.0.0"
	minLibvirt = "8.0.0"
)

// CheckHost tells everything that a definition asks for and a host does not have, at once, as vm.Faults. Facts that a
// driver cannot tell, such as an empty list of machine types, refuse nothing.
func CheckHost(def *VMDefinition, facts HostFacts) error { return hostFaults(def, facts).Err() }

// HostWarnings tells what may not work out on a host in the long run: volumes that could outgrow their pool.
func HostWarnings(def *VMDefinition, facts HostFacts) vm.Warnings {
	normal := vm.Normalise(*def, vm.Defaults{})
	c := &hostCheck{def: &normal, facts: facts}
	c.space(false)
	return c.faults
}

func hostFaults(def *VMDefinition, facts HostFacts) vm.Faults {
	normal := vm.Normalise(*def, vm.Defaults{})
	c := &hostCheck{def: &normal, facts: facts}
	c.versions()
	c.size()
	if normal.Arch == facts.Arch || facts.Arch == "" {
		c.machine()
	}
	c.processor()
	c.memory()
	c.trust()
	c.disks()
	c.space(true)
	c.nics()
	c.devices()
	return c.faults
}

type hostCheck struct {
	def    *VMDefinition
	facts  HostFacts
	faults vm.Faults
}

func (c *hostCheck) add(path, value, limit, wayOut string) {
	c.faults = append(c.faults, vm.Fault{Path: path, Value: value, Limit: limit, WayOut: wayOut})
}

func (c *hostCheck) atMost(path string, value, limit int, what string) {
	if value > limit && limit > 0 {
		c.add(path, fmt.Sprint(value), fmt.Sprintf("the %d %s", limit, what), "ask for less, or choose a larger host")
	}
}

// oneOf checks against what the host has; nothing known refuses nothing.
func (c *hostCheck) oneOf(path, value string, have []string) {
	if len(have) == 0 || slices.Contains(have, value) {
		return
	}
	has := strings.Join(slices.DeleteFunc(slices.Clone(have), func(s string) bool { return s == "" }), ", ")
	if has == "" {
		has = "none"
	}
	c.add(path, fmt.Sprintf("%q", value), "what the host has: "+has, "choose another, or make it on the host")
}

func (c *hostCheck) versions() {
	if !atLeast(c.facts.HypervisorVersion, minQEMU) && c.facts.Driver == "libvirt" && c.facts.Arch != "" {
		c.add("host", "QEMU "+c.facts.HypervisorVersion, "QEMU "+minQEMU+" or newer", "upgrade QEMU on the host, or choose another host")
	}
	if !atLeast(c.facts.LibvirtVersion, minLibvirt) {
		c.add("host", "libvirt "+c.facts.LibvirtVersion, "libvirt "+minLibvirt+" or newer", "upgrade libvirt on the host, or choose another host")
	}
}

func (c *hostCheck) size() {
	c.atMost("cpus", maxCPUs(c.def), c.facts.CPUs, "logical CPUs of the host")
	c.atMost("memoryMB", c.def.MemoryMB, c.facts.MemoryMB, "MiB of the host's memory")
	if c.facts.Guest != nil {
		c.atMost("cpus", maxCPUs(c.def), c.facts.Guest.MaxCPUs, "CPUs that the hypervisor gives one guest")
	}
	if c.def.Arch != c.facts.Arch && c.facts.Arch != "" {
		c.add("arch", c.def.Arch, c.facts.Arch, "choose a host of that architecture")
	}
}

// machine checks the type; of one that is newer than everything here it says so.
func (c *hostCheck) machine() {
	machine := c.def.Machine
	if _, alias := c.facts.MachineAliases[machine]; alias || len(c.facts.MachineTypes) == 0 || slices.Contains(c.facts.MachineTypes, machine) {
		return
	}
	newest := ""
	var family []string
	for _, m := range c.facts.MachineTypes {
		if vm.MachineFamily(m) != vm.MachineFamily(machine) {
			continue
		}
		if family = append(family, m); vm.CompareMachines(m, newest) > 0 {
			newest = m
		}
	}
	if newest != "" && vm.CompareMachines(machine, newest) > 0 {
		c.add("machine", machine, "at most "+newest+", the newest of QEMU "+c.facts.HypervisorVersion,
			"leave out the version, upgrade QEMU on the host, or choose another host")
		return
	}
	if len(family) == 0 {
		family = slices.Sorted(maps.Keys(c.facts.MachineAliases))
	}
	c.oneOf("machine", machine, append(family, ""))
}

func (c *hostCheck) processor() {
	cpu := c.def.CPU
	if cpu.Mode == vm.CPUPassthrough && c.facts.Accelerator == AcceleratorQEMU {
		c.add("cpu.mode", fmt.Sprintf("%q", cpu.Mode), "what software emulation has: "+vm.CPUMaximum+" or a model", "leave it out, or choose a host with KVM")
	}
	if g := c.facts.Guest; g != nil {
		if cpu.Mode != "" && c.facts.Accelerator != AcceleratorQEMU || cpu.Mode == vm.CPUHostModel {
			c.oneOf("cpu.mode", cpu.Mode, g.CPUModes)
		}
		if cpu.Mode == vm.CPUCustom {
			c.model(cpu.Model, g.CPUModels)
		}
	}
	if cpu.Dedicated && len(cpu.Pinning) == 0 {
		c.add("cpu.dedicated", "true", "a pin for each CPU, which the cluster chooses when it places the machine", "give cpu.pinning where no cluster does")
	}
	for i, pin := range cpu.Pinning {
		c.hostCPUs(fmt.Sprintf("cpu.pinning[%d].hostCPUs", i), pin.HostCPUs)
	}
	if cpu.EmulatorCPUs != "" {
		c.hostCPUs("cpu.emulatorCPUs", cpu.EmulatorCPUs)
	}
	for i, cell := range cpu.NUMA {
		c.hostNodes(fmt.Sprintf("cpu.numa[%d].hostNodes", i), cell.HostNodes)
	}
}

func (c *hostCheck) model(model string, have []string) {
	if len(have) > 0 && !slices.Contains(have, model) {
		c.add("cpu.model", model, fmt.Sprintf("one of the %d models that run here, such as %s", len(have), have[len(have)-1]),
			"see virsh domcapabilities, or choose another host")
	}
}

func (c *hostCheck) hostCPUs(path, text string) {
	set, err := vm.ParseSet(text)
	if err == nil && c.facts.CPUs > 0 && set[len(set)-1] >= c.facts.CPUs {
		c.add(path, text, fmt.Sprintf("CPUs 0 to %d of the host", c.facts.CPUs-1), "choose others, or a larger host")
	}
}

func (c *hostCheck) hostNodes(path, text string) {
	set, err := vm.ParseSet(text)
	if text == "" || err != nil || c.facts.NUMANodes == nil {
		return
	}
	for _, node := range set {
		if !slices.Contains(c.facts.NUMANodes, node) {
			c.add(path, text, fmt.Sprintf("NUMA nodes of the host: %v", c.facts.NUMANodes), "choose others, or leave it out")
			return
		}
	}
}

func (c *hostCheck) memory() {
	m := c.def.Memory
	if kib := vm.HugePageKiB(m.HugePages); kib > 0 && c.facts.HugePages != nil {
		if have := c.facts.HugePages[kib]; have*kib < c.def.MemoryMB*1024 {
			c.add("memory.hugePages", fmt.Sprintf("%d of %s", c.def.MemoryMB*1024/kib, m.HugePages), fmt.Sprintf("the %d pages of that size on the host", have),
				"reserve more pages on the host, or choose another size")
		}
	}
	if bits := c.facts.PhysAddrBits; bits > 20 && m.MaxMB>>(bits-20) > 0 {
		c.add("memory.maxMB", fmt.Sprint(m.MaxMB), fmt.Sprintf("%d MiB, which %d address bits reach", 1<<(bits-20), bits), "ask for less, or choose another host")
	}
}

// trust checks firmware, trusted start, TPM and encrypted memory.
func (c *hostCheck) trust() {
	c.oneOf("firmware", c.def.Firmware, c.facts.Firmwares)
	sev := c.def.LaunchSecurity == vm.LaunchSEV
	if sev && c.facts.Accelerator == AcceleratorQEMU {
		c.add("launchSecurity", c.def.LaunchSecurity, "none under software emulation", "choose a host with KVM")
	}
	g := c.facts.Guest
	if g == nil {
		return
	}
	if vm.On(c.def.SecureBoot) && !g.SecureBoot {
		c.add("secureBoot", "true", "false: the host has no firmware for it", "install one on the host, such as the package ovmf, or choose another host")
	}
	if c.def.TPM == vm.TPM2 && !g.TPM {
		c.add("tpm", c.def.TPM, "none: the host has no emulator of TPM 2.0", "install swtpm on the host, or choose another host")
	}
	if sev && g.SEV == nil && c.facts.Accelerator != AcceleratorQEMU {
		c.add("launchSecurity", c.def.LaunchSecurity, "none: the host's processor or firmware has no SEV", "choose another host")
	}
}

func (c *hostCheck) devices() {
	d := c.def.Devices
	if g := c.facts.Guest; g != nil && d.Graphics == vm.GraphicsVNC && !g.VNC {
		c.add("devices.graphics", d.Graphics, "none: the host's QEMU has no VNC", "leave it out, or choose another host")
	}
	if c.facts.HostDevices == nil {
		return
	}
	for i, h := range d.HostDevices {
		path, value := fmt.Sprintf("devices.hostDevices[%d].pci", i), h.PCI
		if h.USB != "" {
			path, value = fmt.Sprintf("devices.hostDevices[%d].usb", i), h.USB
		}
		if !slices.Contains(c.facts.HostDevices, value) {
			c.add(path, value, fmt.Sprintf("one of the host's %d devices", len(c.facts.HostDevices)), "see lspci -D and lsusb on the host, or choose another host")
		}
	}
}
