package vm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/vm/ostype"
)

// ruleCase is one rule of the definition: a change that breaks it with what is said of that, and one at its edge that
// does not. An entry of want is path, value, limit, way out; each is a part of what is said.
type ruleCase struct {
	rule int
	bad  func(*Definition)
	want [4]string
	good func(*Definition)
}

// The rules that need no host. Those that need one are in agent/hypervisor (rules_test.go there): 7 and 8 on a host,
// 15, 17, 26, 27, 34-36, 38-43 and 45. Names, UUIDs and MACs unique in the cluster (1, 3, 30) are in controller/state,
// the content of images (28) is in vm/diskimage.
func ruleCases() []ruleCase {
	return append(append(machineRules(), diskRules()...), deviceRules()...)
}

func machineRules() []ruleCase {
	type d = Definition
	return []ruleCase{
		{1, func(d *d) { d.Name = "-web" }, [4]string{"name", `"-web"`, "1 to 63", "choose another name"}, func(d *d) { d.Name = "web" }},
		{1, func(d *d) { d.Name = "42" }, [4]string{"name", `"42"`, "not digits alone", "choose another"}, func(d *d) { d.Name = "42a" }},
		{3, func(d *d) { d.UUID = "6f1c2f6e-0a3b-1c1d-9e2f-3a4b5c6d7e8f" }, [4]string{"uuid", "1c1d", "a version 4 UUID", "leave it out"}, func(d *d) { d.UUID = "6F1C2F6E-0A3B-4C1D-9E2F-3A4B5C6D7E8F" }},
		{6, func(d *d) { d.CPUs, d.CPU = 4, CPU{Sockets: 3} }, [4]string{"cpu", "3 sockets x 1 dies x 4 cores x 1 threads = 12", "a product of 4", "change one"}, func(d *d) { d.CPUs, d.CPU = 4, CPU{Threads: 2} }},
		{6, func(d *d) { d.CPU = CPU{Sockets: -1} }, [4]string{"cpu.sockets", "-1", "1 to 710", "leave it out"}, func(d *d) { d.CPUs, d.CPU = 8, CPU{Sockets: 2, Dies: 2, Cores: 1, Threads: 2} }},
		{7, func(d *d) { d.OSType, d.CPUs = "openbsd", 65 }, [4]string{"cpus", "65", "at most 64, which is what openbsd can use", "ask for fewer"}, func(d *d) { d.OSType, d.CPUs = "openbsd", 64 }},
		{7, func(d *d) { d.CPU.Max = 1 }, [4]string{"cpu.max", "1", "2 to 710", "at least cpus"}, func(d *d) { d.CPU.Max = 8 }},
		{8, func(d *d) { d.CPU.Mode = "host" }, [4]string{"cpu.mode", `"host"`, "host-passthrough, host-model, maximum, custom", "choose one"}, func(d *d) { d.CPU.Mode = "host-model" }},
		{8, func(d *d) { d.CPU = CPU{Mode: "maximum", Model: "qemu64"} }, [4]string{"cpu.model", "qemu64", "no model with mode maximum", "use mode custom"}, func(d *d) { d.CPU.Model = "qemu64" }},
		{8, func(d *d) { d.CPU.Mode = "custom" }, [4]string{"cpu.model", `""`, "a processor model", "give a model"}, func(d *d) { d.CPU = CPU{Mode: "custom", Model: "EPYC"} }},
		{9, numa("0", "0-1"), [4]string{"cpu.numa[1].cpus", `"0-1"`, "exactly one cell", "CPU 0 is in cell 0 already"}, numa("0", "1")},
		{9, numa("0"), [4]string{"cpu.numa", "1 of 2 CPUs in cells", "exactly one cell", "add those"}, numa("0-1")},
		{9, numa("0-1", "2"), [4]string{"cpu.numa[1].cpus", `"2"`, "virtual CPUs 0 to 1", "from 0"}, numa("0,1")},
		{9, func(d *d) { numa("0-1")(d); d.CPU.NUMA[0].MemoryMB-- }, [4]string{"cpu.numa", "1023 MiB in all cells", "1024 MiB", "change memoryMB"}, numa("0-1")},
		{9, func(d *d) { numa("0-1")(d); d.CPU.NUMA[0].HostNodes = "x" }, [4]string{"cpu.numa[0].hostNodes", `"x"`, "a set of numbers", "write it"}, func(d *d) { numa("0-1")(d); d.CPU.NUMA[0].HostNodes = "0-1" }},
		{10, dedicated("4"), [4]string{"cpu.pinning", "1 pins", "a pin for each of the 2 CPUs, or none", "leave the choice to the cluster"}, dedicated("4", "5")},
		{10, dedicated("4"), [4]string{"cpu.pinning", "1 pins", "a pin for each of the 2 CPUs, or none", "pin them all"}, dedicated()},
		{10, dedicated("4", "4"), [4]string{"cpu.pinning[1].hostCPUs", `"4"`, "one CPU of its own", "different"}, dedicated("4", "6")},
		{10, func(d *d) { dedicated("4", "5")(d); d.CPU.Max = 4 }, [4]string{"cpu.max", "4", "what is reserved is the limit", "leave it out"}, func(d *d) { dedicated("4", "5")(d); d.CPU.Max = 2 }},
		{10, func(d *d) { d.CPU.EmulatorCPUs = "0" }, [4]string{"cpu.emulatorCPUs", `"0"`, "empty without dedicated", "use cpu.dedicated"}, func(d *d) { dedicated("4", "5")(d); d.CPU.EmulatorCPUs = "0" }},
		{10, func(d *d) { d.CPUs = 4; dedicated("1", "2", "3", "4")(d); d.CPU.Threads = 4 }, [4]string{"cpu.threads", "4", "at most 2", "use 1 or 2"}, func(d *d) { dedicated("1", "2")(d); d.CPU.Threads = 2 }},
		{10, func(d *d) { d.CPU.Pinning = []CPUPin{{VCPU: 2, HostCPUs: "1"}} }, [4]string{"cpu.pinning[0].vcpu", "2", "0 to 1", "from 0"}, func(d *d) { d.CPU.Pinning = []CPUPin{{VCPU: 1, HostCPUs: "1-3,^2"}} }},
		{11, func(d *d) { d.Memory.InitialMB = 1025 }, [4]string{"memory.initialMB", "1025", "17 to 1024 MiB", "at most memoryMB"}, func(d *d) { d.Memory.InitialMB = 1024 }},
		{11, func(d *d) { d.MemoryMB = 16 }, [4]string{"memoryMB", "16", "17 to 16777216 MiB", "did you mean 16 GiB? Then write 16384"}, func(d *d) { d.MemoryMB = 17 }},
		{13, func(d *d) {
			numa("0-1")(d)
			d.Memory.HugePages = "1G"
			d.MemoryMB = 1536
			d.CPU.NUMA[0].MemoryMB = 1536
		}, [4]string{"memoryMB", "1536", "a multiple of the page size 1G", "smaller pages"}, func(d *d) { numa("0-1")(d); d.Memory.HugePages = "1G" }},
		{13, func(d *d) { d.Memory.HugePages = "2M" }, [4]string{"cpu.numa", "empty", "at least one cell with hugepages", `add {cpus: "0-1", memoryMB: 1024}`}, func(d *d) { numa("0", "1")(d); d.Memory.HugePages = "2m" }},
		{13, func(d *d) { numa("0-1")(d); d.Memory.HugePages = "4M" }, [4]string{"memory.hugePages", "4M", "one of 2M, 1G on x86_64", "choose one"}, func(d *d) { numa("0-1")(d); d.Memory.HugePages = "2M" }},
		{14, func(d *d) { d.Memory.Locked = true }, [4]string{"memory.hugePages", `""`, "a page size with locked memory", "such as 2M"}, func(d *d) { numa("0-1")(d); d.Memory = Memory{Locked: true, HugePages: "2M"} }},
		{14, func(d *d) { d.MemoryMB, d.Memory.MaxMB = 1023, 4096 }, [4]string{"memoryMB", "1023", "at least 1024 MiB where memory can be added", "ask for more"}, func(d *d) { d.Memory.MaxMB = 4096 }},
		{14, func(d *d) { d.Memory = Memory{MaxMB: 4096, Slots: 256} }, [4]string{"memory.slots", "256", "1 to 255", "give fewer"}, func(d *d) { d.Memory = Memory{MaxMB: 4096, Slots: 255} }},
		{15, func(d *d) { d.Arch, d.Machine = "aarch64", "q35" }, [4]string{"machine", `"q35"`, "virt or one of them with a version", "leave it out"}, func(d *d) { d.Arch = "aarch64" }},
		{18, func(d *d) { d.OSType, d.OSVersion, d.Firmware = "windows", "11", "bios" }, [4]string{"firmware", `"bios"`, "uefi for windows 11", "use uefi"}, func(d *d) { d.OSType, d.OSVersion = "windows", "11" }},
		{18, func(d *d) { d.SecureBoot = yes() }, [4]string{"secureBoot", "true", "false unless the firmware is uefi and the machine q35", "use firmware uefi"}, func(d *d) { d.SecureBoot, d.Firmware = yes(), "uefi" }},
		{18, func(d *d) { d.OSType, d.OSVersion, d.TPM = "windows", "11", "none" }, [4]string{"tpm", `"none"`, "2.0 for windows 11", "leave it out"}, func(d *d) { d.TPM = "2.0" }},
		{18, func(d *d) { d.OSType, d.OSVersion, d.SecureBoot = "windows", "11", no() }, [4]string{"secureBoot", "false", "true for windows 11", "leave it out"}, func(d *d) { d.OSType, d.OSVersion, d.SecureBoot = "windows", "10", no() }},
		{19, func(d *d) { d.LaunchSecurity, d.Firmware = "sev", "uefi" }, [4]string{"launchSecurity", `"sev"`, "the memory locked", "memory.locked true"}, func(d *d) {
			numa("0-1")(d)
			d.LaunchSecurity, d.Firmware, d.Memory = "sev", "uefi", Memory{Locked: true, HugePages: "2M"}
		}},
		{19, func(d *d) { d.Arch, d.Firmware = "i686", "uefi" }, [4]string{"firmware", `"uefi"`, "bios on a 32-bit CPU", "arch x86_64"}, func(d *d) { d.Arch = "i686" }},
		{34, func(d *d) { d.Clock = "gmt" }, [4]string{"clock", `"gmt"`, "one of utc, localtime", "choose one"}, func(d *d) { d.Clock = "localtime" }},
	}
}

func diskRules() []ruleCase {
	type d = Definition
	volume := func(change func(*Volume)) func(*d) { return func(d *d) { change(&d.Volumes[0]) } }
	return []ruleCase{
		{20, volume(func(v *Volume) { v.Bus = "ide" }), [4]string{"volumes[0].bus", `"ide"`, "virtio, sata or scsi on machine q35", "machine pc"}, func(d *d) { d.Machine, d.Volumes[0].Bus = "pc", "ide" }},
		{20, func(d *d) { d.Volumes[0] = Volume{Device: "cdrom", Image: "dvd", Bus: "virtio"} }, [4]string{"volumes[0].bus", `"virtio"`, "sata for a cdrom on machine q35", "leave it out"}, func(d *d) { d.Volumes[0] = Volume{Device: "cdrom", Image: "dvd"} }},
		{21, disksOn("ide", 5, "pc"), [4]string{"volumes", "5 disks on ide", "at most 4", "virtio or scsi"}, disksOn("ide", 4, "pc")},
		{21, disksOn("sata", 7, ""), [4]string{"volumes", "7 disks on sata", "at most 6", "virtio or scsi"}, disksOn("sata", 6, "")},
		{21, floppies(3), [4]string{"volumes", "3 disks on fdc", "at most 2", "use bus"}, floppies(2)},
		{21, disksOn("virtio", 21, "pc"), [4]string{"volumes", "23 PCI devices", "at most 22 on machine pc", "use machine q35"}, disksOn("virtio", 20, "pc")},
		{22, func(d *d) { d.RootDisk.QoS = DiskQoS{TotalIOPS: 5, ReadIOPS: 1} }, [4]string{"rootDisk.qos.totalIOPS", "5", "0 beside readIOPS", "give the total, or"}, func(d *d) { d.RootDisk.QoS = DiskQoS{TotalIOPS: 5, ReadBytes: 1} }},
		{22, volume(func(v *Volume) { v.QoS.WriteBytes = -1 }), [4]string{"volumes[0].qos.writeBytes", "-1", "0 to", "a positive number"}, volume(func(v *Volume) { v.QoS.WriteBytes = 1 })},
		{23, volume(func(v *Volume) { v.SizeGB = 0 }), [4]string{"volumes[0].sizeGB", "0", "1 to 65536 GiB", "give the size"}, volume(func(v *Volume) { v.SizeGB, v.Source = 0, "old.img" })},
		{23, func(d *d) { d.Volumes[0] = Volume{Device: "cdrom", SizeGB: 1} }, [4]string{"volumes[0].sizeGB", "1", "0 for a cdrom, which is read-only", "leave it out"}, func(d *d) { d.Volumes[0] = Volume{Device: "cdrom"} }},
		{24, volume(func(v *Volume) { v.IO = "native" }), [4]string{"volumes[0].io", `"native"`, "threads or io_uring unless cache is none", "use cache none"}, volume(func(v *Volume) { v.IO, v.Cache = "native", "none" })},
		{25, volume(func(v *Volume) { v.Serial = strings.Repeat("x", 21) }), [4]string{"volumes[0].serial", "xxx", "up to 20 printable bytes", "shorten it"}, volume(func(v *Volume) { v.Serial = strings.Repeat("x", 20) })},
		{25, func(d *d) { d.RootDisk.BootOrder, d.NetworkInterfaces[0].BootOrder = 1, 1 }, [4]string{"networkInterfaces[0].bootOrder", "1", "unique over disks", "taken by rootDisk.bootOrder"}, func(d *d) { d.RootDisk.BootOrder, d.NetworkInterfaces[0].BootOrder = 2, 1 }},
		{25, volume(func(v *Volume) { v.BootOrder = -1 }), [4]string{"volumes[0].bootOrder", "-1", "1 to", "count from 1"}, volume(func(v *Volume) { v.BootOrder = 1 })},
		{20, volume(func(v *Volume) { *v = Volume{Source: "tools.img", ReadOnly: true, Bus: "sata"} }), [4]string{"volumes[0].bus", "sata", "virtio or scsi for a disk that is only read", "use one"}, func(d *d) {
			d.OSType, d.Volumes[0] = "windows", Volume{Source: "tools.img", ReadOnly: true}
		}},
		{26, volume(func(v *Volume) { v.Shareable = true }), [4]string{"volumes[0]", "shareable", "neither for a new disk", "name a source"}, volume(func(v *Volume) { v.SizeGB, v.Source, v.Shareable = 0, "old.img", true })},
		{28, func(d *d) { d.RootDisk.Format = "raw" }, [4]string{"rootDisk.format", `"raw"`, "qcow2 for a disk with an image", "use qcow2"}, func(d *d) { d.Image, d.RootDisk.Format = "", "raw" }},
		{28, volume(func(v *Volume) { v.Format = "vmdk" }), [4]string{"volumes[0].format", `"vmdk"`, "one of qcow2, raw", "choose one"}, volume(func(v *Volume) { v.Format = "raw" })},
		{29, volume(func(v *Volume) { v.Bus, v.Queues = "scsi", 2 }), [4]string{"volumes[0].queues", "2", "an option of virtio", "use virtio"}, volume(func(v *Volume) { v.Queues = 2 })},
		{29, volume(func(v *Volume) { v.Bus, v.IOEventFD = "sata", no() }), [4]string{"volumes[0].ioEventFD", "false", "an option of virtio", "use virtio"}, volume(func(v *Volume) { v.IOEventFD = no() })},
	}
}

func deviceRules() []ruleCase {
	type d = Definition
	nic := func(change func(*NetworkInterface)) func(*d) { return func(d *d) { change(&d.NetworkInterfaces[0]) } }
	return []ruleCase{
		{30, mac("53:54:00:00:00:01"), [4]string{"networkInterfaces[0].mac", "53:54", "a unicast address", "leave it out"}, mac("52:54:00:00:00:01")},
		{31, nic(func(n *NetworkInterface) { n.Model = "ne2k" }), [4]string{"networkInterfaces[0].model", `"ne2k"`, "virtio, e1000e, e1000, rtl8139", "choose one"}, nic(func(n *NetworkInterface) { n.Model = "e1000e" })},
		{32, nic(func(n *NetworkInterface) { n.VLAN = 4095 }), [4]string{"networkInterfaces[0].vlan", "4095", "1 to 4094", "untagged"}, nic(func(n *NetworkInterface) { n.VLAN = 4094 })},
		{32, nic(func(n *NetworkInterface) { n.MTU = 575 }), [4]string{"networkInterfaces[0].mtu", "575", "576 to 65535 bytes", "that of the network"}, nic(func(n *NetworkInterface) { n.MTU = 576 })},
		{32, nic(func(n *NetworkInterface) { n.Queues = 3 }), [4]string{"networkInterfaces[0].queues", "3", "1 to 2, one for each CPU", "ask for fewer"}, nic(func(n *NetworkInterface) { n.Queues = 2 })},
		{32, func(d *d) { d.NetworkInterfaces = make([]NetworkInterface, 33) }, [4]string{"networkInterfaces", "more than 32", "at most 32", "remove some"}, func(d *d) { d.NetworkInterfaces = make([]NetworkInterface, 32) }},
		{32, nic(func(n *NetworkInterface) { n.HostInterface = strings.Repeat("x", 16) }), [4]string{"networkInterfaces[0].hostInterface", "xxx", "1 to 15", "shorten it"}, nic(func(n *NetworkInterface) { n.HostInterface = strings.Repeat("x", 15) })},
		{32, nic(func(n *NetworkInterface) { n.HostInterface = "vnet7" }), [4]string{"networkInterfaces[0].hostInterface", "vnet7", "not beginning with vnet", "choose another"}, nic(func(n *NetworkInterface) { n.HostInterface = "web0" })},
		{33, hostDevs("3b:00.0", "0000:3B:00.0"), [4]string{"devices.hostDevices[1]", "0000:3b:00.0", "each device once", "devices.hostDevices[0] already"}, hostDevs("3b:00.0", "3b:00.1")},
		{33, hostDevs("3b"), [4]string{"devices.hostDevices[0].pci", `"3b"`, "an address such as", "lspci -D"}, hostDevs("0000:3b:00.0")},
		{36, func(d *d) { d.Devices.Watchdog = "bark" }, [4]string{"devices.watchdog", `"bark"`, "one of reset, poweroff, pause, inject-nmi, none", "choose one"}, func(d *d) { d.Devices.Watchdog = "reset" }},
		{37, func(d *d) { d.OSType = "debain" }, [4]string{"osType", `"debain"`, "linux, debian, ubuntu", `did you mean "debian"?`}, func(d *d) { d.OSType = "Debian" }},
		{44, func(d *d) { d.Annotations = map[string]string{"note": "a\x00b"} }, [4]string{"annotations[note]", `"a\x00b"`, "without control characters", "remove them"}, func(d *d) { d.Annotations = map[string]string{"note": `"'/><script>]]>`} }},
		{44, func(d *d) { d.CloudInit = &CloudInit{UserData: "\x1b[2J"} }, [4]string{"cloudInit.userData", "(hidden)", "without control characters", "remove them"}, func(d *d) { d.CloudInit = &CloudInit{UserData: "#!/bin/sh\n\techo hi\n"} }},
	}
}

func numa(cpus ...string) func(*Definition) {
	return func(d *Definition) {
		d.CPU.NUMA = nil
		for i, set := range cpus {
			part := d.MemoryMB / len(cpus)
			if i == 0 {
				part = d.MemoryMB - part*(len(cpus)-1)
			}
			d.CPU.NUMA = append(d.CPU.NUMA, NUMACell{CPUs: set, MemoryMB: part})
		}
	}
}

func dedicated(hostCPUs ...string) func(*Definition) {
	return func(d *Definition) {
		d.CPU.Dedicated = true
		for i, set := range hostCPUs {
			d.CPU.Pinning = append(d.CPU.Pinning, CPUPin{VCPU: i, HostCPUs: set})
		}
	}
}

func floppies(n int) func(*Definition) {
	return func(d *Definition) {
		d.Volumes = nil
		for range n {
			d.Volumes = append(d.Volumes, Volume{Device: "floppy", Image: "dos"})
		}
	}
}

func hostDevs(pci ...string) func(*Definition) {
	return func(d *Definition) {
		for _, address := range pci {
			d.Devices.HostDevices = append(d.Devices.HostDevices, HostDevice{PCI: address})
		}
	}
}

func TestEveryRule(t *testing.T) {
	for _, c := range ruleCases() {
		t.Run(fmt.Sprintf("rule-%02d", c.rule), func(t *testing.T) {
			bad, good := valid(), valid()
			c.bad(&bad)
			c.good(&good)
			requireFault(t, faultsOf(t, bad), c.want)
			require.NoError(t, Validate(good))
			require.NoError(t, Validate(Normalise(good, counted())), "what is filled in is valid too")
		})
	}
	t.Run("rule-02", hostnames)
	t.Run("rule-04", generatedNames)
	t.Run("rule-05", snapshotNames)
	t.Run("rule-11", unitSlips)
	t.Run("rule-12", minimaAreWarnings)
	t.Run("rule-16", machineChanges)
	t.Run("rule-37", unknownVersionsAreWarnings)
}

// requireFault finds the fault of a path and compares what it says.
func requireFault(t *testing.T, faults Faults, want [4]string) {
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

func hostnames(t *testing.T) {
	for display, want := range map[string]string{
		"My Web_Server.1": "my-web-server-1", "Größe": "gre", "--x--": "x", "日本": "the-id", "": "the-id", strings.Repeat("a", 62) + "-b": strings.Repeat("a", 62),
	} {
		require.Equal(t, want, Hostname(display, "the-id"), display)
	}
	bad, good := valid(), valid()
	bad.CloudInit, good.CloudInit = &CloudInit{Hostname: "a_b"}, &CloudInit{}
	requireFault(t, faultsOf(t, bad), [4]string{"cloudInit.hostname", `"a_b"`, "1 to 63", "leave it out"})
	require.Equal(t, "web-1", Normalise(good, Defaults{}).CloudInit.Hostname)
}

func generatedNames(t *testing.T) {
	taken := map[string]bool{"web": true, "web-2": true}
	require.Equal(t, "web-3", NextName("web", func(n string) bool { return taken[n] }))
	require.Equal(t, "db", NextName("db", func(n string) bool { return taken[n] }))
	long := strings.Repeat("a", 63)
	next := NextName(long, func(n string) bool { return n == long })
	require.Len(t, next, 63)
	require.True(t, strings.HasSuffix(next, "a-2"))
}

func snapshotNames(t *testing.T) {
	for _, name := range []string{"current", "pending", "a b", "a/b", ""} {
		var faults Faults
		require.ErrorAs(t, CheckSnapshotName("snapshot", name), &faults, name)
		requireFault(t, faults, [4]string{"snapshot", "", "", "choose another name"})
	}
	require.NoError(t, CheckSnapshotName("snapshot", "before-upgrade"))
}

func unitSlips(t *testing.T) {
	def := valid()
	def.OSType, def.MemoryMB = "generic", 32
	require.NoError(t, Validate(def))
	requireFault(t, Warn(def, ostype.Builtin()), [4]string{"memoryMB", "32", "at least 64 MiB for most systems", "did you mean 32 GiB? Then write 32768"})
	def.MemoryMB = 64
	require.Empty(t, Warn(def, ostype.Builtin()))
}

func minimaAreWarnings(t *testing.T) {
	def := valid()
	def.OSType, def.OSVersion, def.MemoryMB, def.DiskGB = "debian", "12", 256, 2
	require.NoError(t, Validate(def))
	warnings := Warn(def, ostype.Builtin())
	requireFault(t, warnings, [4]string{"memoryMB", "256", "at least 512 MiB for debian 12", "ask for more"})
	requireFault(t, warnings, [4]string{"diskGB", "2", "at least 4 GiB for debian 12", "ask for more"})
	def.MemoryMB, def.DiskGB = 512, 4
	require.Empty(t, Warn(def, ostype.Builtin()))
}

func machineChanges(t *testing.T) {
	for _, c := range []struct {
		from, to string
		stopped  bool
		limit    string
	}{
		{"pc-q35-7.2", "pc-q35-6.2", true, "pc-q35-7.2 or newer"}, {"pc-q35-7.2", "pc-i440fx-7.2", true, "of the family q35"},
		{"pc-q35-7.2", "pc-q35-10.0", false, "while the machine runs"},
	} {
		var faults Faults
		require.ErrorAs(t, CheckMachineChange(c.from, c.to, c.stopped), &faults)
		requireFault(t, faults, [4]string{"machine", c.to, c.limit, ""})
	}
	require.NoError(t, CheckMachineChange("pc-q35-7.2", "pc-q35-10.0", true))
	require.NoError(t, CheckMachineChange("pc-q35-7.2", "pc-q35-7.2", false))
}

func unknownVersionsAreWarnings(t *testing.T) {
	def := valid()
	def.OSType, def.OSVersion = "ubuntu", "99.04"
	require.NoError(t, Validate(def))
	requireFault(t, Warn(def, ostype.Builtin()), [4]string{"osVersion", "99.04", "a version of ubuntu", "treated as ubuntu generic"})
	def.OSVersion = "24.04"
	require.Empty(t, Warn(def, ostype.Builtin()))
}

func FuzzSet(f *testing.F) {
	f.Add("0-3,^2,8")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseSet(text)
		if err != nil {
			require.ErrorIs(t, err, ErrSet)
			return
		}
		require.IsIncreasing(t, append([]int{-1}, set...))
		require.Less(t, set[len(set)-1], maxSetMember)
		again, err := ParseSet(FormatSet(set))
		require.NoError(t, err)
		require.Equal(t, set, again)
	})
}
