package vm

import (
	"fmt"
	"maps"
	"strings"
)

// Values that Normalise fills in where neither the definition nor Defaults says otherwise.
const (
	DefaultProject     = "default"
	DefaultPool        = "default"
	DefaultNetwork     = "default"
	DefaultOSType      = "linux"
	DefaultOSVersion   = "generic"
	DefaultArch        = "x86_64"
	DefaultStopSeconds = 60
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
// and leaves wrong values as they are, for Validate to name.
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
	fill(&def.Machine, defaultMachine(def.Arch))
	fill(&def.Firmware, defaultFirmware(def.Arch))
	if def.StopTimeoutSeconds == 0 {
		def.StopTimeoutSeconds = DefaultStopSeconds
	}
	normaliseVolumes(&def)
	normaliseNICs(&def, d.NewMAC)
	return def
}

// Clone copies a definition with everything that it refers to. Empty maps and lists become nil, so that definitions
// compare equal wherever they came from.
func Clone(def Definition) Definition {
	def.Labels = cloneMap(def.Labels)
	def.Annotations = cloneMap(def.Annotations)
	def.Volumes = append([]Volume(nil), def.Volumes...)
	def.NetworkInterfaces = append([]NetworkInterface(nil), def.NetworkInterfaces...)
	def.Placement.HostLabels = cloneMap(def.Placement.HostLabels)
	if def.Boot != nil {
		boot := *def.Boot
		def.Boot = &boot
	}
	return def
}

func cloneMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

func normaliseVolumes(def *Definition) {
	taken := map[string]bool{RootVolume: true}
	for _, v := range def.Volumes {
		taken[v.Name] = true
	}
	for i := range def.Volumes {
		v := &def.Volumes[i]
		if v.Name == "" {
			v.Name = freeName(taken)
			taken[v.Name] = true
		}
		fill(&v.Pool, def.Pool)
		fill(&v.Format, FormatQcow2)
		fill(&v.Bus, DiskBus(def.OSType, def.Machine))
	}
}

// freeName is the first of data-1, data-2, … that is not taken.
func freeName(taken map[string]bool) string {
	for n := 1; ; n++ {
		if name := fmt.Sprintf("data-%d", n); !taken[name] {
			return name
		}
	}
}

func normaliseNICs(def *Definition, newMAC func() string) {
	used := map[string]bool{}
	for i := range def.NetworkInterfaces {
		n := &def.NetworkInterfaces[i]
		n.MAC = strings.ToLower(n.MAC)
		used[n.MAC] = true
	}
	for i := range def.NetworkInterfaces {
		n := &def.NetworkInterfaces[i]
		if n.Bridge == "" {
			fill(&n.Network, DefaultNetwork)
		}
		fill(&n.Model, NICModel(def.OSType, def.Machine))
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
