package vm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func valid() Definition {
	return Definition{
		Name: "web-1", CPUs: 2, MemoryMB: 1024, DiskGB: 10, Image: "debian-12",
		Volumes:           []Volume{{SizeGB: 5}},
		NetworkInterfaces: []NetworkInterface{{Network: "default"}},
	}
}

// faultsOf returns the faults' paths, sorted as found.
func faultsOf(t *testing.T, def Definition) Faults {
	t.Helper()
	err := Validate(def)
	var faults Faults
	require.ErrorAs(t, err, &faults)
	for _, f := range faults {
		require.NotEmpty(t, f.Path)
		require.NotEmpty(t, f.Value, f.Path)
		require.NotEmpty(t, f.Limit, f.Path)
		require.NotEmpty(t, f.WayOut, f.Path)
	}
	return faults
}

// Each rule: the field, a change that breaks it, and one at its edge that does not.
func TestRules(t *testing.T) {
	nics := func(n int) []NetworkInterface { return make([]NetworkInterface, n) }
	for _, c := range []struct {
		path      string
		bad, good func(*Definition)
	}{
		{"name", func(d *Definition) { d.Name = strings.Repeat("a", 64) }, func(d *Definition) { d.Name = strings.Repeat("a", 63) }},
		{"name", func(d *Definition) { d.Name = "-a" }, func(d *Definition) { d.Name = "a-b" }},
		{"name", func(d *Definition) { d.Name = "a-" }, func(d *Definition) { d.Name = "A" }},
		{"name", func(d *Definition) { d.Name = "123" }, func(d *Definition) { d.Name = "123a" }},
		{"name", func(d *Definition) { d.Name = "a.b" }, func(d *Definition) { d.Name = "a1" }},
		{"name", func(d *Definition) { d.Name = "" }, func(d *Definition) { d.Name = "0a" }},
		{"project", func(d *Definition) { d.Project = "../x" }, func(d *Definition) { d.Project = "team-1" }},
		{"uuid", func(d *Definition) { d.UUID = "6f1c2f6e-0a3b-1c1d-9e2f-3a4b5c6d7e8f" }, func(d *Definition) { d.UUID = "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f" }},
		{"uuid", func(d *Definition) { d.UUID = "{6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f}" }, func(d *Definition) { d.UUID = "" }},
		{"cpus", func(d *Definition) { d.CPUs = 0 }, func(d *Definition) { d.CPUs = 1 }},
		{"cpus", func(d *Definition) { d.CPUs = MaxCPUs + 1 }, func(d *Definition) { d.CPUs = MaxCPUs }},
		{"memoryMB", func(d *Definition) { d.MemoryMB = 16 }, func(d *Definition) { d.MemoryMB = 17 }},
		{"memoryMB", func(d *Definition) { d.MemoryMB = -1 }, func(d *Definition) { d.MemoryMB = MaxMemoryMB }},
		{"diskGB", func(d *Definition) { d.DiskGB = MaxDiskGB + 1 }, func(d *Definition) { d.DiskGB = MaxDiskGB }},
		{"diskGB", func(d *Definition) { d.DiskGB = 0 }, func(d *Definition) { d.DiskGB, d.Image = 0, "" }},
		{"osType", func(d *Definition) { d.OSType = "debain" }, func(d *Definition) { d.OSType = "Debian" }},
		{"arch", func(d *Definition) { d.Arch = "amd64" }, func(d *Definition) { d.Arch = "aarch64" }},
		{"machine", func(d *Definition) { d.Machine = "/bin/sh" }, func(d *Definition) { d.Machine = "pc-q35-7.2" }},
		{"machine", func(d *Definition) { d.Machine = "virt" }, func(d *Definition) { d.Machine = "pc" }},
		{"machine", func(d *Definition) { d.Machine = "pc-q35" }, func(d *Definition) { d.Machine = "pc-i440fx-rhel7.6.0" }},
		{"firmware", func(d *Definition) { d.Firmware = "efi" }, func(d *Definition) { d.Firmware = "uefi" }},
		{"firmware", func(d *Definition) { d.Firmware, d.Arch = "uefi", "i686" }, func(d *Definition) { d.Arch = "i686" }},
		{"firmware", func(d *Definition) { d.Firmware, d.Arch = "bios", "aarch64" }, func(d *Definition) { d.Firmware = "bios" }},
		{"stopTimeoutSeconds", func(d *Definition) { d.StopTimeoutSeconds = -1 }, func(d *Definition) { d.StopTimeoutSeconds = MaxStopSeconds }},
		{"image", func(d *Definition) { d.Image = "../../etc/passwd" }, func(d *Definition) { d.Image = "debian-12.5_x" }},
		{"image", func(d *Definition) { d.Image = "-o" }, func(d *Definition) { d.Image = "a" }},
		{"image", func(d *Definition) { d.Image = "a\x00b" }, func(d *Definition) { d.Image = strings.Repeat("a", 128) }},
		{"image", func(d *Definition) { d.Image = strings.Repeat("a", 300) }, func(d *Definition) { d.Image = "a.b" }},
		{"image", func(d *Definition) { d.Image = "%2e%2e" }, func(d *Definition) { d.Image = "A" }},
		{"image", func(d *Definition) { d.Image = "a;reboot" }, func(d *Definition) { d.Image = "a-b" }},
		{"pool", func(d *Definition) { d.Pool = "/dev" }, func(d *Definition) { d.Pool = "fast" }},
		{"volumes", func(d *Definition) { d.Volumes = make([]Volume, MaxVolumes+1) }, func(d *Definition) { d.Volumes = nil }},
		{"volumes[0].sizeGB", func(d *Definition) { d.Volumes[0].SizeGB = 0 }, func(d *Definition) { d.Volumes[0].SizeGB = 1 }},
		{"volumes[0].name", func(d *Definition) { d.Volumes[0].Name = "root" }, func(d *Definition) { d.Volumes[0].Name = "data" }},
		{"volumes[0].name", func(d *Definition) { d.Volumes[0].Name = "../x" }, func(d *Definition) { d.Volumes[0].Name = "1" }},
		{"volumes[1].name", func(d *Definition) { d.Volumes = []Volume{{Name: "a", SizeGB: 1}, {Name: "a", SizeGB: 1}} }, func(d *Definition) { d.Volumes[0].Name = "" }},
		{"volumes[0].format", func(d *Definition) { d.Volumes[0].Format = "vmdk" }, func(d *Definition) { d.Volumes[0].Format = "raw" }},
		{"volumes[0].format", func(d *Definition) { d.Volumes[0].Format, d.Volumes[0].Image = "raw", "a" }, func(d *Definition) { d.Volumes[0].Image = "a" }},
		{"volumes[0].bus", func(d *Definition) { d.Volumes[0].Bus = "ide" }, func(d *Definition) { d.Volumes[0].Bus, d.Machine = "ide", "pc" }},
		{"volumes[0].bus", func(d *Definition) { d.Volumes[0].Bus = "usb" }, func(d *Definition) { d.Volumes[0].Bus = "scsi" }},
		{"volumes[0].bus", func(d *Definition) { d.Volumes[0].Bus, d.Arch = "sata", "aarch64" }, func(d *Definition) { d.Volumes[0].Bus = "sata" }},
		{"volumes", disksOn("sata", 7, ""), disksOn("sata", 6, "")},
		{"volumes", disksOn("ide", 5, "pc"), disksOn("ide", 4, "pc")},
		{"networkInterfaces", func(d *Definition) { d.NetworkInterfaces = nics(33) }, func(d *Definition) { d.NetworkInterfaces = nics(32) }},
		{"networkInterfaces[0]", func(d *Definition) { d.NetworkInterfaces[0].Bridge = "br0" }, func(d *Definition) { d.NetworkInterfaces[0] = NetworkInterface{Bridge: "br0"} }},
		{"networkInterfaces[0].network", func(d *Definition) { d.NetworkInterfaces[0].Network = "a b" }, func(d *Definition) { d.NetworkInterfaces[0].Network = "lan" }},
		{"networkInterfaces[0].bridge", bridge(strings.Repeat("b", 16)), bridge(strings.Repeat("b", 15))},
		{"networkInterfaces[0].bridge", bridge("-x"), bridge("vmbr0.5")},
		{"networkInterfaces[0].model", func(d *Definition) { d.NetworkInterfaces[0].Model = "virtoi" }, func(d *Definition) { d.NetworkInterfaces[0].Model = "rtl8139" }},
		{"networkInterfaces[0].mac", mac("53:54:00:00:00:01"), mac("52:54:00:00:00:01")},
		{"networkInterfaces[0].mac", mac("00:00:00:00:00:00"), mac("00:00:00:00:00:01")},
		{"networkInterfaces[0].mac", mac("5254.0000.0001"), mac("52:54:00:AA:00:01")},
		{"networkInterfaces[1].mac", func(d *Definition) {
			d.NetworkInterfaces = []NetworkInterface{{MAC: "52:54:00:00:00:aa"}, {MAC: "52:54:00:00:00:AA"}}
		}, mac("")},
		{"boot.kernel", boot(DirectBoot{Kernel: "/boot/vmlinuz"}), boot(DirectBoot{Kernel: "vmlinuz-6.1"})},
		{"boot.kernel", boot(DirectBoot{}), boot(DirectBoot{Kernel: "k"})},
		{"boot.initrd", boot(DirectBoot{Kernel: "k", Initrd: "--x"}), boot(DirectBoot{Kernel: "k", Initrd: "i"})},
		{"boot.cmdline", boot(DirectBoot{Kernel: "k", Cmdline: "a\nb"}), boot(DirectBoot{Kernel: "k", Cmdline: `console=ttyS0 x="<&>"`})},
		{"boot.cmdline", boot(DirectBoot{Kernel: "k", Cmdline: strings.Repeat("x", 2048)}), boot(DirectBoot{Kernel: "k", Cmdline: strings.Repeat("x", 2047)})},
		{"labels", func(d *Definition) { d.Labels = map[string]string{"a b": ""} }, func(d *Definition) { d.Labels = map[string]string{"a.b/c_d-e": "'/><x>"} }},
		{"labels[a]", func(d *Definition) { d.Labels = map[string]string{"a": "\x1b[31m"} }, func(d *Definition) { d.Labels = map[string]string{"a": "ä"} }},
		{"labels[a]", func(d *Definition) { d.Labels = map[string]string{"a": "\xff"} }, func(d *Definition) { d.Labels = map[string]string{"a": ""} }},
		{"labels", manyLabels(65), manyLabels(64)},
		{"annotations[a]", func(d *Definition) { d.Annotations = map[string]string{"a": "\ufffe"} }, func(d *Definition) { d.Annotations = map[string]string{"a": "two\nlines\tx"} }},
		{"placement.host", func(d *Definition) { d.Placement.Host = "a/b" }, func(d *Definition) { d.Placement.Host = "h1.example.org" }},
		{"placement.hostLabels[a]", func(d *Definition) { d.Placement.HostLabels = map[string]string{"a": "\x00"} }, func(d *Definition) { d.Placement.HostLabels = map[string]string{"rack": "7"} }},
	} {
		bad, good := valid(), valid()
		c.bad(&bad)
		c.good(&good)
		faults := faultsOf(t, bad)
		require.Equal(t, c.path, faults[0].Path, "%+v", faults)
		require.NoError(t, Validate(good), c.path)
	}
}

func disksOn(bus string, n int, machine string) func(*Definition) {
	return func(d *Definition) {
		d.Machine, d.Volumes = machine, nil
		for range n {
			d.Volumes = append(d.Volumes, Volume{SizeGB: 1, Bus: bus})
		}
	}
}

func bridge(name string) func(*Definition) {
	return func(d *Definition) { d.NetworkInterfaces = []NetworkInterface{{Bridge: name}} }
}

func mac(address string) func(*Definition) {
	return func(d *Definition) { d.NetworkInterfaces = []NetworkInterface{{MAC: address}} }
}

func boot(b DirectBoot) func(*Definition) { return func(d *Definition) { d.Boot = &b } }

func manyLabels(n int) func(*Definition) {
	return func(d *Definition) {
		d.Labels = map[string]string{}
		for i := range n {
			d.Labels[fmt.Sprintf("l%d", i)] = ""
		}
	}
}

func TestValidateTellsEverythingAtOnce(t *testing.T) {
	faults := faultsOf(t, Definition{Name: "-", CPUs: -1, MemoryMB: 4, DiskGB: -1, Volumes: []Volume{{Bus: "x"}}})
	var paths []string
	for _, f := range faults {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"name", "cpus", "memoryMB", "diskGB", "volumes[0].sizeGB", "volumes[0].bus"}, paths)
}

func TestFaultSaysTheWayOut(t *testing.T) {
	def := valid()
	def.MemoryMB = 4
	require.EqualError(t, Validate(def), "memoryMB is 4; allowed is 17 to 16777216 MiB; did you mean 4 GiB? Then write 4096")
	def = valid()
	def.OSType = "windos"
	require.ErrorContains(t, Validate(def), `did you mean "windows"?`)
}

func TestFaultShortensWhatItShows(t *testing.T) {
	def := valid()
	def.Name = strings.Repeat("\x1b", 100_000)
	err := Validate(def)
	require.Error(t, err)
	require.Less(t, len(err.Error()), 600)
	require.NotContains(t, err.Error(), "\x1b")
}

func TestCheckImageName(t *testing.T) {
	require.NoError(t, CheckImageName("name", "debian-12"))
	require.ErrorContains(t, CheckImageName("name", "../x"), "name is")
}
