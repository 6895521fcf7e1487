package vm

import (
	"fmt"
	"math/bits"
)

// firmware checks what firmware, trusted start and encrypted memory need of each other.
func (c *checker) firmware(def Definition) {
	c.oneOf("firmware", def.Firmware, []string{FirmwareBIOS, FirmwareUEFI})
	uefi := def.Firmware == FirmwareUEFI
	switch {
	case uefi && def.Arch == "i686":
		c.add("firmware", def.Firmware, "bios on a 32-bit CPU", "use bios, or arch x86_64")
	case uefi && (def.Arch == "ppc64" || def.Arch == "s390x"):
		c.add("firmware", def.Firmware, "bios on "+def.Arch, "leave it out")
	case !uefi && def.Firmware != defaultFirmware(def.Arch, def.System()) && defaultFirmware(def.Arch, def.System()) == FirmwareUEFI:
		c.add("firmware", def.Firmware, "uefi for "+def.OSType+" "+def.OSVersion+" on "+def.Arch, "use uefi")
	}
	trusted := uefi && IsQ35(def.Machine)
	if On(def.SecureBoot) && !trusted {
		c.add("secureBoot", true, "false unless the firmware is uefi and the machine q35", "use firmware uefi and machine q35")
	}
	if !On(def.SecureBoot) && def.System().SecureBoot && trusted {
		c.add("secureBoot", false, "true for "+def.OSType+" "+def.OSVersion, "leave it out")
	}
	c.oneOf("tpm", def.TPM, []string{TPM2, TPMNone, TPMAuto})
	if def.System().TPM && def.TPM == TPMNone {
		c.add("tpm", def.TPM, TPM2+" for "+def.OSType+" "+def.OSVersion, "leave it out")
	}
	c.oneOf("clock", def.Clock, []string{ClockUTC, ClockLocal})
	c.sev(def)
}

func (c *checker) sev(def Definition) {
	c.oneOf("launchSecurity", def.LaunchSecurity, []string{"none", LaunchSEV})
	ready := def.Firmware == FirmwareUEFI && IsQ35(def.Machine) && def.Memory.Locked
	if def.LaunchSecurity == LaunchSEV && !ready {
		c.add("launchSecurity", def.LaunchSecurity, "none unless the firmware is uefi, the machine q35 and the memory locked",
			"use firmware uefi, machine q35 and memory.locked true")
	}
}

func (c *checker) cpu(def Definition) {
	cpu, total := def.CPU, max(def.CPUs, def.CPU.Max)
	if cpu.Mode != "" {
		c.oneOf("cpu.mode", cpu.Mode, cpuModes())
	}
	switch {
	case cpu.Mode == CPUCustom && cpu.Model == "":
		c.add("cpu.model", cpu.Model, "a processor model with mode custom", "give a model, or leave out the mode")
	case cpu.Mode != CPUCustom && cpu.Model != "":
		c.add("cpu.model", cpu.Model, "no model with mode "+cpu.Mode, "use mode custom, or leave out the model")
	case cpu.Model != "":
		c.thing("cpu.model", cpu.Model)
	}
	if cpu.Max != 0 {
		c.between("cpu.max", cpu.Max, max(def.CPUs, 1), MaxCPUs, "", "give at least cpus, or leave it out")
	}
	if limit := def.System().MaxCPUs; limit > 0 && total > limit {
		c.add("cpus", total, fmt.Sprintf("at most %d, which is what %s can use", limit, def.OSType), "ask for fewer")
	}
	c.topology(cpu, total)
	c.pinning(def, total)
}

func (c *checker) topology(cpu CPU, total int) {
	if cpu.Sockets == 0 {
		return
	}
	before, product := len(c.faults), 1
	for _, part := range []struct {
		path string
		n    int
	}{{"cpu.sockets", cpu.Sockets}, {"cpu.dies", cpu.Dies}, {"cpu.cores", cpu.Cores}, {"cpu.threads", cpu.Threads}} {
		c.between(part.path, part.n, 1, MaxCPUs, "", "give a number, or leave it out")
		product *= min(max(part.n, 0), MaxCPUs+1)
	}
	if len(c.faults) == before && product != total {
		c.add("cpu", fmt.Sprintf("%d sockets x %d dies x %d cores x %d threads = %d", cpu.Sockets, cpu.Dies, cpu.Cores, cpu.Threads, product),
			fmt.Sprintf("a product of %d, the number of CPUs", total), "change one of them, or leave some out")
	}
}

// pinning checks which CPUs of the host a machine is tied to, as far as that is possible without the host.
func (c *checker) pinning(def Definition, total int) {
	seen, hosts := map[int]bool{}, map[int]bool{}
	if len(def.CPU.Pinning) > MaxCPUs {
		c.add("cpu.pinning", fmt.Sprintf("%d entries", len(def.CPU.Pinning)), fmt.Sprintf("at most %d", MaxCPUs), "remove some")
		return
	}
	for i, pin := range def.CPU.Pinning {
		path := fmt.Sprintf("cpu.pinning[%d]", i)
		c.between(path+".vcpu", pin.VCPU, 0, max(total-1, 0), "", "count virtual CPUs from 0")
		if seen[pin.VCPU] {
			c.add(path+".vcpu", pin.VCPU, "each virtual CPU once", "put its host CPUs into one entry")
		}
		seen[pin.VCPU] = true
		set := c.set(path+".hostCPUs", pin.HostCPUs)
		if !def.CPU.Dedicated || set == nil {
			continue
		}
		if len(set) != 1 || hosts[set[0]] {
			c.add(path+".hostCPUs", pin.HostCPUs, "one CPU of its own with dedicated CPUs", "give each virtual CPU a different host CPU")
		}
		hosts[set[0]] = true
	}
	c.dedicated(def, len(seen), total)
}

func (c *checker) dedicated(def Definition, pinned, total int) {
	cpu := def.CPU
	if cpu.EmulatorCPUs != "" {
		c.set("cpu.emulatorCPUs", cpu.EmulatorCPUs)
		if !cpu.Dedicated {
			c.add("cpu.emulatorCPUs", cpu.EmulatorCPUs, "empty without dedicated CPUs", "use cpu.dedicated true, or leave it out")
		}
	}
	if !cpu.Dedicated {
		return
	}
	if pinned > 0 && pinned < total {
		c.add("cpu.pinning", fmt.Sprintf("%d pins", pinned), fmt.Sprintf("with dedicated CPUs a pin for each of the %d CPUs, or none", total),
			"pin them all, or leave the choice to the cluster")
	}
	if cpu.Max > def.CPUs {
		c.add("cpu.max", cpu.Max, fmt.Sprintf("%d with dedicated CPUs: what is reserved is the limit", def.CPUs), "leave it out")
	}
	if cpu.Threads > 2 {
		c.add("cpu.threads", cpu.Threads, "at most 2 with dedicated CPUs", "use 1 or 2")
	}
}

// set checks a set of CPUs or nodes; nil where it is none.
func (c *checker) set(path, text string) []int {
	set, err := ParseSet(text)
	if err != nil {
		c.add(path, text, "a set of numbers below 4096, such as 0-3,^2,8", "write it like that")
	}
	return set
}

func (c *checker) numa(def Definition) {
	total, sum := max(def.CPUs, def.CPU.Max), 0
	cellOf := map[int]int{}
	if len(def.CPU.NUMA) > MaxCPUs {
		c.add("cpu.numa", fmt.Sprintf("%d cells", len(def.CPU.NUMA)), fmt.Sprintf("at most %d", MaxCPUs), "remove some")
		return
	}
	for i, cell := range def.CPU.NUMA {
		path := fmt.Sprintf("cpu.numa[%d]", i)
		c.between(path+".memoryMB", cell.MemoryMB, 1, MaxMemoryMB, " MiB", "give the cell's part of the memory")
		sum += min(max(cell.MemoryMB, 0), MaxMemoryMB)
		if cell.HostNodes != "" {
			c.set(path+".hostNodes", cell.HostNodes)
		}
		c.cellCPUs(path+".cpus", cell.CPUs, i, total, cellOf)
	}
	if len(def.CPU.NUMA) == 0 {
		return
	}
	if len(cellOf) < min(total, MaxCPUs) {
		c.add("cpu.numa", fmt.Sprintf("%d of %d CPUs in cells", len(cellOf), total), "every virtual CPU in exactly one cell", "add those that are missing to a cell")
	}
	if sum != def.MemoryMB {
		c.add("cpu.numa", fmt.Sprintf("%d MiB in all cells", sum), fmt.Sprintf("%d MiB, the memory of the machine", def.MemoryMB), "change memoryMB of a cell")
	}
}

func (c *checker) cellCPUs(path, text string, cell, total int, cellOf map[int]int) {
	for _, cpu := range c.set(path, text) {
		if cpu >= total {
			c.add(path, text, fmt.Sprintf("virtual CPUs 0 to %d", total-1), "count virtual CPUs from 0")
			return
		}
		if other, taken := cellOf[cpu]; taken {
			c.add(path, text, "every virtual CPU in exactly one cell", fmt.Sprintf("CPU %d is in cell %d already: remove it from one of them", cpu, other))
			return
		}
		cellOf[cpu] = cell
	}
}

func (c *checker) memory(def Definition) {
	m := def.Memory
	if m.InitialMB != 0 {
		c.between("memory.initialMB", m.InitialMB, MinMemoryMB, def.MemoryMB, " MiB", "give at most memoryMB, or leave it out")
		if !On(m.Balloon) {
			c.add("memory.initialMB", m.InitialMB, "empty without a balloon", "leave out memory.balloon")
		}
	}
	if m.HugePages != "" {
		c.hugePages(def)
	}
	if m.Locked && m.HugePages == "" {
		c.add("memory.hugePages", m.HugePages, "a page size with locked memory", "give one of "+pageSizes(def.Arch)+", such as "+smallestHugePage(def.Arch))
	}
	if m.MaxMB == 0 && m.Slots > 0 {
		c.add("memory.slots", m.Slots, "empty without memory.maxMB", "give memory.maxMB, or leave it out")
	}
	if m.MaxMB == 0 {
		return
	}
	c.between("memory.maxMB", m.MaxMB, def.MemoryMB, MaxMemoryMB, " MiB", "give at least memoryMB, or leave it out")
	c.between("memory.slots", m.Slots, 1, MaxSlots, "", "give fewer")
	if def.MemoryMB < MinHotplugMB {
		c.add("memoryMB", def.MemoryMB, fmt.Sprintf("at least %d MiB where memory can be added", MinHotplugMB), "ask for more, or leave out memory.maxMB")
	}
}

func (c *checker) hugePages(def Definition) {
	kib := HugePageKiB(def.Memory.HugePages)
	if !bitsSet(hugePageKiBs(def.Arch), kib) {
		c.add("memory.hugePages", def.Memory.HugePages, "one of "+pageSizes(def.Arch)+" on "+def.Arch, "choose one of them")
		return
	}
	if def.MemoryMB*1024%kib != 0 {
		c.add("memoryMB", def.MemoryMB, "a multiple of the page size "+def.Memory.HugePages, "round it up, or use smaller pages")
	}
	for i, cell := range def.CPU.NUMA {
		if cell.MemoryMB*1024%kib != 0 {
			c.add(fmt.Sprintf("cpu.numa[%d].memoryMB", i), cell.MemoryMB, "a multiple of the page size "+def.Memory.HugePages, "round it up, or use smaller pages")
		}
	}
	if len(def.CPU.NUMA) == 0 {
		c.add("cpu.numa", "empty", "at least one cell with hugepages",
			fmt.Sprintf("add {cpus: \"0-%d\", memoryMB: %d}", max(def.CPUs, def.CPU.Max, 1)-1, def.MemoryMB))
	}
}

// bitsSet tells whether one power of two is among those that a mask adds up.
func bitsSet(mask uint64, n int) bool {
	return n > 0 && bits.OnesCount64(uint64(n)) == 1 && mask&uint64(n) != 0
}
