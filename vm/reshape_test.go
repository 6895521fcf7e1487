package vm

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// reshapable is a machine as most are.
func reshapable() Definition {
	return Normalise(Definition{
		Name: "web", UUID: "6f1c2f6e-0a3b-4c1d-9e2f-3a4b5c6d7e8f", CPUs: 1, CPU: CPU{Max: 4}, MemoryMB: 2048, DiskGB: 10, Machine: "pc-q35-7.1",
		Volumes: []Volume{{Name: "data", SizeGB: 5}}, NetworkInterfaces: []NetworkInterface{{MAC: "52:54:00:00:00:01", Address: "10.0.0.9"}},
	}, Defaults{})
}

func TestEachChangeHasItsEffect(t *testing.T) {
	for path, c := range map[string]struct {
		change func(*Definition)
		want   Effect
	}{
		"labels[tier]":                       {func(d *Definition) { d.Labels = map[string]string{"tier": "web"} }, Noted},
		"placement.host":                     {func(d *Definition) { d.Placement.Host = "h1" }, Noted},
		"restartPolicy":                      {func(d *Definition) { d.RestartPolicy = RestartNever }, Noted},
		"cpus":                               {func(d *Definition) { d.CPUs = 4 }, Live},
		"memory.initialMB":                   {func(d *Definition) { d.Memory.InitialMB = 1024 }, Live},
		"diskGB":                             {func(d *Definition) { d.DiskGB = 11 }, Live},
		"rootDisk.qos.totalIOPS":             {func(d *Definition) { d.RootDisk.QoS.TotalIOPS = 100 }, Live},
		"volumes[0].sizeGB":                  {func(d *Definition) { d.Volumes[0].SizeGB = 6 }, Live},
		"networkInterfaces[0].securityGroup": {func(d *Definition) { d.NetworkInterfaces[0].SecurityGroup = "web" }, Live},
		"networkInterfaces[0].qos.inbound.averageKBps": {func(d *Definition) { d.NetworkInterfaces[0].QoS.Inbound.AverageKBps = 1 }, Live},
		"memoryMB": {func(d *Definition) { d.MemoryMB = 4096 }, Stopped},
		"machine":  {func(d *Definition) { d.Machine = "pc-q35-7.2" }, Stopped},
		"clock":    {func(d *Definition) { d.Clock = ClockLocal }, Stopped},
		"cpu.max":  {func(d *Definition) { d.CPU.Max = 8 }, Stopped},
	} {
		from := reshapable()
		to := Clone(from)
		c.change(&to)
		changes, err := Reshape(from, to, false)
		require.NoError(t, err, path)
		require.Len(t, changes, 1, path)
		require.Equal(t, path, changes[0].Path)
		require.Equal(t, c.want, changes[0].Effect, path)
		require.Equal(t, to, Reshaped(from, to), "%s is taken over", path)
		_, err = Reshape(from, to, true)
		require.Equal(t, c.want == Stopped, err != nil, "%s while it runs: %v", path, err)
	}
}

func TestWhatCannotChangeIsToldAtOnce(t *testing.T) {
	from := reshapable()
	to := Clone(from)
	to.DiskGB, to.Firmware, to.Machine, to.MemoryMB = 9, FirmwareUEFI, "pc-q35-7.0", 1024
	to.Volumes = nil
	_, err := Reshape(from, to, true)
	for _, text := range []string{
		`diskGB is "9"; allowed is at least "10" GiB`, `firmware is "uefi"; allowed is what it was created with, "bios"; keep it, or delete`,
		`machine is "pc-q35-7.0"; allowed is pc-q35-7.1 or newer`, `memoryMB is "1024"; allowed is as it is, "2048", while the machine runs; stop it first`,
		`volumes is 0; allowed is the 1 that it was created with`,
	} {
		require.ErrorContains(t, err, text)
	}
	fewer := Clone(from)
	fewer.CPUs, from.CPUs = 1, 2
	_, err = Reshape(from, fewer, true)
	require.ErrorContains(t, err, "stop it first", "no guest gives up the CPUs that it started with")
	from.CPU.Dedicated = true
	fewer.CPU.Dedicated = true
	_, err = Reshape(from, fewer, false)
	require.ErrorContains(t, err, "CPUs of the host for its own")
}

func TestLeavingOutWhatTheServerChoseChangesNothing(t *testing.T) {
	stored := reshapable()
	given := Definition{Name: "web", CPUs: 1, CPU: CPU{Max: 4}, MemoryMB: 2048, DiskGB: 10, Volumes: []Volume{{Name: "data", SizeGB: 5}}, NetworkInterfaces: []NetworkInterface{{}}}
	changes, err := Reshape(stored, Normalise(Inherit(given, stored), Defaults{}), true)
	require.NoError(t, err)
	require.Empty(t, changes)
	elsewhere := Clone(given)
	elsewhere.NetworkInterfaces[0].Network = "other"
	require.Empty(t, Inherit(elsewhere, stored).NetworkInterfaces[0].Address, "an address is of its network")
}

// TestReshapedTakesOverExactlyWhatCanChange: a field that the table of effects knows is taken over, and no other.
func TestReshapedTakesOverExactlyWhatCanChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, other := Normalise(anyValid().Draw(t, "from"), Defaults{}), Normalise(anyValid().Draw(t, "to"), Defaults{})
		other.Volumes = other.Volumes[:min(len(from.Volumes), len(other.Volumes))]
		from.Volumes = from.Volumes[:len(other.Volumes)]
		n := min(len(from.NetworkInterfaces), len(other.NetworkInterfaces))
		from.NetworkInterfaces, other.NetworkInterfaces = from.NetworkInterfaces[:n], other.NetworkInterfaces[:n]
		to := Reshaped(from, other)
		for _, change := range Diff(from, to) {
			_, known := effectOf(change.Path)
			require.True(t, known, change.Path)
		}
		for _, change := range Diff(to, other) {
			_, known := effectOf(change.Path)
			require.False(t, known, "%s could change and is not taken over", change.Path)
		}
		again, err := Reshape(from, from, true)
		require.NoError(t, err)
		require.Empty(t, again)
	})
}
