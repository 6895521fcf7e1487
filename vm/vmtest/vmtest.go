// Package vmtest draws machine definitions for property tests.
package vmtest

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm"
)

// Options narrow down what is drawn, to what a host can do.
type Options struct {
	// Arch is "x86_64" or "i686"; empty means the former.
	Arch string
	// Machines are the machine types to choose from; empty means q35 and pc.
	Machines []string
	// UEFI allows that firmware.
	UEFI bool
}

// Valid draws definitions that vm.Validate accepts, with every kind of device and option among them. Identities are
// filled in.
func Valid(opts Options) *rapid.Generator[vm.Definition] {
	if opts.Arch == "" {
		opts.Arch = vm.DefaultArch
	}
	if len(opts.Machines) == 0 {
		opts.Machines = []string{"q35", "pc"}
	}
	return rapid.Custom(func(t *rapid.T) vm.Definition {
		d := &drawing{T: t, opts: opts}
		d.compute()
		d.firmware()
		d.disks()
		d.cards()
		d.devices()
		d.intent()
		return d.def
	}).Filter(func(def vm.Definition) bool { return vm.Validate(def) == nil })
}

type drawing struct {
	*rapid.T
	opts Options
	def  vm.Definition
}

func (d *drawing) between(name string, lo, hi int) int { return rapid.IntRange(lo, hi).Draw(d.T, name) }

func (d *drawing) maybe(name string) bool { return rapid.Bool().Draw(d.T, name) }

func (d *drawing) one(name string, of ...string) string { return rapid.SampledFrom(of).Draw(d.T, name) }

// flag is nil, true or false.
func (d *drawing) flag(name string) *bool {
	on := d.maybe(name)
	return rapid.SampledFrom([]*bool{nil, &on}).Draw(d.T, name+" given")
}

func (d *drawing) compute() {
	d.def = vm.Definition{
		Name: rapid.StringMatching(`[a-z][a-z0-9-]{0,20}[a-z]`).Draw(d.T, "name"),
		UUID: fmt.Sprintf("%08x-0000-4000-8000-000000000001", d.between("id", 1, 1<<30)),
		Arch: d.opts.Arch, OSType: d.one("system", vm.OSTypes()...), Machine: d.one("machine", d.opts.Machines...),
		CPUs: 1 << d.between("CPUs", 0, 3), MemoryMB: 256 * d.between("memory", 1, 16),
	}
	def := &d.def
	if d.maybe("topology") && def.CPUs > 1 {
		def.CPU.Threads = 2
	}
	if d.maybe("CPU hotplug") {
		def.CPU.Max = def.CPUs * 2
	}
	if d.maybe("NUMA") {
		d.numa()
	}
	if d.maybe("initial memory") {
		def.Memory.InitialMB = def.MemoryMB / 2
	} else {
		def.Memory.Balloon = d.flag("balloon")
	}
	if d.maybe("memory hotplug") && def.MemoryMB >= 1024 {
		def.Memory.MaxMB, def.Memory.Slots = def.MemoryMB*2, d.between("slots", 1, 16)
	}
	if d.maybe("pinning") {
		def.CPU.Pinning = []vm.CPUPin{{VCPU: d.between("vCPU", 0, def.CPUs-1), HostCPUs: "0"}}
	}
}

// numa divides the machine into one or two cells.
func (d *drawing) numa() {
	def, total := &d.def, max(d.def.CPUs, d.def.CPU.Max)
	if total == 1 || d.maybe("one cell") {
		def.CPU.NUMA = []vm.NUMACell{{CPUs: fmt.Sprintf("0-%d", total-1), MemoryMB: def.MemoryMB}}
		return
	}
	half := total / 2
	def.CPU.NUMA = []vm.NUMACell{
		{CPUs: fmt.Sprintf("0-%d", half-1), MemoryMB: def.MemoryMB / 2}, {CPUs: fmt.Sprintf("%d-%d", half, total-1), MemoryMB: def.MemoryMB / 2},
	}
}

func (d *drawing) firmware() {
	if d.opts.UEFI && d.maybe("UEFI") {
		d.def.Firmware = vm.FirmwareUEFI
	}
	d.def.Clock = d.one("clock", "", vm.ClockUTC, vm.ClockLocal)
	d.def.HyperV = d.flag("Hyper-V")
}

func (d *drawing) disks() {
	def := &d.def
	if d.maybe("root disk") {
		def.DiskGB = d.between("root size", 1, 100)
		def.RootDisk = vm.RootDisk{Format: d.one("root format", "", vm.FormatQcow2, vm.FormatRaw), DiskOptions: d.diskOptions("root")}
	}
	for i := range d.between("volumes", 0, 3) {
		v := vm.Volume{Name: fmt.Sprintf("v%d", i), SizeGB: d.between("size", 1, 9), Format: d.one("format", "", vm.FormatQcow2, vm.FormatRaw),
			Bus: d.one("bus", "", vm.BusVirtio, vm.BusSCSI, vm.BusSATA), DiskOptions: d.diskOptions(fmt.Sprint("volume ", i))}
		def.Volumes = append(def.Volumes, v)
	}
	if d.maybe("drive") {
		def.Volumes = append(def.Volumes, vm.Volume{Name: "drive", Device: d.one("drive kind", vm.DeviceCDROM, vm.DeviceFloppy)})
	}
	if d.maybe("existing") {
		def.Volumes = append(def.Volumes, vm.Volume{Name: "old", Source: "old.img", ReadOnly: true})
	}
}

func (d *drawing) diskOptions(name string) vm.DiskOptions {
	o := vm.DiskOptions{
		Cache: d.one(name+" cache", "", "none", "writeback", "directsync"), Discard: d.one(name+" discard", "", vm.DiscardUnmap, "ignore"),
		Serial: d.one(name+" serial", "", "DISK-1"), BootOrder: d.between(name+" order", 0, 4),
	}
	if o.Cache == "none" {
		o.IO = d.one(name+" io", "", "native", "threads")
	}
	if d.maybe(name + " limits") {
		o.QoS = vm.DiskQoS{TotalIOPS: d.between("IOPS", 1, 10_000), ReadBytes: d.between("reading", 0, 1<<30)}
	}
	return o
}

func (d *drawing) cards() {
	for i := range d.between("cards", 0, 3) {
		n := vm.NetworkInterface{MAC: fmt.Sprintf("52:54:00:00:00:%02x", i+1), Model: d.one("model", "", "virtio", "e1000e", "e1000")}
		if d.maybe("user") {
			n.User = true
		} else {
			n.MTU, n.VLAN = d.one2("MTU", 0, 1400), d.one2("VLAN", 0, 42)
			n.SecurityGroup, n.HostInterface = d.one("group", "", "clean-traffic"), d.one("end", "", fmt.Sprintf("card%d", i))
			if n.Model == "virtio" {
				n.Queues = d.between("queues", 0, d.def.CPUs)
			}
			if d.maybe("limits") {
				n.QoS.Inbound = vm.Bandwidth{AverageKBps: d.between("average", 1, 1000), PeakKBps: d.one2("peak", 0, 2000), BurstKB: d.one2("burst", 0, 512)}
			}
		}
		d.def.NetworkInterfaces = append(d.def.NetworkInterfaces, n)
	}
}

func (d *drawing) one2(name string, a, b int) int {
	return rapid.SampledFrom([]int{a, b}).Draw(d.T, name)
}

func (d *drawing) devices() {
	d.def.Devices = vm.Devices{
		Serial: d.flag("serial"), Graphics: d.one("graphics", "", vm.GraphicsNone, vm.GraphicsVNC), GuestAgent: d.flag("agent"), RNG: d.flag("rng"),
		Watchdog: d.one("watchdog", "", "reset", "poweroff", "pause", "none"),
	}
}

func (d *drawing) intent() {
	d.def.ISO = d.one("ISO", "", "dvd")
	if d.maybe("cloud-init") {
		d.def.CloudInit = &vm.CloudInit{UserData: "#cloud-config\n{}\n"}
	}
	d.def.RestartPolicy = d.one("restart", "", vm.RestartAlways, vm.RestartNever)
	d.def.Autostart = d.flag("autostart")
	d.def.Labels = map[string]string{"text": d.one("label", "plain", `'/><x>`, "ä ]]> &amp;")}
}
