package hypervisor

import (
	"fmt"
	"slices"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor/domainxml"
	"github.com/novacron/novacron/vm"
)

const (
	// sparePorts are PCI Express ports kept free for devices that are plugged in later.
	sparePorts = 14
	// Under software emulation QEMU keeps the code that it translated: a part of the guest's memory. Twice what an idle guest
	// needs spares it translating again and again; QEMU's own 1 GiB would be most of what small guests take.
	tbCacheShare  = 8
	tbCacheMinMiB = 16
	tbCacheMaxMiB = 256
	// balloonPeriod is in seconds.
	balloonPeriod = 10
)

// Template generates the XML of machines for one kind of host. Text reaches the XML through an encoder alone.
type Template struct {
	// Accelerator is the domain type: "kvm" or "qemu".
	Accelerator string
	// ConsoleLogDir is where serial output is recorded; empty means nowhere.
	ConsoleLogDir string
	// Owner goes into the metadata.
	Owner Owner
	// Host is what the host offers its guests. What is not known of it is left to libvirt.
	Host HostFacts
	// CPUBaseline is the processor model that all hosts of the cluster have, where they differ; empty means that they do not.
	CPUBaseline string
	// bases are the imported images, by name in the definition.
	bases []BaseRef
}

var _ XMLTemplateGenerator = (*Template)(nil)

// ValidateDefinition returns every fault of a definition at once, as vm.Faults.
func (t *Template) ValidateDefinition(def *VMDefinition) error { return vm.Validate(*def) }

// GenerateXML generates a complete domain. The definition must be valid; what it leaves empty takes its default,
// and a definition without a UUID gets one from libvirt.
func (t *Template) GenerateXML(def *VMDefinition) (string, error) {
	normal, err := vm.Checked(*def)
	if err != nil {
		return "", err
	}
	meta, err := metadata{Owner: t.Owner, Definition: &normal, Bases: t.bases}.encode(false)
	if err != nil {
		return "", err
	}
	domain := t.domain(&normal)
	domain.Metadata = &libvirtxml.DomainMetadata{XML: meta}
	text, err := domainxml.Domain(domain)
	if err != nil {
		return "", fmt.Errorf("generate the XML of %s: %w", def.Name, err)
	}
	return text, nil
}

func (t *Template) domain(def *VMDefinition) *libvirtxml.Domain {
	return &libvirtxml.Domain{
		Type:           t.Accelerator,
		Name:           DomainName(def),
		UUID:           def.UUID,
		Memory:         &libvirtxml.DomainMemory{Value: uint(def.MemoryMB), Unit: "MiB"},
		CurrentMemory:  initialMemory(def),
		MaximumMemory:  maximumMemory(def),
		MemoryBacking:  memoryBacking(def),
		VCPU:           vcpus(def),
		CPUTune:        cpuTune(def),
		NUMATune:       numaTune(def),
		OS:             t.os(def),
		Features:       t.features(def),
		CPU:            t.cpu(def),
		Clock:          clock(def),
		OnPoweroff:     "destroy",
		OnReboot:       "restart",
		OnCrash:        onCrash(def),
		PM:             powerManagement(def),
		LaunchSecurity: t.launchSecurity(def),
		Devices:        t.devices(def),
	}
}

func onCrash(def *VMDefinition) string {
	if def.RestartPolicy == vm.RestartNever {
		return "destroy"
	}
	return "restart"
}

func (t *Template) os(def *VMDefinition) *libvirtxml.DomainOS {
	os := &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: def.Arch, Machine: def.Machine, Type: "hvm"}}
	uefi(def, os)
	if def.Boot == nil {
		if !ordered(def) {
			os.BootDevices = []libvirtxml.DomainBootDevice{{Dev: "hd"}}
		}
		return os
	}
	os.Kernel = t.basePath(def.Boot.Kernel)
	if def.Boot.Initrd != "" {
		os.Initrd = t.basePath(def.Boot.Initrd)
	}
	os.Cmdline = def.Boot.Cmdline
	return os
}

// uefi asks for a firmware that has secure boot, or for one that has not: left to itself libvirt takes the first that
// the host has, and that often has it.
func uefi(def *VMDefinition, os *libvirtxml.DomainOS) {
	if def.Firmware != vm.FirmwareUEFI {
		return
	}
	os.Firmware = "efi"
	features := []libvirtxml.DomainOSFirmwareFeature{{Enabled: "no", Name: "secure-boot"}}
	if vm.On(def.SecureBoot) {
		features = []libvirtxml.DomainOSFirmwareFeature{{Enabled: "yes", Name: "enrolled-keys"}, {Enabled: "yes", Name: "secure-boot"}}
		os.Loader = &libvirtxml.DomainLoader{Secure: "yes"}
	}
	os.FirmwareInfo = &libvirtxml.DomainOSFirmwareInfo{Features: features}
}

// ordered tells whether devices say themselves in which order they are started from.
func ordered(def *VMDefinition) bool {
	return def.BootsISO() || asksForOrder(def)
}

func asksForOrder(def *VMDefinition) bool {
	return def.RootDisk.BootOrder > 0 ||
		slices.ContainsFunc(def.Volumes, func(v Volume) bool { return v.BootOrder > 0 }) ||
		slices.ContainsFunc(def.NetworkInterfaces, func(n NetworkInterface) bool { return n.BootOrder > 0 })
}

// base finds an image that was imported as it is into a pool; any pool where none is named.
func (t *Template) base(image, pool string) (BaseRef, bool) {
	for _, b := range t.bases {
		if b.Image == image && b.Format == bootFormat && (pool == "" || b.Pool == pool) {
			return b, true
		}
	}
	return BaseRef{}, false
}

// basePath is where an imported image lies in its pool. Before the import there is none, and the name stands in.
func (t *Template) basePath(image string) string {
	if b, ok := t.base(image, ""); ok {
		return b.Path
	}
	return image
}

func (t *Template) features(def *VMDefinition) *libvirtxml.DomainFeatureList {
	f := &libvirtxml.DomainFeatureList{HyperV: t.hyperV(def)}
	if hasACPI(def.Arch) {
		f.ACPI = &libvirtxml.DomainFeature{}
	}
	if vm.IsPC(def.Arch) {
		f.APIC = &libvirtxml.DomainFeatureAPIC{}
	}
	if vm.On(def.SecureBoot) {
		f.SMM = &libvirtxml.DomainFeatureSMM{State: "on"}
	}
	if t.Accelerator == AcceleratorQEMU {
		f.TCG = &libvirtxml.DomainFeatureTCG{TBCache: &libvirtxml.DomainFeatureTCGTBCache{Unit: "MiB", Size: tbCache(def)}}
	}
	return f
}

// tbCache is how many MiB of translated code a guest has kept: by its memory, and the most where CPUs can be plugged in.
// QEMU 7.2 aborts when a CPU comes while the cache is all handed out («tcg_region_initial_alloc__locked»).
func tbCache(def *VMDefinition) uint {
	if def.CPU.Max > def.CPUs {
		return tbCacheMaxMiB
	}
	return uint(min(max(def.MemoryMB/tbCacheShare, tbCacheMinMiB), tbCacheMaxMiB))
}

// clock has lenient timers for Windows.
func clock(def *VMDefinition) *libvirtxml.DomainClock {
	c := &libvirtxml.DomainClock{Offset: def.Clock}
	if def.System().Windows && vm.IsPC(def.Arch) {
		c.Timer = []libvirtxml.DomainTimer{
			{Name: "rtc", TickPolicy: "catchup"},
			{Name: "pit", TickPolicy: "delay"},
			{Name: "hpet", Present: "no"},
			{Name: "hypervclock", Present: "yes"},
		}
	}
	return c
}

// powerManagement keeps guests from suspending themselves into states that only a user could end.
func powerManagement(def *VMDefinition) *libvirtxml.DomainPM {
	if !vm.IsPC(def.Arch) {
		return nil
	}
	return &libvirtxml.DomainPM{
		SuspendToMem:  &libvirtxml.DomainPMPolicy{Enabled: "no"},
		SuspendToDisk: &libvirtxml.DomainPMPolicy{Enabled: "no"},
	}
}

// sevPolicy forbids debugging and sharing of keys.
const sevPolicy = 3

func (t *Template) launchSecurity(def *VMDefinition) *libvirtxml.DomainLaunchSecurity {
	if def.LaunchSecurity != vm.LaunchSEV {
		return nil
	}
	policy := uint(sevPolicy)
	sev := &libvirtxml.DomainLaunchSecuritySEV{Policy: &policy}
	if g := t.Host.Guest; g != nil && g.SEV != nil {
		sev.CBitPos, sev.ReducedPhysBits = &g.SEV.CBitPos, &g.SEV.ReducedPhysBits
	}
	return &libvirtxml.DomainLaunchSecurity{SEV: sev}
}

func hasACPI(arch string) bool { return vm.IsPC(arch) || arch == "aarch64" || arch == "riscv64" }
