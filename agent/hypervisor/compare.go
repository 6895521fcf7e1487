package hypervisor

import (
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

// Differences names what differs between a definition and the XML of a domain.
func Differences(def *VMDefinition, text string) ([]string, error) {
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("read back %s: %w", def.Name, err)
	}
	normal := vm.Normalise(*def, vm.Defaults{})
	return compare(&normal, &d), nil
}

// compare names what differs between a definition and a domain: everything that was asked for and that libvirt tells.
// What the definition leaves to the host is not compared.
func compare(def *VMDefinition, d *libvirtxml.Domain) []string {
	c := &comparison{def: def, domain: d}
	c.differ("name", DomainName(def), d.Name)
	c.differ("UUID", def.UUID, d.UUID)
	c.compute()
	c.firmware()
	if d.Devices == nil {
		d.Devices = &libvirtxml.DomainDeviceList{}
	}
	c.differ("disks", wantedDisks(def), actualDisks(d))
	c.differ("MAC addresses", wantedMACs(def), actualMACs(d))
	c.nics()
	c.devices()
	return c.out
}

type comparison struct {
	def    *VMDefinition
	domain *libvirtxml.Domain
	out    []string
}

func (c *comparison) differ(what string, want, got any) {
	if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
		c.out = append(c.out, fmt.Sprintf("%s is %s instead of %s", what, g, w))
	}
}

func (c *comparison) compute() {
	def, d := c.def, c.domain
	if d.VCPU != nil {
		c.differ("cpus", ofMost(def.CPUs, maxCPUs(def)), ofMost(int(currentCPUs(d)), int(d.VCPU.Value)))
	}
	if d.Memory != nil {
		c.differ("memory in KiB", def.MemoryMB*1024, kibibytes(d.Memory.Value, d.Memory.Unit))
	}
	if len(def.CPU.Pinning) > 0 {
		c.differ("pins", describePins(cpuTune(def)), describePins(d.CPUTune))
	}
	if d.MaximumMemory != nil || def.Memory.MaxMB > 0 {
		c.differ("most memory in KiB", def.Memory.MaxMB*1024, mostMemory(d))
	}
	if cpu := d.CPU; cpu != nil {
		if want := topology(def); want != nil {
			c.differ("topology", *want, topologyOf(cpu))
		}
		if len(def.CPU.NUMA) > 0 {
			c.differ("NUMA cells", wantedCells(def), actualCells(cpu))
		}
		if def.CPU.Mode == vm.CPUPassthrough || def.CPU.Mode == vm.CPUMaximum {
			c.differ("processor", def.CPU.Mode, cpu.Mode)
		}
	}
	if def.Memory.HugePages != "" {
		c.differ("pages in KiB", vm.HugePageKiB(def.Memory.HugePages), pageSize(d))
	}
}

// describePins writes which CPUs of the host each virtual one is tied to, however the sets are spelt.
func describePins(tune *libvirtxml.DomainCPUTune) []string {
	if tune == nil {
		return nil
	}
	var list []string
	for _, pin := range tune.VCPUPin {
		set, _ := vm.ParseSet(pin.CPUSet)
		list = append(list, fmt.Sprintf("%d:%v", pin.VCPU, set))
	}
	slices.Sort(list)
	return list
}

// ofMost writes a number and how far it can grow.
func ofMost(n, most int) string {
	if most > n {
		return fmt.Sprintf("%d of at most %d", n, most)
	}
	return fmt.Sprint(n)
}

func currentCPUs(d *libvirtxml.Domain) uint {
	if d.VCPU.Current > 0 {
		return d.VCPU.Current
	}
	return d.VCPU.Value
}

func mostMemory(d *libvirtxml.Domain) uint {
	if d.MaximumMemory == nil {
		return 0
	}
	return kibibytes(d.MaximumMemory.Value, d.MaximumMemory.Unit)
}

func topologyOf(cpu *libvirtxml.DomainCPU) libvirtxml.DomainCPUTopology {
	if cpu.Topology == nil {
		return libvirtxml.DomainCPUTopology{}
	}
	got := *cpu.Topology
	// Older libvirts know no dies, newer ones clusters that nobody asked for.
	got.Dies, got.Clusters = max(got.Dies, 1), 0
	return got
}

func wantedCells(def *VMDefinition) []string {
	var list []string
	for _, cell := range def.CPU.NUMA {
		set, _ := vm.ParseSet(cell.CPUs)
		list = append(list, fmt.Sprintf("%v:%d", set, cell.MemoryMB*1024))
	}
	return list
}

func actualCells(cpu *libvirtxml.DomainCPU) []string {
	var list []string
	if cpu.Numa == nil {
		return nil
	}
	for _, cell := range cpu.Numa.Cell {
		set, _ := vm.ParseSet(cell.CPUs)
		list = append(list, fmt.Sprintf("%v:%d", set, kibibytes(cell.Memory, cell.Unit)))
	}
	return list
}

func pageSize(d *libvirtxml.Domain) uint {
	if d.MemoryBacking == nil || d.MemoryBacking.MemoryHugePages == nil || len(d.MemoryBacking.MemoryHugePages.Hugepages) == 0 {
		return 0
	}
	page := d.MemoryBacking.MemoryHugePages.Hugepages[0]
	return kibibytes(page.Size, page.Unit)
}

func (c *comparison) firmware() {
	d := c.domain
	if d.OS == nil {
		return
	}
	if c.def.Firmware == vm.FirmwareUEFI {
		c.differ("firmware", true, d.OS.Firmware == "efi" || d.OS.Loader != nil && d.OS.Loader.Type == "pflash")
		c.differ("secure boot", vm.On(c.def.SecureBoot), d.OS.Loader != nil && d.OS.Loader.Secure == "yes")
	}
	if d.OS.Type != nil && d.OS.Type.Arch != "" {
		c.differ("arch", c.def.Arch, d.OS.Type.Arch)
	}
	if d.OS.Type != nil && d.OS.Type.Machine != "" {
		c.differ("machine family", vm.MachineFamily(c.def.Machine), vm.MachineFamily(d.OS.Type.Machine))
	}
}

// kibibytes converts libvirt's memory sizes: it writes KiB, and remembers the unit it was given only in a test driver.
func kibibytes(value uint, unit string) uint {
	switch unit {
	case "GiB", "G":
		return value << 20
	case "MiB", "M":
		return value << 10
	case "b", "bytes":
		return value >> 10
	default:
		return value
	}
}

func wantedDisks(def *VMDefinition) []string {
	var list []string
	t := Template{}
	for _, d := range disks(def) {
		list = append(list, describeDisk(d.bus, deviceOf(def, d), d.readOnly, d.options.Serial, ioTune(d.options.QoS))+mediumOf(d, d.pool+"/"+t.volumeOf(def, d)))
	}
	slices.Sort(list)
	return list
}

// mediumOf leaves out what lies in a drive: it is named by its content, or was changed since.
func mediumOf(d disk, volume string) string {
	if d.device != vm.DeviceDisk {
		return ""
	}
	return " " + volume
}

func describeDisk(bus, device string, readOnly bool, serial string, tune *libvirtxml.DomainDiskIOTune) string {
	text := bus + " " + device
	if readOnly {
		text += " read-only"
	}
	if serial != "" {
		text += " serial " + serial
	}
	if tune != nil {
		text += fmt.Sprintf(" limits %d/%d/%d IOPS %d/%d/%d B/s", tune.TotalIopsSec, tune.ReadIopsSec, tune.WriteIopsSec,
			tune.TotalBytesSec, tune.ReadBytesSec, tune.WriteBytesSec)
	}
	return text
}

func actualDisks(d *libvirtxml.Domain) []string {
	var list []string
	for _, disk := range d.Devices.Disks {
		bus := ""
		if disk.Target != nil {
			bus = disk.Target.Bus
		}
		text := describeDisk(bus, disk.Device, disk.ReadOnly != nil, disk.Serial, disk.IOTune)
		drive := disk.Device == vm.DeviceFloppy || disk.Device == vm.DeviceCDROM
		switch {
		case disk.Source == nil || drive && !isSeedVolume(disk.Source):
		case disk.Source.Volume != nil:
			text += " " + disk.Source.Volume.Pool + "/" + disk.Source.Volume.Volume
		case disk.Source.File != nil:
			text += " " + disk.Source.File.File
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

// isSeedVolume tells the one medium that is compared, because it is made for the machine.
func isSeedVolume(source *libvirtxml.DomainDiskSource) bool {
	return source.Volume != nil && strings.HasPrefix(source.Volume.Volume, volumePrefix) &&
		strings.HasSuffix(source.Volume.Volume, "-"+vm.SeedVolume+"."+vm.FormatRaw)
}

func wantedMACs(def *VMDefinition) []string {
	var list []string
	for _, n := range def.NetworkInterfaces {
		list = append(list, n.MAC)
	}
	slices.Sort(list)
	return list
}

func actualMACs(d *libvirtxml.Domain) []string {
	var list []string
	for _, n := range d.Devices.Interfaces {
		if n.MAC != nil {
			list = append(list, n.MAC.Address)
		}
	}
	slices.Sort(list)
	return list
}
