package hypervisor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/vmtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenHosts are the hosts that the first line of a golden definition names.
func goldenHosts() map[string]Template {
	hyperV := []string{"relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "frequencies", "tlbflush", "ipi", "evmcs"}
	modern := GuestFacts{Migratable: true, HyperV: hyperV, SecureBoot: true, TPM: true, VNC: true, VideoModels: []string{"virtio", "vga"}}
	old := modern
	// Without vpindex nothing that stands on it is there either.
	old.Migratable, old.HyperV = false, []string{"relaxed", "spinlocks", "synic", "stimer", "ipi"}
	sev := modern
	sev.SEV = &SEVFacts{CBitPos: 47, ReducedPhysBits: 1}
	owner := Owner{ClusterID: "golden", Epoch: 1, Generation: 2}
	on := func(accelerator string, guest *GuestFacts) Template {
		return Template{Accelerator: accelerator, Owner: owner, ConsoleLogDir: "/var/log/novacron", Host: HostFacts{Guest: guest}}
	}
	hosts := map[string]Template{
		"qemu": on(AcceleratorQEMU, nil), "kvm": on(AcceleratorKVM, &modern), "kvm-old": on(AcceleratorKVM, &old), "sev": on(AcceleratorKVM, &sev),
	}
	baseline := on(AcceleratorKVM, &modern)
	baseline.CPUBaseline = "Haswell-noTSX"
	hosts["kvm-baseline"] = baseline
	lvm := on(AcceleratorQEMU, nil)
	lvm.Host.Pools = []PoolFacts{{Name: "lvm", Type: "logical"}}
	hosts["lvm"] = lvm
	return hosts
}

func goldenFiles(t testing.TB) []string {
	files, err := filepath.Glob("testdata/golden/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 40)
	return files
}

// golden reads a definition and the host that it is for.
func golden(t testing.TB, file string) (VMDefinition, Template) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	def, err := vm.ParseYAML(text)
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	template, ok := goldenHosts()[strings.TrimPrefix(first, "# host: ")]
	require.True(t, ok, "%s begins with # host: and its kind", file)
	if def.Boot != nil {
		template.bases = []BaseRef{{Image: def.Boot.Kernel, Format: bootFormat, Path: "/pool/kernel"}, {Image: def.Boot.Initrd, Format: bootFormat, Path: "/pool/initrd"}}
	}
	return def, template
}

func TestGoldenXML(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			def, template := golden(t, file)
			text, err := template.GenerateXML(&def)
			require.NoError(t, err)
			xml := strings.TrimSuffix(file, ".yaml") + ".xml"
			if *update {
				require.NoError(t, os.WriteFile(xml, []byte(text+"\n"), 0o644))
			}
			want, err := os.ReadFile(xml)
			require.NoError(t, err)
			require.Equal(t, string(want), text+"\n")
			normal := vm.Normalise(def, vm.Defaults{})
			require.Empty(t, compare(&normal, parsed(t, text)), "what is generated is what was asked for")
		})
	}
}

// Whatever is drawn, the XML says what was asked for.
func TestGeneratedIsWhatWasAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := vm.Normalise(vmtest.Valid(vmtest.Options{UEFI: true}).Draw(t, "definition"), vm.Defaults{})
		text, err := (&Template{Accelerator: AcceleratorQEMU}).GenerateXML(&def)
		require.NoError(t, err)
		differences, err := Differences(&def, text)
		require.NoError(t, err)
		require.Empty(t, differences)
	})
}

// BenchmarkGenerateXML has a machine as they usually are, the one of the golden definitions with the most disks, and
// one with as much of everything as a definition may have.
func BenchmarkGenerateXML(b *testing.B) {
	usual, host := golden(b, "testdata/golden/windows-11.yaml")
	disks, _ := golden(b, "testdata/golden/disks-many.yaml")
	for _, c := range []struct {
		name string
		def  VMDefinition
	}{{"usual", usual}, {"27-disks", disks}, {"all-at-its-limit", fullest()}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := host.GenerateXML(&c.def); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fullest has as many disks, cards, devices and labels as a definition may have. Long texts, of which there may be
// 256 KiB, are left out: they are copied, not made.
func fullest() VMDefinition {
	def := VMDefinition{
		Name: "full", UUID: someID, CPUs: 64, MemoryMB: 65536, DiskGB: 100, OSType: "windows", OSVersion: "11", ISO: "dvd",
		CloudInit: &vm.CloudInit{UserData: "#cloud-config\n{}\n"}, Labels: map[string]string{},
	}
	for i := range vm.MaxVolumes {
		def.Volumes = append(def.Volumes, Volume{Name: fmt.Sprint("disk-", i), SizeGB: 1, Bus: vm.BusVirtio, DiskOptions: vm.DiskOptions{
			Cache: "none", IO: "native", Queues: 4, Serial: fmt.Sprint("disk-", i), QoS: vm.DiskQoS{ReadIOPS: 1000, WriteIOPS: 500}}})
	}
	for i := range vm.MaxNICs {
		def.NetworkInterfaces = append(def.NetworkInterfaces, NetworkInterface{MAC: fmt.Sprintf("52:54:00:00:00:%02x", i), Model: "virtio",
			MTU: 9000, Queues: 8, QoS: vm.NICQoS{Inbound: vm.Bandwidth{AverageKBps: 1000}}})
	}
	for i := range vm.MaxHostDevices {
		def.Devices.HostDevices = append(def.Devices.HostDevices, vm.HostDevice{PCI: fmt.Sprintf("0000:3b:%02x.0", i)})
	}
	for i := range vm.MaxLabels {
		def.Labels[fmt.Sprint("label-", i)] = "value"
	}
	return def
}

// TestFullestIsValid keeps the benchmark at the limits.
func TestFullestIsValid(t *testing.T) {
	def := fullest()
	d := generate(t, Template{Accelerator: AcceleratorKVM}, def)
	require.Len(t, d.Devices.Disks, vm.MaxVolumes+3)
	require.Len(t, d.Devices.Interfaces, vm.MaxNICs)
	require.Len(t, d.Devices.Hostdevs, vm.MaxHostDevices)
}
