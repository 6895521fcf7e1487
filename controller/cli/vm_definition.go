package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/vm"
	"github.com/spf13/pflag"
)

// definitionFlags are the flags that say what a machine shall be.
type definitionFlags struct {
	text                            map[string]*string
	cpus                            uint32
	memory, disk                    size
	stopTimeout                     time.Duration
	labels, annotations, hostLabels pairs
	networks, bridges, nics         []string
	volumes                         []string
}

func newDefinitionFlags() *definitionFlags {
	return &definitionFlags{
		text:   map[string]*string{},
		memory: size{parse: parseMiB, unit: "MiB"},
		disk:   size{parse: parseGiB, unit: "GiB"},
	}
}

// textFlag is a flag that fills one field of text.
type textFlag struct {
	name, usage string
	field       func(*vm.Definition) *string
}

func textFlags() []textFlag {
	boot := func(d *vm.Definition) *vm.DirectBoot {
		if d.Boot == nil {
			d.Boot = &vm.DirectBoot{}
		}
		return d.Boot
	}
	return []textFlag{
		{"image", "`image` that the root disk is an overlay of", func(d *vm.Definition) *string { return &d.Image }},
		{"pool", "storage `pool` of the root disk", func(d *vm.Definition) *string { return &d.Pool }},
		{"kernel", "`image` of the kernel to boot directly", func(d *vm.Definition) *string { return &boot(d).Kernel }},
		{"initrd", "`image` of the initial RAM disk", func(d *vm.Definition) *string { return &boot(d).Initrd }},
		{"cmdline", "kernel command `line`", func(d *vm.Definition) *string { return &boot(d).Cmdline }},
		{"host", "only `host` to run on, by name or id", func(d *vm.Definition) *string { return &d.Placement.Host }},
		{"os-type", "guest operating `system`, such as debian or windows", func(d *vm.Definition) *string { return &d.OSType }},
		{"os-version", "`version` of the guest operating system", func(d *vm.Definition) *string { return &d.OSVersion }},
		{"arch", "guest `architecture`, such as x86_64", func(d *vm.Definition) *string { return &d.Arch }},
		{"machine", "machine `type`, such as q35", func(d *vm.Definition) *string { return &d.Machine }},
		{"firmware", "`firmware`: bios or uefi", func(d *vm.Definition) *string { return &d.Firmware }},
		{"uuid", "`uuid` that the machine shall have", func(d *vm.Definition) *string { return &d.UUID }},
	}
}

func (f *definitionFlags) register(fs *pflag.FlagSet) {
	fs.Uint32Var(&f.cpus, "cpus", 0, "`number` of virtual CPUs")
	fs.Var(&f.memory, "memory", "memory, such as 96MiB or 2GiB; a plain number is MiB")
	fs.Var(&f.disk, "disk", "size of the root disk, such as 20GiB; a plain number is GiB")
	for _, t := range textFlags() {
		f.text[t.name] = fs.String(t.name, "", t.usage)
	}
	fs.StringArrayVar(&f.networks, "network", nil, "`network` of the cluster or of the host to have a card on (repeatable)")
	fs.StringArrayVar(&f.bridges, "bridge", nil, "`bridge` of the host to have a card on (repeatable)")
	fs.StringArrayVar(&f.nics, "nic", nil, "network `card` in full: network=NAME|bridge=NAME[,model=M][,mac=M][,address=A][,security-group=G] (repeatable)")
	fs.StringArrayVar(&f.volumes, "volume", nil, "further `disk`: name=NAME,size=10GiB[,pool=P][,format=F][,image=I][,bus=B] (repeatable)")
	fs.Var(&f.labels, "label", "label to select the machine by (repeatable)")
	fs.Var(&f.annotations, "annotation", "note to remember with the machine (repeatable)")
	fs.Var(&f.hostLabels, "host-label", "label that the host must have (repeatable)")
	spanVar(fs, &f.stopTimeout, "stop-timeout", 0, "how long a graceful stop may take")
}

// apply puts the flags that were given over the definition.
func (f *definitionFlags) apply(def *vm.Definition, fs *pflag.FlagSet) error {
	for _, t := range textFlags() {
		if fs.Changed(t.name) {
			*t.field(def) = *f.text[t.name]
		}
	}
	f.applySizes(def, fs)
	def.Labels = merged(def.Labels, f.labels)
	def.Annotations = merged(def.Annotations, f.annotations)
	def.Placement.HostLabels = merged(def.Placement.HostLabels, f.hostLabels)
	if err := f.applyNICs(def); err != nil {
		return err
	}
	return f.applyVolumes(def)
}

func (f *definitionFlags) applySizes(def *vm.Definition, fs *pflag.FlagSet) {
	if fs.Changed("cpus") {
		def.CPUs = int(f.cpus)
	}
	if fs.Changed("memory") {
		def.MemoryMB = int(f.memory.value)
	}
	if fs.Changed("disk") {
		def.DiskGB = int(f.disk.value)
	}
	if fs.Changed("stop-timeout") {
		def.StopTimeoutSeconds = int(f.stopTimeout.Seconds())
	}
}

// applyNICs replaces the cards of the file, which have no names to match them by.
func (f *definitionFlags) applyNICs(def *vm.Definition) error {
	var cards []vm.NetworkInterface
	for _, name := range f.networks {
		cards = append(cards, vm.NetworkInterface{Network: name})
	}
	for _, name := range f.bridges {
		cards = append(cards, vm.NetworkInterface{Bridge: name})
	}
	for _, text := range f.nics {
		var card vm.NetworkInterface
		err := readFields("--nic", text, map[string]func(string) error{
			"network": into(&card.Network), "bridge": into(&card.Bridge), "model": into(&card.Model), "mac": into(&card.MAC),
			"address": into(&card.Address), "security-group": into(&card.SecurityGroup),
		})
		if err != nil {
			return err
		}
		cards = append(cards, card)
	}
	if len(cards) > 0 {
		def.NetworkInterfaces = cards
	}
	return nil
}

// applyVolumes replaces the file's volumes of the same names and adds the others.
func (f *definitionFlags) applyVolumes(def *vm.Definition) error {
	for _, text := range f.volumes {
		volume, err := parseVolume(text)
		if err != nil {
			return err
		}
		same := func(v vm.Volume) bool { return v.Name != "" && v.Name == volume.Name }
		if i := slices.IndexFunc(def.Volumes, same); i >= 0 {
			def.Volumes[i] = volume
		} else {
			def.Volumes = append(def.Volumes, volume)
		}
	}
	return nil
}

func parseVolume(text string) (v vm.Volume, err error) {
	err = readFields("--volume", text, map[string]func(string) error{
		"name": into(&v.Name), "pool": into(&v.Pool), "format": into(&v.Format), "image": into(&v.Image), "bus": into(&v.Bus),
		"size": func(text string) error {
			n, err := parseGiB(text)
			v.SizeGB = int(n)
			return err
		},
	})
	return v, err
}

func into(field *string) func(string) error {
	return func(text string) error {
		*field = text
		return nil
	}
}

// readFields reads key=value,key=value with the given keys only.
func readFields(flag, text string, fields map[string]func(string) error) error {
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		set, known := fields[key]
		keys := slices.Sorted(maps.Keys(fields))
		if !known {
			return usageError{fmt.Errorf("%s %q: there is no field %q", flag, text, key), "the fields are " + alternatives(keys)}
		}
		if value == "" {
			return usageError{fmt.Errorf("%s %q: %s has no value", flag, text, key), fmt.Sprintf("write %s=VALUE", key)}
		}
		if err := set(value); err != nil {
			return usagef("%s %q: %w", flag, text, err)
		}
	}
	return nil
}

// merged puts b over a.
func merged(a, b map[string]string) map[string]string {
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}
