package hypervisor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/vm"
)

// hostRule is one rule that needs the host: a change of a definition or of the host that breaks it, what is said of
// that (path, value, limit, way out, each a part), and one at its edge that does not.
type hostRule struct {
	rule int
	bad  func(*VMDefinition, *HostFacts)
	want [4]string
	good func(*VMDefinition, *HostFacts)
}

// someHost is a host in full.
func someHost() HostFacts {
	return HostFacts{
		Driver: "libvirt", Arch: "x86_64", CPUs: 8, MemoryMB: 16 << 10, Accelerator: AcceleratorKVM, PhysAddrBits: 40,
		NUMANodes: []int{0, 1}, HugePages: map[int]int{2048: 512, 1 << 20: 0},
		Pools: []PoolFacts{
			{Name: "default", Type: "dir", CapacityBytes: 100 * gib, FreeBytes: 50 * gib},
			{Name: "lvm", Type: "logical", CapacityBytes: 100 * gib, FreeBytes: 50 * gib},
		},
		Networks: []string{"default"}, Bridges: []string{"br0"}, BridgeMTUs: map[string]int{"br0": 1500}, NetworkFilters: []string{"clean-traffic"},
		HostDevices: []string{"0000:3b:00.0", "046d:c52b"}, MachineTypes: []string{"pc-i440fx-7.2", "pc-q35-6.2", "pc-q35-7.2"},
		MachineAliases: map[string]string{"q35": "pc-q35-7.2", "pc": "pc-i440fx-7.2"}, Firmwares: []string{"bios", "uefi"},
		Guest: &GuestFacts{MaxCPUs: 288, CPUModes: []string{"host-passthrough", "host-model", "custom"}, CPUModels: []string{"EPYC", "qemu64"}, Migratable: true,
			SecureBoot: true, TPM: true, VNC: true, DiskBuses: []string{"virtio", "scsi", "sata", "ide", "fdc"}, SEV: &SEVFacts{47, 1}},
		HypervisorVersion: "7.2.0", LibvirtVersion: "9.0.0",
	}
}

func hostRules() []hostRule {
	type d = VMDefinition
	type f = HostFacts
	nic := func(n NetworkInterface) func(*d, *f) {
		return func(d *d, _ *f) { d.NetworkInterfaces = []NetworkInterface{n} }
	}
	return []hostRule{
		{7, func(d *d, _ *f) { d.CPUs = 9 }, [4]string{"cpus", "9", "the 8 logical CPUs of the host", "a larger host"}, func(d *d, _ *f) { d.CPUs = 8 }},
		{7, func(d *d, f *f) { d.CPU.Max = 4; f.Guest.MaxCPUs = 3 }, [4]string{"cpus", "4", "3 CPUs that the hypervisor gives one guest", "ask for less"}, func(d *d, _ *f) { d.CPU.Max = 8 }},
		{8, func(d *d, f *f) { d.CPU.Mode, f.Accelerator = vm.CPUPassthrough, AcceleratorQEMU }, [4]string{"cpu.mode", "host-passthrough", "maximum or a model", "a host with KVM"}, func(d *d, _ *f) { d.CPU.Mode = vm.CPUPassthrough }},
		{8, func(d *d, _ *f) { d.CPU.Model = "Z80" }, [4]string{"cpu.model", "Z80", "one of the 2 models that run here", "another host"}, func(d *d, _ *f) { d.CPU.Model = "EPYC" }},
		{9, func(d *d, _ *f) { d.CPU.NUMA = []vm.NUMACell{{CPUs: "0-1", MemoryMB: 512, HostNodes: "2"}} }, [4]string{"cpu.numa[0].hostNodes", "2", "NUMA nodes of the host: [0 1]", "leave it out"}, func(d *d, _ *f) { d.CPU.NUMA = []vm.NUMACell{{CPUs: "0-1", MemoryMB: 512, HostNodes: "0-1"}} }},
		{10, func(d *d, _ *f) { d.CPU.Pinning = []vm.CPUPin{{HostCPUs: "7-8"}} }, [4]string{"cpu.pinning[0].hostCPUs", "7-8", "CPUs 0 to 7 of the host", "choose others"}, func(d *d, _ *f) { d.CPU.Pinning = []vm.CPUPin{{HostCPUs: "7"}} }},
		{13, func(d *d, _ *f) { d.Memory.HugePages = "1G" }, [4]string{"memory.hugePages", "of 1G", "the 0 pages of that size", "reserve more"}, func(d *d, _ *f) { d.Memory.HugePages = "2M" }},
		{14, func(d *d, _ *f) { d.Memory.MaxMB = 1 << 20 }, [4]string{"memory.maxMB", "1048576", "which 40 address bits reach", "ask for less"}, func(d *d, _ *f) { d.Memory.MaxMB = 1<<20 - 1 }},
		{15, func(d *d, f *f) {
			f.MachineTypes, f.MachineAliases = []string{"pc-i440fx-7.2"}, map[string]string{"pc": "pc-i440fx-7.2"}
		}, [4]string{"machine", `"q35"`, "what the host has: pc", "choose another"}, func(d *d, f *f) { d.Machine = "pc" }},
		{17, func(d *d, _ *f) { d.Machine = "pc-q35-8.0" }, [4]string{"machine", "pc-q35-8.0", "at most pc-q35-7.2, the newest of QEMU 7.2.0", "leave out the version"}, func(d *d, _ *f) { d.Machine = "pc-q35-7.2" }},
		{18, func(d *d, f *f) { d.Firmware, f.Firmwares = "uefi", []string{"bios"} }, [4]string{"firmware", "uefi", "what the host has: bios", "choose another"}, func(d *d, _ *f) { d.Firmware = "uefi" }},
		{18, func(d *d, f *f) { d.TPM, f.Guest.TPM = "2.0", false }, [4]string{"tpm", "2.0", "none: the host has no emulator", "install swtpm"}, func(d *d, f *f) { f.Guest.TPM = false }},
		{18, func(d *d, f *f) { on := true; d.SecureBoot, f.Guest.SecureBoot = &on, false }, [4]string{"secureBoot", "true", "no firmware for it", "install one"}, func(d *d, f *f) { f.Guest.SecureBoot = false }},
		{19, func(d *d, f *f) { d.LaunchSecurity, f.Guest.SEV = "sev", nil }, [4]string{"launchSecurity", "sev", "has no SEV", "another host"}, func(d *d, _ *f) { d.LaunchSecurity = "sev" }},
		{20, func(d *d, f *f) { f.Guest.DiskBuses = []string{"scsi"} }, [4]string{"root disk bus", "virtio", "what the host has: scsi", "choose another"}, func(d *d, f *f) { d.RootDisk.Bus, f.Guest.DiskBuses = "scsi", []string{"scsi"} }},
		{24, func(d *d, f *f) { d.RootDisk.IO, f.HypervisorVersion = "io_uring", "4.2.0" }, [4]string{"root disk io", "io_uring", "threads or native with QEMU 4.2.0", "upgrade the host"}, func(d *d, _ *f) { d.RootDisk.IO = "io_uring" }},
		{27, func(d *d, _ *f) { d.Pool, d.DiskGB, d.RootDisk.Format = "lvm", 51, "raw" }, [4]string{"pool lvm", "51 GiB in all", "the 50 GiB that are free", "another pool"}, func(d *d, _ *f) { d.Pool, d.DiskGB, d.RootDisk.Format = "lvm", 50, "raw" }},
		{27, func(d *d, f *f) { d.DiskGB, f.Pools[0].NoOvercommit = 51, true }, [4]string{"pool default", "51 GiB in all", "the 50 GiB that are free", "ask for less"}, func(d *d, _ *f) { d.DiskGB = 51 }},
		{28, func(d *d, _ *f) { d.Pool, d.DiskGB = "lvm", 5 }, [4]string{"root disk format", "qcow2", "raw in pool lvm", "use raw"}, func(d *d, _ *f) { d.Pool, d.RootDisk.Format = "lvm", "raw" }},
		{32, nic(NetworkInterface{Bridge: "br0", MTU: 1501}), [4]string{"networkInterfaces[0].mtu", "1501", "1500 bytes of the bridge's MTU", "ask for less"}, nic(NetworkInterface{Bridge: "br0", MTU: 1500})},
		{32, nic(NetworkInterface{Bridge: "br0", VLAN: 5}), [4]string{"networkInterfaces[0].vlan", "5", "empty on a Linux bridge before libvirt 11.0.0", "a bridge that is in the VLAN"}, func(d *d, f *f) { nic(NetworkInterface{Bridge: "br0", VLAN: 5})(d, f); f.LibvirtVersion = "11.1.0" }},
		{32, nic(NetworkInterface{SecurityGroup: "mine"}), [4]string{"networkInterfaces[0].securityGroup", "mine", "what the host has: clean-traffic", "make it on the host"}, nic(NetworkInterface{SecurityGroup: "clean-traffic"})},
		{33, func(d *d, _ *f) { d.Devices.HostDevices = []vm.HostDevice{{PCI: "0000:3b:00.1"}} }, [4]string{"devices.hostDevices[0].pci", "0000:3b:00.1", "one of the host's 2 devices", "lspci"}, func(d *d, _ *f) { d.Devices.HostDevices = []vm.HostDevice{{PCI: "3b:00.0"}, {USB: "046D:C52B"}} }},
		{45, func(d *d, f *f) { f.HypervisorVersion = "2.12.0" }, [4]string{"host", "QEMU 2.12.0", "QEMU 6.0.0 or newer", "upgrade"}, func(d *d, f *f) { f.HypervisorVersion = "6.0.0" }},
		{45, func(d *d, f *f) { f.LibvirtVersion = "7.0.0" }, [4]string{"host", "libvirt 7.0.0", "libvirt 8.0.0 or newer", "upgrade"}, func(d *d, f *f) { f.LibvirtVersion = "8.0.0" }},
		{45, func(d *d, f *f) { d.Arch = "aarch64" }, [4]string{"arch", "aarch64", "x86_64", "a host of that architecture"}, func(*d, *f) {}},
		{45, func(d *d, _ *f) { d.MemoryMB = 16<<10 + 1 }, [4]string{"memoryMB", "16385", "the 16384 MiB", "ask for less"}, func(d *d, _ *f) { d.MemoryMB = 16 << 10 }},
		{45, nic(NetworkInterface{Network: "mars"}), [4]string{"networkInterfaces[0].network", "mars", "what the host has: default", "make it on the host"}, nic(NetworkInterface{Network: "default"})},
		{45, func(d *d, f *f) { d.Devices.Graphics, f.Guest.VNC = "vnc", false }, [4]string{"devices.graphics", "vnc", "has no VNC", "leave it out"}, func(d *d, _ *f) { d.Devices.Graphics = "vnc" }},
	}
}

// TestEveryRule has the rules that need a host; those of the definition alone are in vm, those of a machine's life in
// lifecycle_test.go here.
func TestEveryRule(t *testing.T) {
	for _, c := range hostRules() {
		t.Run(fmt.Sprintf("rule-%02d", c.rule), func(t *testing.T) {
			base := vm.Definition{Name: "web", CPUs: 2, MemoryMB: 512, DiskGB: 4}
			bad, good, badHost, goodHost := base, base, someHost(), someHost()
			c.bad(&bad, &badHost)
			c.good(&good, &goodHost)
			requireFault(t, hostFaults(&bad, badHost), c.want)
			require.NoError(t, CheckHost(&good, goodHost))
		})
	}
	t.Run("rule-08", processorOfTheHost)
	t.Run("rule-18", trustedPlatforms)
	t.Run("rule-24", blockDevices)
	t.Run("rule-27", sparseIsAWarning)
	t.Run("rule-34", clocks)
	t.Run("rule-35", hyperVDependencies)
	t.Run("rule-36", smallDevices)
	t.Run("rule-41", startTimeouts)
	t.Run("rule-45", everythingAtOnce)
}

func requireFault(t *testing.T, faults vm.Faults, want [4]string) {
	t.Helper()
	for _, f := range faults {
		if f.Path == want[0] {
			require.Contains(t, f.Value, want[1])
			require.Contains(t, f.Limit, want[2])
			require.Contains(t, f.WayOut, want[3])
			return
		}
	}
	require.Failf(t, "no such fault", "%s among %v", want[0], faults)
}

func processorOfTheHost(t *testing.T) {
	def := small()
	mode := func(template Template) string {
		cpu := generate(t, template, def).CPU
		if cpu.Model != nil {
			return cpu.Mode + " " + cpu.Model.Value
		}
		return cpu.Mode
	}
	require.Equal(t, "host-passthrough", mode(Template{Accelerator: AcceleratorKVM, Host: someHost()}))
	require.Equal(t, "custom Haswell", mode(Template{Accelerator: AcceleratorKVM, Host: someHost(), CPUBaseline: "Haswell"}))
	require.Equal(t, "maximum", mode(Template{Accelerator: AcceleratorQEMU, Host: someHost(), CPUBaseline: "Haswell"}))
	def.EvacuationPolicy = "restart"
	require.Equal(t, "host-passthrough", mode(Template{Accelerator: AcceleratorKVM, Host: someHost(), CPUBaseline: "Haswell"}), "it never moves while it runs")
	unmovable := someHost()
	unmovable.Guest.Migratable = false
	require.Equal(t, "host-model", mode(Template{Accelerator: AcceleratorKVM, Host: unmovable}))
}

func trustedPlatforms(t *testing.T) {
	def := small()
	def.Firmware = "uefi"
	require.Len(t, generate(t, Template{Host: someHost()}, def).Devices.TPMs, 1)
	require.Empty(t, generate(t, Template{}, def).Devices.TPMs, "nobody knows whether the host can")
	def.Firmware = "bios"
	require.Empty(t, generate(t, Template{Host: someHost()}, def).Devices.TPMs)
	def.OSType, def.OSVersion, def.Firmware = "windows", "11", ""
	d := generate(t, Template{}, def)
	require.Equal(t, "tpm-crb", d.Devices.TPMs[0].Model)
	require.Equal(t, []string{"efi", "yes", "on"}, []string{d.OS.Firmware, d.OS.Loader.Secure, d.Features.SMM.State})
}

func blockDevices(t *testing.T) {
	def := small()
	def.Pool, def.RootDisk.Format = "lvm", "raw"
	def.Volumes[0].Pool = "default"
	d := generate(t, Template{Host: someHost()}, def)
	block, file := d.Devices.Disks[0].Driver, d.Devices.Disks[1].Driver
	require.Equal(t, []string{"none", "native", "unmap"}, []string{block.Cache, block.IO, block.Discard})
	require.Equal(t, []string{"", "", "unmap"}, []string{file.Cache, file.IO, file.Discard})
}

func sparseIsAWarning(t *testing.T) {
	def := vm.Definition{Name: "web", CPUs: 1, MemoryMB: 64, DiskGB: 30, Volumes: []Volume{{SizeGB: 21}}}
	require.NoError(t, CheckHost(&def, someHost()))
	requireFault(t, HostWarnings(&def, someHost()), [4]string{"pool default", "51 GiB in all", "the 50 GiB that are free", "see that it is not filled"})
	def.Volumes[0].SizeGB = 20
	require.Empty(t, HostWarnings(&def, someHost()))
}

func clocks(t *testing.T) {
	def := small()
	require.Empty(t, generate(t, Template{}, def).Clock.Timer)
	def.OSType = "windows"
	timers := map[string]string{}
	for _, timer := range generate(t, Template{}, def).Clock.Timer {
		timers[timer.Name] = timer.TickPolicy + timer.Present
	}
	require.Equal(t, map[string]string{"rtc": "catchup", "pit": "delay", "hpet": "no", "hypervclock": "yes"}, timers)
}

func hyperVDependencies(t *testing.T) {
	for _, c := range []struct {
		offered, has []string
		clock        bool
	}{
		{[]string{"relaxed", "synic", "stimer", "ipi"}, []string{"relaxed"}, true},
		{[]string{"vpindex", "synic", "stimer"}, []string{"vpindex", "synic", "stimer"}, true},
		{[]string{"vpindex", "synic", "stimer"}, []string{"vpindex", "synic"}, false},
		{[]string{"vpindex", "ipi", "tlbflush", "evmcs"}, []string{"vpindex", "ipi", "tlbflush"}, true},
		{nil, nil, true},
	} {
		want := map[string]bool{}
		for _, name := range c.has {
			want[name] = true
		}
		require.Equal(t, want, enlightenments(c.offered, c.clock), c.offered)
	}
}

func smallDevices(t *testing.T) {
	d := generate(t, Template{}, small())
	require.Len(t, d.Devices.Channels, 1)
	require.Equal(t, "/dev/urandom", d.Devices.RNGs[0].Backend.Random.Device)
	require.EqualValues(t, 10, d.Devices.MemBalloon.Stats.Period)
	require.Equal(t, "no", d.PM.SuspendToDisk.Enabled)
	def, off := small(), false
	def.Devices, def.Memory.Balloon = vm.Devices{GuestAgent: &off, RNG: &off, Serial: &off}, &off
	d = generate(t, Template{}, def)
	require.Empty(t, d.Devices.Channels)
	require.Empty(t, d.Devices.RNGs)
	require.Empty(t, d.Devices.Serials)
	require.Equal(t, "none", d.Devices.MemBalloon.Model)
}

func startTimeouts(t *testing.T) {
	base := vm.Definition{MemoryMB: 40 << 10}
	require.Equal(t, 40*time.Second, startTimeout(&base))
	base.Devices.HostDevices = []vm.HostDevice{{PCI: "0000:3b:00.0"}}
	require.Equal(t, 160*time.Second, startTimeout(&base))
	require.Equal(t, 150*time.Second, startTimeout(&vm.Definition{MemoryMB: 1024, Memory: vm.Memory{HugePages: "2M"}}))
	require.Equal(t, 40*time.Second, startTimeout(&vm.Definition{NetworkInterfaces: make([]NetworkInterface, 2)}))
}

func everythingAtOnce(t *testing.T) {
	def := vm.Definition{Name: "web", CPUs: 99, MemoryMB: 1 << 20, DiskGB: 999, Machine: "pc-q35-99.0", Firmware: "uefi",
		NetworkInterfaces: []NetworkInterface{{Network: "mars"}}}
	host := someHost()
	host.Firmwares = []string{"bios"}
	var paths []string
	for _, f := range hostFaults(&def, host) {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"cpus", "memoryMB", "machine", "firmware", "root disk size", "networkInterfaces[0].network"}, paths)
}
