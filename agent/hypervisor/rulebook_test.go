package hypervisor

import (
	"fmt"
	"time"

	"github.com/novacron/novacron/vm"
)

// rule is one that definitions, hosts or the life of a machine keep to. The page of the agents has them all.
type rule struct {
	about string
	// text says the rule, with its limits out of the code.
	text string
	// checked are the functions that see to it, as package.name.
	checked []string
}

// rulebook has the rules by their number.
func rulebook() map[int]rule {
	book := map[int]rule{}
	for _, part := range []map[int]rule{rulesOfIdentity(), rulesOfCompute(), rulesOfPlatform(), rulesOfDisks(), rulesOfDevices(), rulesOfLife()} {
		for number, r := range part {
			book[number] = r
		}
	}
	return book
}

func in(functions ...string) []string { return functions }

func rulesOfIdentity() map[int]rule {
	return map[int]rule{
		1: {"name", "1–63 of `A-Z a-z 0-9 -`, no `-` at either end, not digits alone; unique within the project", in("vm.identity", "state.creatable")},
		2: {"name", "a host name is made of it: space, `_`, `.` become `-`, other characters go, lower case, cut at 63; the id where nothing is left", in("vm.Hostname")},
		3: {"UUID", "version 4; one that exists is refused", in("vm.uuid", "state.creatable")},
		4: {"name", "generated names are `base-2`, `base-3`, …, the first that is free", in("vm.NextName", "rpc.createNamed")},
		5: {"name", "snapshots: 1–128 of `A-Z a-z 0-9 . _ -`, not `current`, not `pending`", in("vm.CheckSnapshotName")},
	}
}

func rulesOfCompute() map[int]rule {
	return map[int]rule{
		6:  {"CPU", fmt.Sprintf("sockets × dies × cores × threads are the CPUs, at most %d; what is left out is filled in, cores first", vm.MaxCPUs), in("vm.topology", "vm.normaliseCPU")},
		7:  {"CPU", "no more than the host has, than the hypervisor gives one guest, than the system can use", in("vm.cpu", "hypervisor.size")},
		8:  {"CPU", "under KVM host-passthrough where libvirt calls it migratable, else host-model; the cluster's common model where hosts differ; under emulation maximum", in("hypervisor.processor", "hypervisor.GuestCPU")},
		9:  {"NUMA", "every CPU in exactly one cell, the cells' memory adds up to all of it, and nodes of the host exist", in("vm.numa", "hypervisor.hostNodes")},
		10: {"CPU", "dedicated: each has one of its own, pinned or chosen, which no other machine is tied to; none to be added, at most 2 threads; CPUs for the emulator only then", in("vm.dedicated", "hypervisor.hostCPUs", "hypervisor.cpuFaults", "state.tieable")},
		11: {"memory", fmt.Sprintf("%d MiB to %d TiB, and no more at the start than in all; below %d it is asked «did you mean GiB?»", vm.MinMemoryMB, vm.MaxMemoryMB>>20, vm.MinMemoryMB), in("vm.size", "vm.memory")},
		12: {"memory", "below the system's minimum is a warning with that minimum", in("vm.minima")},
		13: {"memory", "hugepages: whole pages, of a size that the architecture has and the host has enough of; NUMA declared", in("vm.hugePages", "hypervisor.memory")},
		14: {"memory", fmt.Sprintf("locked only with a page size; to be added to from %d MiB on, through at most %d slots, as far as the host's addresses reach", vm.MinHotplugMB, vm.MaxSlots), in("vm.memory", "hypervisor.memory")},
	}
}

func rulesOfPlatform() map[int]rule {
	return map[int]rule{
		15: {"machine", "`q35` on x86-64, `virt` on arm64 and riscv64, `s390-ccw-virtio`, `pseries`; a type that the host has", in("vm.defaultMachine", "vm.machineAllowed", "hypervisor.machine")},
		16: {"machine", "the host's versioned type is recorded; later changes stay in the family, never down, only while stopped", in("hypervisor.observed", "vm.CheckMachineChange", "hypervisor.check")},
		17: {"machine", fmt.Sprintf("none newer than the host's QEMU has; QEMU from %s, libvirt from %s", minQEMU, minLibvirt), in("hypervisor.machine", "hypervisor.versions")},
		18: {"firmware", "UEFI where the system needs it or the architecture has nothing else; secure boot only with UEFI and q35, with SMM; without it, a firmware without it; TPM 2.0 with UEFI where the host can emulate one, always for Windows 11",
			in("vm.defaultFirmware", "vm.firmware", "hypervisor.uefi", "hypervisor.tpm", "hypervisor.trust")},
		19: {"firmware", "SEV only with UEFI, q35 and locked memory, on a host that has it; no UEFI on a 32-bit CPU", in("vm.sev", "vm.firmware", "hypervisor.trust")},
	}
}

func rulesOfDisks() map[int]rule {
	return map[int]rule{
		20: {"disks", "virtio where the system has drivers, else SATA on q35 and IDE on pc; drives on SATA, IDE or SCSI", in("vm.DiskBus", "vm.DriveBus", "vm.bus", "vm.drive")},
		21: {"disks", fmt.Sprintf("names vda … vdz, vdaa; at most %d volumes, %d on IDE, %d floppies, %d on SATA, %d PCI devices on machine pc", vm.MaxVolumes, vm.MaxIDE, vm.MaxFloppy, vm.MaxSATA, vm.MaxPCISlots),
			in("hypervisor.targetName", "vm.busRoom")},
		22: {"disks", "limits are not negative; a total excludes reading and writing of its kind", in("vm.qos")},
		23: {"disks", fmt.Sprintf("a disk has a size, to %d GiB, or a source; a CD-ROM is read-only", vm.MaxDiskGB), in("vm.disk", "vm.drive")},
		24: {"disks", "block devices: cache none, I/O native; new disks give back what is discarded; native only with cache none or directsync; io_uring from QEMU " + qemuIOURing + " and libvirt " + libvirtIOURing + " on",
			in("hypervisor.diskDriver", "vm.diskOptions", "hypervisor.hasIOURing")},
		25: {"disks", fmt.Sprintf("serials to %d printable bytes; boot orders from 1, each once", vm.MaxDiskSerial), in("vm.diskOptions", "vm.bootOrders")},
		26: {"disks", "a volume that another machine uses, in its backing chain too, only where both share it or only read", in("hypervisor.sourceFaults", "hypervisor.neighbours", "state.unused")},
		27: {"disks", "disks of full size fit into the pool; sparse ones beyond are a warning, or refused where the pool forbids it", in("hypervisor.space", "hypervisor.HostWarnings")},
		28: {"disks", "formats are declared, never probed: raw where nothing is said of what exists; what is stored is as declared; images with a backing or data file are refused",
			in("vm.normaliseVolume", "hypervisor.sourceFaults", "diskimage.Inspect")},
		29: {"disks", "queues and ioEventFD only on virtio", in("vm.virtioOnly")},
	}
}

func rulesOfDevices() map[int]rule {
	return map[int]rule{
		30: {"network", "MACs: unicast, chosen in 52:54:00, unique in the cluster; a conflict names the other machine", in("vm.mac", "vm.NewMAC", "state.creatable")},
		31: {"network", "virtio where the system has drivers, else e1000e on q35, e1000 on pc, else rtl8139", in("vm.NICModel", "vm.nicOptions")},
		32: {"network", fmt.Sprintf("VLAN 1–%d; MTU from %d to the bridge's; queues to the CPUs, at most %d; at most %d cards; names on the host to %d bytes", vm.MaxVLAN, vm.MinMTU, vm.MaxQueues, vm.MaxNICs, vm.MaxInterfaceName),
			in("vm.nicOptions", "vm.nics", "vm.hostInterface", "hypervisor.bridge")},
		33: {"devices", fmt.Sprintf("%d PCI Express ports are kept free for hotplug; devices of the host exist, each once, at most %d", sparePorts, vm.MaxHostDevices), in("hypervisor.expressPorts", "vm.devices", "hypervisor.devices")},
		34: {"clock", "Windows: local time, pit delayed, rtc caught up, no hpet, the Hyper-V clock; others UTC", in("vm.normaliseMachine", "hypervisor.clock")},
		35: {"devices", fmt.Sprintf("Hyper-V: relaxed, vapic, spinlocks %d, vpindex, runtime, synic, stimer, frequencies, tlbflush, ipi: under KVM, each if the host offers it and what it depends on is on", spinlockRetries), in("hypervisor.enlightenments")},
		36: {"devices", fmt.Sprintf("a channel for the guest agent, randomness from the host, a balloon that tells every %d s; no sleep states", balloonPeriod), in("hypervisor.devices", "hypervisor.powerManagement")},
		37: {"system", "a table of systems with minima and drivers; osinfo-db of the host extends it when it is there; an unknown version is as its type, with a warning", in("ostype.Lookup", "ostype.ReadOSInfo", "vm.Warn", "hypervisor.Warnings")},
	}
}

func rulesOfLife() map[int]rule {
	seconds := func(d time.Duration) int { return int(d.Seconds()) }
	return map[int]rule{
		38: {"stop", fmt.Sprintf("the guest is asked through its agent, else by ACPI, every %d s; after %d s, or what the definition says, SIGTERM, 10 s later SIGKILL; gone is success", seconds(defaultResend), vm.DefaultStopSeconds), in("hypervisor.askGuest", "hypervisor.kill")},
		39: {"delete", "with saved state, UEFI variables and TPM state; only volumes of its own; a base image that others stand on stays", in("libvirt.Undefine", "hypervisor.ownVolumes", "hypervisor.removeUnusedBase")},
		40: {"create", "a journal of steps with their undo: a failure or a crash leaves nothing behind", in("hypervisor.do", "hypervisor.Undo", "hypervisor.Pending")},
		41: {"start", fmt.Sprintf("%d s, or a second for each GiB; ×%d with PCI devices; at least %d s with hugepages; %d s more for each card", seconds(startBase), startPCI, seconds(startHugePages), seconds(startNIC)), in("hypervisor.startTimeout")},
		42: {"create", "what was made is read back and compared: a difference is an error that names it", in("hypervisor.verify", "hypervisor.Differences")},
		43: {"ownership", "owner and definition are in the domain, under " + "`" + MetadataNamespace + "`; a domain without them is listed and never touched", in("hypervisor.encode", "hypervisor.ours")},
		44: {"XML", "all text goes through an encoder, none is pasted; control characters are refused", in("domainxml.escape", "vm.text")},
		45: {"host", "CPUs, memory, pools, networks, machine type, firmware, accelerator: all is compared with the host before anything is made, and all faults are told at once", in("hypervisor.CheckHost")},
	}
}
