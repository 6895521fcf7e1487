//go:build cgo && libvirt_dlopen

package libvirt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/vm"
)

// richOrder asks for everything that software emulation can start.
func richOrder(images labImages) hypervisor.CreateSpec {
	on := true
	def := vm.Normalise(vm.Definition{
		Name: "rich", UUID: uuid.NewString(), CPUs: 1, MemoryMB: 1024, DiskGB: 1, Image: "disk", Pool: labPool, ISO: "initrd",
		CPU: vm.CPU{Max: 2, Threads: 2, Pinning: []vm.CPUPin{{HostCPUs: "0"}},
			NUMA: []vm.NUMACell{{CPUs: "0", MemoryMB: 512, HostNodes: "0"}, {CPUs: "1", MemoryMB: 512}}},
		Memory:   vm.Memory{MaxMB: 2048, InitialMB: 896},
		RootDisk: vm.RootDisk{DiskOptions: vm.DiskOptions{Cache: "none", Serial: "ROOT-1", Queues: 1, IOEventFD: &on, QoS: vm.DiskQoS{TotalIOPS: 5000}}},
		Volumes: []vm.Volume{
			{SizeGB: 1, Bus: "scsi", Format: "raw"}, {SizeGB: 1, Bus: "sata", DiskOptions: vm.DiskOptions{QoS: vm.DiskQoS{ReadBytes: 1 << 30, WriteIOPS: 900}}},
			{Device: "cdrom"}, {Source: "old.img", ReadOnly: true},
		},
		NetworkInterfaces: []vm.NetworkInterface{{Queues: 1, SecurityGroup: "clean-traffic", HostInterface: "rich0"}, {Model: "e1000"}, {User: true}},
		Boot:              &vm.DirectBoot{Kernel: "kernel", Initrd: "initrd", Cmdline: lab.KernelArgs},
		Devices:           vm.Devices{Graphics: "vnc", Watchdog: "reset"},
		CloudInit:         &vm.CloudInit{Hostname: "rich-guest"},
	}, vm.Defaults{NewMAC: counted("52:54:00:aa:bb:")})
	return hypervisor.CreateSpec{Definition: &def, Owner: hypervisor.Owner{ClusterID: "lab", Epoch: 1}, Images: images, Start: true}
}

func counted(prefix string) func() string {
	n := 0
	return func() string { n++; return prefix + string(rune('0'+n/10)) + string(rune('0'+n%10)) }
}

// TestRichDefinitionBoots: what libvirt accepts has to start, too.
func TestRichDefinitionBoots(t *testing.T) {
	host, guest := labHost(t)
	d := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU})
	old := hypervisor.VolumeSpec{Pool: labPool, Name: "old.img", Format: "raw", CapacityBytes: 1 << 20}
	_, err := d.CreateVolume(t.Context(), old)
	require.NoError(t, err)
	dir := t.TempDir()
	m := labManager(t, d, dir, nil)
	order := richOrder(newLabImages(t, guest))
	id, err := m.Create(t.Context(), order)
	require.NoError(t, err)
	console, err := m.Console(t.Context(), id)
	require.NoError(t, err)
	requireGreeting(t, console)
	logs, err := filepath.Glob(filepath.Join(dir, "console", "*"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the record may lag behind what a reader gets
		recorded, err := os.ReadFile(logs[0])
		return err == nil && strings.Contains(string(recorded), lab.UpMark+" rich-guest")
	}, labPatience, 50*time.Millisecond)
	seen, err := d.Domain(t.Context(), id)
	require.NoError(t, err)
	differences, err := hypervisor.Differences(order.Definition, seen.XML)
	require.NoError(t, err)
	require.Empty(t, differences, "the running domain is as asked as well")
	elsewhere := vm.Clone(*order.Definition)
	elsewhere.CPU.Pinning = []vm.CPUPin{{HostCPUs: "1"}}
	differences, err = hypervisor.Differences(&elsewhere, seen.XML)
	require.NoError(t, err)
	require.Equal(t, []string{"pins is [0:[0]] instead of [0:[1]]"}, differences)
	facts, err := d.Facts(t.Context())
	require.NoError(t, err)
	cpus := 0
	for _, node := range facts.CPUNodes {
		for _, core := range node.Cores {
			cpus += len(core)
		}
	}
	require.Equal(t, facts.CPUs, cpus, "every CPU of the host is in a core: %v", facts.CPUNodes)
	require.NoError(t, m.Delete(t.Context(), id, hypervisor.DeleteOptions{Force: true}))
	require.Equal(t, []string{"old.img"}, leftovers(t, d), "what was there before stays")
}
