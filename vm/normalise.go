package vm

import (
	"fmt"
	"strings"

	"github.com/novacron/novacron/vm/ostype"
)

// Values that Normalise fills in where neither the definition nor Defaults says otherwise.
const (
	DefaultProject     = "default"
	DefaultPool        = "default"
	DefaultNetwork     = "default"
	DefaultOSType      = "linux"
	DefaultOSVersion   = ostype.Generic
	DefaultArch        = "x86_64"
	DefaultStopSeconds = 60
	DefaultSlots       = 16
)

// Defaults are what Normalise takes from its surroundings. It has no clock and no randomness of its own.
type Defaults struct {
	// Pool is for disks that name none; empty means DefaultPool.
	Pool string
	// NewUUID and NewMAC choose identities; where nil, missing ones stay empty.
	NewUUID func() string
	NewMAC  func() string
}

// Normalise fills in every field that was left empty. It is idempotent, shares no memory with its argument,
// and leaves wrong values as they are, for Validate to name. What depends on the host stays open: the generator of
// the XML chooses it there.
func Normalise(def Definition, d Defaults) Definition {
	def = Clone(def)
	fill(&def.Project, DefaultProject)
	fill(&def.Pool, d.Pool)
	fill(&def.Pool, DefaultPool)
	fill(&def.OSType, DefaultOSType)
	fill(&def.OSVersion, DefaultOSVersion)
	fill(&def.Arch, DefaultArch)
	def.OSType = strings.ToLower(def.OSType)
	def.UUID = strings.ToLower(def.UUID)
	if def.UUID == "" && d.NewUUID != nil {
		def.UUID = d.NewUUID()
	}
	if def.StopTimeoutSeconds == 0 {
		def.StopTimeoutSeconds = DefaultStopSeconds
	}
	system := def.System()
	normaliseMachine(&def, system)
	normaliseCPU(&def)
	normaliseMemory(&def.Memory)
	normaliseDevices(&def, system)
	normaliseVolumes(&def, system)
	normaliseNICs(&def, system, d.NewMAC)
	normaliseIntent(&def)
	return def
}

func normaliseMachine(def *Definition, s ostype.System) {
	fill(&def.Machine, defaultMachine(def.Arch))
	fill(&def.Firmware, defaultFirmware(def.Arch, s))
	choose(&def.SecureBoot, s.SecureBoot && def.Firmware == FirmwareUEFI && IsQ35(def.Machine))
	if s.TPM {
		fill(&def.TPM, TPM2)
	}
	fill(&def.TPM, TPMAuto)
	fill(&def.LaunchSecurity, "none")
	if s.Windows {
		fill(&def.Clock, ClockLocal)
	}
	fill(&def.Clock, ClockUTC)
	choose(&def.HyperV, s.Windows && IsPC(def.Arch))
}

// normaliseCPU fills in the parts of a topology that were left out, cores first. Without any part there is none.
func normaliseCPU(def *Definition) {
	c := &def.CPU
	if c.Model != "" {
		fill(&c.Mode, CPUCustom)
	}
	if c.Sockets == 0 && c.Dies == 0 && c.Cores == 0 && c.Threads == 0 {
		return
	}
	rest := max(def.CPUs, c.Max)
	for _, given := range []int{c.Sockets, c.Dies, c.Cores, c.Threads} {
		if given > 0 && rest%given == 0 {
			rest /= given
		}
	}
	for _, part := range []*int{&c.Cores, &c.Sockets, &c.Dies, &c.Threads} {
		if *part == 0 {
			*part, rest = max(rest, 1), 1
		}
	}
}

func normaliseMemory(m *Memory) {
	choose(&m.Balloon, true)
	if m.MaxMB > 0 && m.Slots == 0 {
		m.Slots = DefaultSlots
	}
	m.HugePages = strings.ToUpper(m.HugePages)
}

func normaliseDevices(def *Definition, s ostype.System) {
	d := &def.Devices
	choose(&d.Serial, true)
	choose(&d.GuestAgent, true)
	choose(&d.RNG, true)
	if s.Windows {
		fill(&d.Graphics, GraphicsVNC)
	}
	fill(&d.Graphics, GraphicsNone)
	for i := range d.HostDevices {
		h := &d.HostDevices[i]
		h.PCI, h.USB = strings.ToLower(h.PCI), strings.ToLower(h.USB)
		if strings.Count(h.PCI, ":") == 1 {
			h.PCI = "0000:" + h.PCI
		}
	}
}

func normaliseIntent(def *Definition) {
	choose(&def.Autostart, true)
	fill(&def.RestartPolicy, RestartAlways)
	fill(&def.EvacuationPolicy, EvacuateMigrate)
	if def.CloudInit != nil {
		fill(&def.CloudInit.Hostname, Hostname(def.Name, def.UUID))
	}
}

func normaliseVolumes(def *Definition, s ostype.System) {
	if def.DiskGB > 0 {
		fill(&def.RootDisk.Format, FormatQcow2)
		fill(&def.RootDisk.Bus, DiskBus(s, def.Machine))
		fill(&def.RootDisk.Discard, DiscardUnmap)
	}
	taken := map[string]bool{RootVolume: true}
	for _, v := range def.Volumes {
		taken[v.Name] = true
	}
	last := 0
	for i := range def.Volumes {
		v := &def.Volumes[i]
		if v.Name == "" {
			v.Name, last = freeName(taken, last)
		}
		fill(&v.Pool, def.Pool)
		fill(&v.Device, DeviceDisk)
		normaliseVolume(v, DiskBus(s, def.Machine), def.Machine)
	}
}

// normaliseVolume fills in a volume whose kind is known. What exists already and is not declared is raw.
func normaliseVolume(v *Volume, bus, machine string) {
	if v.Device != DeviceDisk {
		fill(&v.Bus, DriveBus(v.Device, machine))
		fill(&v.Format, FormatRaw)
		v.ReadOnly = v.ReadOnly || v.Device == DeviceCDROM
		return
	}
	if v.Source != "" {
		fill(&v.Format, FormatRaw)
	}
	fill(&v.Format, FormatQcow2)
	if v.ReadOnly && bus != BusVirtio {
		bus = BusSCSI
	}
	fill(&v.Bus, bus)
	if !v.ReadOnly {
		fill(&v.Discard, DiscardUnmap)
	}
}

// freeName is the first of data-1, data-2, … after the last one given that is not taken, and its number.
func freeName(taken map[string]bool, last int) (string, int) {
	for n := last + 1; ; n++ {
		if name := fmt.Sprintf("data-%d", n); !taken[name] {
			return name, n
		}
	}
}

func normaliseNICs(def *Definition, s ostype.System, newMAC func() string) {
	used := map[string]bool{}
	for i := range def.NetworkInterfaces {
		n := &def.NetworkInterfaces[i]
		n.MAC = strings.ToLower(n.MAC)
		used[n.MAC] = true
	}
	for i := range def.NetworkInterfaces {
		n := &def.NetworkInterfaces[i]
		if n.Bridge == "" && !n.User {
			fill(&n.Network, DefaultNetwork)
		}
		fill(&n.Model, NICModel(s, def.Machine))
		if n.MAC == "" && newMAC != nil {
			n.MAC = unusedMAC(used, newMAC)
		}
	}
}

// unusedMAC draws until the address is new within the machine; a source that repeats itself is given up on.
func unusedMAC(used map[string]bool, newMAC func() string) string {
	mac := newMAC()
	for tries := 0; used[mac] && tries < 16; tries++ {
		mac = newMAC()
	}
	used[mac] = true
	return mac
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// choose decides what was left open.
func choose(field **bool, value bool) {
	if *field == nil {
		*field = &value
	}
}

// On tells whether an open or decided choice is on.
func On(choice *bool) bool { return choice != nil && *choice }
