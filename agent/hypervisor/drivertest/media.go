package drivertest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
)

// media go in and out of a drive of the machine's and of one that is plugged in, with a guest and without one.
func (g Target) media(t *testing.T) {
	g.need(t, Media)
	ctx := t.Context()
	for _, name := range []string{"contract-one.raw", "contract-two.raw"} {
		g.volume(t, hypervisor.VolumeSpec{Name: name, Format: "raw", CapacityBytes: 1 << 20})
	}
	id := g.guestWith(t, "contract-media", func(def *vm.Definition) {
		def.Volumes = []vm.Volume{{Name: "dvd", Device: vm.DeviceCDROM, Pool: g.Pool}}
	})
	drive := hypervisor.Medium{Target: "sda", Pool: g.Pool, Volume: "contract-one.raw"}
	require.NoError(t, g.Driver.ChangeMedium(ctx, id, drive))
	require.Equal(t, "contract-one.raw", g.inDrive(t, id, "sda"))
	require.NoError(t, g.Driver.Start(ctx, id))
	drive.Volume = "contract-two.raw"
	for range 2 {
		require.NoError(t, g.Driver.ChangeMedium(ctx, id, drive))
	}
	require.Equal(t, "contract-two.raw", g.inDrive(t, id, "sda"))
	plugged := hypervisor.Medium{Target: "sdb", Pool: g.Pool, Volume: "contract-one.raw"}
	for range 2 {
		require.NoError(t, g.Driver.PlugDrive(ctx, id, plugged))
	}
	drive.Volume = ""
	require.NoError(t, g.Driver.ChangeMedium(ctx, id, drive))
	for _, runs := range []bool{true, false} {
		if !runs {
			require.NoError(t, g.Driver.Kill(ctx, id, false))
		}
		require.Empty(t, g.inDrive(t, id, "sda"), "runs: %v", runs)
		require.Equal(t, "contract-one.raw", g.inDrive(t, id, "sdb"), "runs: %v", runs)
	}
	drive.Target = "sdz"
	require.ErrorIs(t, g.Driver.ChangeMedium(ctx, id, drive), hypervisor.ErrNotFound)
}

// inDrive is the volume in a drive of the domain.
func (g Target) inDrive(t *testing.T, id, target string) string {
	t.Helper()
	seen, err := g.Driver.Domain(t.Context(), id)
	require.NoError(t, err)
	var x libvirtxml.Domain
	require.NoError(t, x.Unmarshal(seen.XML))
	for _, disk := range x.Devices.Disks {
		if disk.Target.Dev != target {
			continue
		}
		require.Equal(t, vm.DeviceCDROM, disk.Device)
		if disk.Source == nil || disk.Source.Volume == nil {
			return ""
		}
		return disk.Source.Volume.Volume
	}
	require.Failf(t, "no such drive", "%s in %s", target, seen.XML)
	return ""
}
