package hypervisor

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/vm"
)

const (
	// sparePorts are PCI Express ports kept free for devices that are plugged in later.
	sparePorts = 14
	// tbCacheMiB keeps QEMU's translation cache small under software emulation.
	tbCacheMiB = 16
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
	// bases are the imported images, by name in the definition.
	bases []BaseRef
}

var _ XMLTemplateGenerator = (*Template)(nil)

// ValidateDefinition returns every fault of a definition at once, as vm.Faults.
func (t *Template) ValidateDefinition(def *VMDefinition) error { return vm.Validate(*def) }

// GenerateXML generates a complete domain. The definition must be valid; what it leaves empty takes its default,
// and a definition without a UUID gets one from libvirt.
func (t *Template) GenerateXML(def *VMDefinition) (string, error) {
	if err := t.ValidateDefinition(def); err != nil {
		return "", err
	}
	normal := vm.Normalise(*def, vm.Defaults{})
	meta, err := metadata{Owner: t.Owner, Definition: &normal, Bases: t.bases}.encode(false)
	if err != nil {
		return "", err
	}
	domain := t.domain(&normal)
	domain.Metadata = &libvirtxml.DomainMetadata{XML: meta}
	text, err := domain.Marshal()
	if err != nil {
		return "", fmt.Errorf("generate the XML of %s: %w", def.Name, err)
	}
	return text, nil
}

func (t *Template) domain(def *VMDefinition) *libvirtxml.Domain {
	return &libvirtxml.Domain{
		Type:       t.Accelerator,
		Name:       DomainName(def),
		UUID:       def.UUID,
		Memory:     &libvirtxml.DomainMemory{Value: uint(def.MemoryMB), Unit: "MiB"},
		VCPU:       &libvirtxml.DomainVCPU{Value: uint(def.CPUs)},
		OS:         t.os(def),
		Features:   t.features(def),
		CPU:        GuestCPU(t.Accelerator),
		Clock:      clock(def),
		OnPoweroff: "destroy",
		OnReboot:   "restart",
		OnCrash:    "destroy",
		PM:         powerManagement(def),
		Devices:    t.devices(def),
	}
}

func (t *Template) os(def *VMDefinition) *libvirtxml.DomainOS {
	os := &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: def.Arch, Machine: def.Machine, Type: "hvm"}}
	if def.Firmware == vm.FirmwareUEFI {
		os.Firmware = "efi"
	}
	if def.Boot == nil {
		os.BootDevices = []libvirtxml.DomainBootDevice{{Dev: "hd"}}
		return os
	}
	os.Kernel = t.basePath(def.Boot.Kernel)
	if def.Boot.Initrd != "" {
		os.Initrd = t.basePath(def.Boot.Initrd)
	}
	os.Cmdline = def.Boot.Cmdline
	return os
}

// basePath is where an imported image lies in its pool. Before the import there is none, and the name stands in.
func (t *Template) basePath(image string) string {
	for _, b := range t.bases {
		if b.Image == image && b.Format == bootFormat {
			return b.Path
		}
	}
	return image
}

func (t *Template) features(def *VMDefinition) *libvirtxml.DomainFeatureList {
	f := &libvirtxml.DomainFeatureList{}
	if hasACPI(def.Arch) {
		f.ACPI = &libvirtxml.DomainFeature{}
	}
	if isPC(def.Arch) {
		f.APIC = &libvirtxml.DomainFeatureAPIC{}
	}
	if t.Accelerator == AcceleratorQEMU {
		f.TCG = &libvirtxml.DomainFeatureTCG{TBCache: &libvirtxml.DomainFeatureTCGTBCache{Unit: "MiB", Size: tbCacheMiB}}
	}
	return f
}

// GuestCPU is the host's own processor where the accelerator passes it through, else all that emulation offers.
func GuestCPU(accelerator string) *libvirtxml.DomainCPU {
	switch accelerator {
	case AcceleratorKVM:
		return &libvirtxml.DomainCPU{Mode: "host-passthrough", Check: "none", Migratable: "on"}
	case AcceleratorQEMU:
		return &libvirtxml.DomainCPU{Mode: "maximum", Check: "none"}
	default:
		return nil
	}
}

// clock is local time with lenient timers for Windows, UTC for everything else.
func clock(def *VMDefinition) *libvirtxml.DomainClock {
	if def.OSType != "windows" {
		return &libvirtxml.DomainClock{Offset: "utc"}
	}
	return &libvirtxml.DomainClock{Offset: "localtime", Timer: []libvirtxml.DomainTimer{
		{Name: "rtc", TickPolicy: "catchup"},
		{Name: "pit", TickPolicy: "delay"},
		{Name: "hpet", Present: "no"},
		{Name: "hypervclock", Present: "yes"},
	}}
}

// powerManagement keeps guests from suspending themselves into states that only a user could end.
func powerManagement(def *VMDefinition) *libvirtxml.DomainPM {
	if !isPC(def.Arch) {
		return nil
	}
	return &libvirtxml.DomainPM{
		SuspendToMem:  &libvirtxml.DomainPMPolicy{Enabled: "no"},
		SuspendToDisk: &libvirtxml.DomainPMPolicy{Enabled: "no"},
	}
}

func isPC(arch string) bool { return arch == "x86_64" || arch == "i686" }

func hasACPI(arch string) bool { return isPC(arch) || arch == "aarch64" || arch == "riscv64" }
