package hypervisor

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm"
)

const someID = "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f"

func generate(t require.TestingT, template Template, def vm.Definition) *libvirtxml.Domain {
	text, err := template.GenerateXML(&def)
	require.NoError(t, err)
	return parsed(t, text)
}

func parsed(t require.TestingT, text string) *libvirtxml.Domain {
	var d libvirtxml.Domain
	require.NoError(t, d.Unmarshal(text), text)
	return &d
}

func small() vm.Definition {
	return vm.Definition{Name: "web", UUID: someID, CPUs: 2, MemoryMB: 512, DiskGB: 4,
		Volumes:           []vm.Volume{{Name: "data", SizeGB: 1}},
		NetworkInterfaces: []vm.NetworkInterface{{MAC: "52:54:00:00:00:01"}, {Bridge: "br0", Model: "e1000e", MAC: "52:54:00:00:00:02"}}}
}

func TestTranslationCacheGrowsWithTheGuest(t *testing.T) {
	for memory, want := range map[int]uint{1: 16, 96: 16, 512: 64, 2048: 256, 1 << 20: 256} {
		require.Equal(t, want, tbCache(&vm.Definition{MemoryMB: memory, CPUs: 2, CPU: vm.CPU{Max: 2}}), memory)
	}
	require.EqualValues(t, 256, tbCache(&vm.Definition{MemoryMB: 96, CPUs: 2, CPU: vm.CPU{Max: 3}}), "a CPU can be plugged in")
}

func TestGeneratedDomain(t *testing.T) {
	d := generate(t, Template{Accelerator: AcceleratorQEMU, ConsoleLogDir: "/logs"}, small())
	require.Equal(t, "qemu", d.Type)
	require.Equal(t, "web", d.Name)
	require.Equal(t, someID, d.UUID)
	require.EqualValues(t, 512, d.Memory.Value)
	require.Equal(t, "MiB", d.Memory.Unit)
	require.EqualValues(t, 2, d.VCPU.Value)
	require.Equal(t, "maximum", d.CPU.Mode)
	require.EqualValues(t, 64, d.Features.TCG.TBCache.Size)
	require.Equal(t, "utc", d.Clock.Offset)
	require.Equal(t, "no", d.PM.SuspendToMem.Enabled)
	require.Equal(t, "no", d.PM.SuspendToDisk.Enabled)
	require.Len(t, d.Devices.Disks, 2)
	require.Equal(t, "vda", d.Devices.Disks[0].Target.Dev)
	require.Equal(t, "vdb", d.Devices.Disks[1].Target.Dev)
	require.Equal(t, "nc-"+someID+"-root.qcow2", d.Devices.Disks[0].Source.Volume.Volume)
	require.Equal(t, "qcow2", d.Devices.Disks[0].Driver.Type, "formats are declared, never probed")
	require.Equal(t, "default", d.Devices.Interfaces[0].Source.Network.Network)
	require.Equal(t, "br0", d.Devices.Interfaces[1].Source.Bridge.Bridge)
	require.Equal(t, "/logs/nc-"+someID+"-console.log", d.Devices.Serials[0].Log.File)
	require.Equal(t, agentChannel, d.Devices.Channels[0].Target.VirtIO.Name)
	require.Equal(t, "/dev/urandom", d.Devices.RNGs[0].Backend.Random.Device)
	require.EqualValues(t, balloonPeriod, d.Devices.MemBalloon.Stats.Period)
	normal := vm.Normalise(small(), vm.Defaults{})
	require.Empty(t, compare(&normal, d))
}

func TestSparePortsForHotplug(t *testing.T) {
	ports := func(def vm.Definition) (n int) {
		for _, c := range generate(t, Template{Accelerator: AcceleratorKVM}, def).Devices.Controllers {
			if c.Model == "pcie-root-port" {
				n++
			}
		}
		return n
	}
	def := small()
	require.Equal(t, 14+3+2+2, ports(def))
	def.Volumes[0].Bus = "scsi"
	require.Equal(t, 14+3+2+2, ports(def))
	def.Machine = "pc"
	def.NetworkInterfaces[1].Model = "e1000"
	require.Zero(t, ports(def))
}

func TestWindowsGetsItsClockAndDevices(t *testing.T) {
	def := small()
	def.OSType = "windows"
	d := generate(t, Template{Accelerator: AcceleratorKVM}, def)
	require.Equal(t, "localtime", d.Clock.Offset)
	require.Equal(t, "sda", d.Devices.Disks[0].Target.Dev)
	require.Equal(t, "sata", d.Devices.Disks[0].Target.Bus)
	require.Equal(t, "e1000e", d.Devices.Interfaces[0].Model.Type)
	require.Equal(t, "host-passthrough", d.CPU.Mode)
	require.Nil(t, d.Features.TCG)
}

func TestFirmwareAndBoot(t *testing.T) {
	def := small()
	def.Firmware = "uefi"
	def.Boot = &vm.DirectBoot{Kernel: "k", Initrd: "i", Cmdline: `a="<&>"`}
	d := generate(t, Template{bases: []BaseRef{{Image: "k", Format: bootFormat, Path: "/pool/k"}, {Image: "k", Format: "raw", Path: "/no"}}}, def)
	require.Equal(t, "efi", d.OS.Firmware)
	require.Equal(t, "/pool/k", d.OS.Kernel)
	require.Equal(t, "i", d.OS.Initrd)
	require.Equal(t, `a="<&>"`, d.OS.Cmdline)
	require.Nil(t, d.Devices.Interfaces[0].Boot)
}

func TestTargetNamesCountInBijectiveBase26(t *testing.T) {
	for n, want := range map[int]string{0: "vda", 25: "vdz", 26: "vdaa", 51: "vdaz", 52: "vdba", 701: "vdzz", 702: "vdaaa"} {
		require.Equal(t, want, targetName("virtio", n))
	}
	require.Equal(t, "hdb", targetName("ide", 1))
	require.Equal(t, "sdc", targetName("scsi", 2))
}

// SATA and SCSI disks share their names.
func TestTargetNamesAreUnique(t *testing.T) {
	def := small()
	def.OSType = "windows"
	def.Volumes = []vm.Volume{{SizeGB: 1, Bus: "scsi"}, {SizeGB: 1, Bus: "virtio"}, {SizeGB: 1, Bus: "sata"}}
	var names []string
	for _, disk := range generate(t, Template{}, def).Devices.Disks {
		names = append(names, disk.Target.Dev)
	}
	require.Equal(t, []string{"sda", "sdb", "vda", "sdc"}, names)
}

func TestProjectKeepsNamesApart(t *testing.T) {
	require.Equal(t, "web", DomainName(&vm.Definition{Name: "web", Project: "default"}))
	require.Equal(t, "lab.web", DomainName(&vm.Definition{Name: "web", Project: "lab"}))
}

// Attacks 21 and 26: whatever text a definition carries, the XML has the elements that it has without it, and the
// text comes back equal.
func TestTextCannotBecomeXML(t *testing.T) {
	plain := elements(t, Template{}, small())
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.SampledFrom([]string{`'/><qemu:commandline>`, `]]>`, `<!ENTITY x "y">`, `&x;`, `--><!--`, `"; reboot; "`, `$(reboot)`, "-o", `</definition></novacron:vm>`}),
			rapid.StringN(0, 60, 200).Filter(func(s string) bool { return clean(s) }),
		).Draw(t, "text")
		def := small()
		def.Annotations = map[string]string{"note": text}
		def.Labels = map[string]string{"label": text}
		require.Equal(t, plain, elements(t, Template{}, def))
		d := generate(t, Template{Owner: Owner{ClusterID: text}}, def)
		meta, err := decodeMetadata(d.Metadata.XML)
		require.NoError(t, err)
		require.Equal(t, text, meta.Definition.Annotations["note"])
		require.Equal(t, text, meta.Definition.Labels["label"])
		require.Equal(t, text, meta.Owner.ClusterID)
	})
}

// clean tells whether a definition may carry the text at all.
func clean(s string) bool {
	return vm.Validate(vm.Definition{Name: "a", CPUs: 1, MemoryMB: 64, Labels: map[string]string{"a": s}}) == nil
}

// elements lists the names of a domain's elements.
func elements(t require.TestingT, template Template, def vm.Definition) []string {
	text, err := template.GenerateXML(&def)
	require.NoError(t, err)
	var names []string
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		require.NoError(t, err, text)
		if e, ok := token.(xml.StartElement); ok {
			names = append(names, e.Name.Local)
		}
	}
}

// Attack 23: what names a program or file of the host never reaches the XML.
func TestPathsAreRefused(t *testing.T) {
	for _, change := range []func(*vm.Definition){
		func(d *vm.Definition) { d.Machine = "/bin/sh" },
		func(d *vm.Definition) { d.Arch = "../../bin/sh" },
		func(d *vm.Definition) { d.Firmware = "/etc/shadow" },
		func(d *vm.Definition) { d.Boot = &vm.DirectBoot{Kernel: "/etc/shadow"} },
		func(d *vm.Definition) { d.Pool = "../x" },
		func(d *vm.Definition) { d.Volumes[0].Name = "../x" },
		func(d *vm.Definition) { d.NetworkInterfaces[0].Model = "x'/><script path='/bin/sh'/>" },
	} {
		def := small()
		change(&def)
		_, err := (&Template{}).GenerateXML(&def)
		var faults vm.Faults
		require.ErrorAs(t, err, &faults)
	}
}

// Attack 22: entities in what others wrote into a domain are not expanded, and nothing is fetched.
func TestEntitiesAreRefused(t *testing.T) {
	bomb := `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>`
	for _, text := range []string{
		`<v:vm xmlns:v="` + MetadataNamespace + `" version="1"><cluster>&b;</cluster></v:vm>`,
		`<v:vm xmlns:v="` + MetadataNamespace + `" version="1"><cluster>&xxe;</cluster><definition>{}</definition></v:vm>`,
	} {
		_, err := decodeMetadata(bomb + text)
		require.Error(t, err)
		_, err = ParseDomain(bomb + `<domain><name>&b;</name></domain>`)
		require.Error(t, err)
	}
}

func TestMetadataOfOthersIsNotOurs(t *testing.T) {
	_, err := decodeMetadata(`<x:y xmlns:x="urn:other"><vm version="1"/></x:y>`)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = decodeMetadata("")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = decodeMetadata(`<v:vm xmlns:v="` + MetadataNamespace + `" version="2"/>`)
	require.ErrorContains(t, err, "upgrade")
}

func TestStartTimeoutGrowsWithTheMachine(t *testing.T) {
	require.Equal(t, "30s", startTimeout(&vm.Definition{MemoryMB: 1024}).String())
	require.Equal(t, "1m10s", startTimeout(&vm.Definition{MemoryMB: 60 << 10, NetworkInterfaces: make([]vm.NetworkInterface, 2)}).String())
}

func TestCompareNamesEachDifference(t *testing.T) {
	def := vm.Normalise(small(), vm.Defaults{})
	other := small()
	other.CPUs, other.MemoryMB, other.Name = 1, 256, "other"
	other.NetworkInterfaces[0].MAC = "52:54:00:00:00:09"
	other.Volumes = nil
	differences := compare(&def, generate(t, Template{}, other))
	require.Len(t, differences, 5, fmt.Sprint(differences))
	require.Contains(t, differences[1], "cpus is 1 instead of 2")
}

func FuzzMetadata(f *testing.F) {
	good, err := metadata{Owner: Owner{"c", 1, 2}, Definition: &vm.Definition{Name: "a"}}.encode(false)
	require.NoError(f, err)
	f.Add(good)
	f.Add(`<a><b/></a>`)
	f.Fuzz(func(t *testing.T, text string) {
		meta, err := decodeMetadata(text)
		if err == nil {
			require.NotNil(t, meta.Definition)
		}
		_, _ = ParseDomain(text)
	})
}

func FuzzJournal(f *testing.F) {
	f.Add(`{"version":1,"id":"x","kind":"create","definition":{"name":"a"}}` + "\n" + `{"begin":"define"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := parseJournal("x", text); err == nil {
			require.Equal(t, "x", e.ID)
			require.True(t, e.Kind == KindImport || e.Definition != nil)
		}
	})
}
