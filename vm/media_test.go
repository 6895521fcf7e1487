package vm_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/vmtest"
)

func machine(change func(*vm.Definition)) vm.Definition {
	def := vm.Definition{Name: "web", CPUs: 1, MemoryMB: 512, DiskGB: 4}
	if change != nil {
		change(&def)
	}
	return vm.Normalise(def, vm.Defaults{})
}

func TestISOGoesInAndOut(t *testing.T) {
	def := machine(func(d *vm.Definition) { d.ISO = "debian" })
	empty, err := vm.WithoutMedium(def, "")
	require.NoError(t, err)
	require.Empty(t, empty.ISO)
	require.Equal(t, []vm.Volume{{Name: "iso", Pool: "default", Format: "raw", Bus: "sata", Device: "cdrom", ReadOnly: true}}, empty.Volumes)
	require.NoError(t, vm.Validate(empty))
	require.False(t, empty.BootsISO())
	again, err := vm.WithoutMedium(empty, "")
	require.NoError(t, err)
	require.Equal(t, empty, again, "what is empty stays so")
	for _, runs := range []bool{false, true} {
		back, err := vm.WithMedium(empty, "", vm.Medium{Image: "debian"}, runs)
		require.NoError(t, err)
		require.Equal(t, def, back)
	}
	other, err := vm.WithMedium(def, "", vm.Medium{Image: "rescue"}, true)
	require.NoError(t, err)
	require.Equal(t, "rescue", other.ISO)
	stored, err := vm.WithMedium(def, "iso", vm.Medium{Pool: "images", Source: "nc-vol-1.raw"}, true)
	require.NoError(t, err)
	require.Equal(t, vm.Drive{Name: "iso", Bus: "sata", Medium: vm.Medium{Pool: "images", Source: "nc-vol-1.raw"}}, stored.Drives()[0])
	require.True(t, stored.BootsISO())
	require.NoError(t, vm.Validate(stored))
}

func TestMachineWithoutDriveGetsOne(t *testing.T) {
	stopped, err := vm.WithMedium(machine(nil), "", vm.Medium{Image: "debian"}, false)
	require.NoError(t, err)
	require.Equal(t, "debian", stopped.ISO)
	runs, err := vm.WithMedium(machine(nil), "", vm.Medium{Image: "debian"}, true)
	require.NoError(t, err)
	require.Equal(t, []vm.Drive{{Name: "iso", Bus: "scsi", Medium: vm.Medium{Image: "debian"}}}, runs.Drives())
	require.NoError(t, vm.Validate(runs))
}

func TestNoDriveSaysWhatToDo(t *testing.T) {
	for text, c := range map[string]struct {
		def   vm.Definition
		drive string
	}{
		"system windows has no driver":   {machine(func(d *vm.Definition) { d.OSType = "windows" }), ""},
		"machine type pc takes none":     {machine(func(d *vm.Definition) { d.Machine = "pc" }), ""},
		`"dvd": its drives are iso`:      {machine(func(d *vm.Definition) { d.ISO = "debian" }), "dvd"},
		`disk "iso" has the name`:        {machine(func(d *vm.Definition) { d.Volumes = []vm.Volume{{Name: "iso", SizeGB: 1}} }), ""},
		"no such CD-ROM drive: it has n": {machine(nil), "dvd"},
	} {
		_, err := vm.WithMedium(c.def, c.drive, vm.Medium{Image: "rescue"}, true)
		require.ErrorIs(t, err, vm.ErrNoDrive)
		require.ErrorContains(t, err, text)
	}
	_, err := vm.WithoutMedium(machine(nil), "")
	require.ErrorIs(t, err, vm.ErrNoDrive)
}

// TestMediaKeepDefinitionsValid: whatever goes in and out, all but the drive stays, the definition stays valid, and an
// ejection ends empty.
func TestMediaKeepDefinitionsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		def := vm.Normalise(vmtest.Valid(vmtest.Options{}).Draw(t, "definition"), vm.Defaults{})
		runs := rapid.Bool().Draw(t, "runs")
		with, err := vm.WithMedium(def, "", vm.Medium{Image: "new"}, runs)
		if err != nil {
			require.ErrorIs(t, err, vm.ErrNoDrive)
			return
		}
		if len(with.Volumes) > vm.MaxVolumes {
			return
		}
		if err := vm.Validate(with); err != nil {
			require.ErrorContains(t, err, "disks on", "a new drive may find its bus full")
			return
		}
		require.Equal(t, vm.Normalise(with, vm.Defaults{}), with)
		require.Contains(t, media(with), vm.Medium{Image: "new"})
		without, err := vm.WithoutMedium(with, "")
		require.NoError(t, err)
		require.Len(t, without.Drives(), len(with.Drives()))
		require.Equal(t, without, vm.FromProto(vm.ToProto(without)))
	})
}

func media(def vm.Definition) (all []vm.Medium) {
	for _, d := range def.Drives() {
		all = append(all, d.Medium)
	}
	return all
}
