package hypervisor_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/vm"
)

func (h *mediaHost) domain() *libvirtxml.Domain {
	h.t.Helper()
	seen, err := h.driver.Domain(h.t.Context(), h.id)
	require.NoError(h.t, err)
	x := &libvirtxml.Domain{}
	require.NoError(h.t, x.Unmarshal(seen.XML))
	return x
}

func (h *mediaHost) reshape(change func(*vm.Definition)) error {
	next := vm.Clone(*h.only().Definition)
	change(&next)
	return h.Reshape(h.t.Context(), &next)
}

func reshapable(d *vm.Definition) {
	d.CPU.Max, d.MemoryMB, d.DiskGB, d.Machine = 2, 256, 1, "pc-q35-7.1"
	d.NetworkInterfaces = []vm.NetworkInterface{{MAC: "52:54:00:12:34:56"}}
}

func reshapableFacts() hypervisor.HostFacts {
	return hypervisor.HostFacts{MachineTypes: []string{"pc-q35-6.2", "pc-q35-7.1", "pc-q35-7.2"}, MachineAliases: map[string]string{"q35": "pc-q35-7.2"}}
}

func TestARunningMachineIsReshaped(t *testing.T) {
	h := newMediaHost(t, fake.Options{Facts: reshapableFacts()}, true, reshapable)
	change := func(d *vm.Definition) {
		d.CPUs, d.Memory.InitialMB, d.DiskGB, d.RootDisk.QoS.TotalIOPS = 2, 128, 2, 500
		d.NetworkInterfaces[0].SecurityGroup, d.NetworkInterfaces[0].QoS.Inbound.AverageKBps = "clean-traffic", 100
		d.RestartPolicy, d.StopTimeoutSeconds = vm.RestartNever, 7
	}
	for range 2 { // what is done already is not done again, and is no error
		require.NoError(t, h.reshape(change))
	}
	x := h.domain()
	require.EqualValues(t, 2, x.VCPU.Current)
	require.EqualValues(t, 128, x.CurrentMemory.Value)
	require.EqualValues(t, 500, x.Devices.Disks[0].IOTune.TotalIopsSec)
	require.Equal(t, "clean-traffic", x.Devices.Interfaces[0].FilterRef.Filter)
	require.EqualValues(t, 100, *x.Devices.Interfaces[0].Bandwidth.Inbound.Average)
	require.Equal(t, "destroy", x.OnCrash)
	root := x.Devices.Disks[0].Source.Volume
	volume, err := h.driver.Volume(t.Context(), root.Pool, root.Volume)
	require.NoError(t, err)
	require.EqualValues(t, 2<<30, volume.CapacityBytes)
	require.Equal(t, 7, h.only().Definition.StopTimeoutSeconds, "a later stop goes by it")

	refused := h.reshape(func(d *vm.Definition) { d.MemoryMB, d.DiskGB = 512, 3 })
	require.ErrorContains(t, refused, "stop it first")
	require.Equal(t, 2, h.only().Definition.DiskGB, "nothing of it was done")
	require.NoError(t, h.reshape(func(d *vm.Definition) { d.NetworkInterfaces[0].SecurityGroup, d.RootDisk.QoS = "", vm.DiskQoS{} }))
	require.Nil(t, h.domain().Devices.Interfaces[0].FilterRef)
}

func TestAStoppedMachineIsReshaped(t *testing.T) {
	h := newMediaHost(t, fake.Options{Facts: reshapableFacts()}, false, reshapable)
	disks := len(h.domain().Devices.Disks)
	older := h.reshape(func(d *vm.Definition) { d.Machine = "pc-q35-6.2" })
	require.ErrorContains(t, older, "pc-q35-7.1 or newer")
	require.ErrorContains(t, h.reshape(func(d *vm.Definition) { d.MemoryMB = 1 << 30 }), "host's memory")
	require.NoError(t, h.reshape(func(d *vm.Definition) {
		d.MemoryMB, d.CPUs, d.CPU.Max, d.Machine, d.DiskGB = 512, 1, 4, "pc-q35-7.2", 4
	}))
	x := h.domain()
	require.EqualValues(t, 512<<10, x.Memory.Value*map[string]uint{"KiB": 1, "MiB": 1 << 10}[x.Memory.Unit])
	require.EqualValues(t, 4, x.VCPU.Value)
	require.Equal(t, "pc-q35-7.2", x.OS.Type.Machine)
	require.Len(t, x.Devices.Disks, disks)
	require.NoError(t, h.Start(t.Context(), h.id))
}

// TestAReshapingThatFailedIsDoneByTheSameOrder breaks the change at each of its steps.
func TestAReshapingThatFailedIsDoneByTheSameOrder(t *testing.T) {
	change := func(d *vm.Definition) {
		d.CPUs, d.DiskGB, d.RootDisk.QoS.TotalIOPS, d.RestartPolicy = 2, 2, 500, vm.RestartNever
		d.NetworkInterfaces[0].SecurityGroup = "clean-traffic"
	}
	for _, op := range []string{"EditDefinition", "SetCPUs", "GrowDisk", "LimitDisk", "EditCard", "SetMetadata"} {
		t.Run(op, func(t *testing.T) {
			broken := true
			h := newMediaHost(t, fake.Options{Facts: reshapableFacts(), Fault: func(called, _ string) error {
				if called == op && broken {
					return context.DeadlineExceeded
				}
				return nil
			}}, true, reshapable)
			require.Error(t, h.reshape(change))
			broken = false
			require.NoError(t, h.reshape(change))
			require.EqualValues(t, 2, h.domain().VCPU.Current)
			require.Equal(t, 500, h.only().Definition.RootDisk.QoS.TotalIOPS)
		})
	}
}
