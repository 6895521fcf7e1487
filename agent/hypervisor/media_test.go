package hypervisor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/vm"
)

// mediaHost has a machine without direct boot, and images of its own to put into drives.
type mediaHost struct {
	*host
	id     string
	images imageDir
}

func newMediaHost(t *testing.T, opts fake.Options, start bool, change func(*vm.Definition)) *mediaHost {
	t.Helper()
	h := newHost(t, opts)
	order := h.order(uuid.NewString())
	order.Definition.Boot, order.Definition.ISO, order.Start = nil, "", start
	if change != nil {
		change(order.Definition)
	}
	images, err := newImages(h.dir)
	require.NoError(t, err)
	for _, name := range []string{"debian", "rescue"} {
		require.NoError(t, os.WriteFile(filepath.Join(string(images), name), []byte(strings.Repeat(name, 512)), 0o600))
	}
	id, err := h.Create(t.Context(), order)
	require.NoError(t, err)
	return &mediaHost{host: h, id: id, images: images}
}

// attach and eject take the way of a wish: the definition that the controllers plan, then the change.
func (h *mediaHost) attach(image string, runs bool) error {
	next, err := vm.WithMedium(*h.only().Definition, "", vm.Medium{Image: image}, runs)
	require.NoError(h.t, err)
	return h.change(next, false)
}

func (h *mediaHost) eject(force bool) error {
	next, err := vm.WithoutMedium(*h.only().Definition, "")
	require.NoError(h.t, err)
	return h.change(next, force)
}

func (h *mediaHost) change(next vm.Definition, force bool) error {
	return h.ChangeMedia(h.t.Context(), hypervisor.MediaSpec{Definition: &next, Images: h.images, Force: force})
}

// drives are the CD-ROM drives of the domain as «target bus boot-order volume».
func (h *mediaHost) drives() (all []string) {
	seen, err := h.driver.Domain(h.t.Context(), h.id)
	require.NoError(h.t, err)
	var x libvirtxml.Domain
	require.NoError(h.t, x.Unmarshal(seen.XML))
	for _, d := range x.Devices.Disks {
		if d.Device != vm.DeviceCDROM {
			continue
		}
		text := d.Target.Dev + " " + d.Target.Bus
		if d.Boot != nil {
			text += " boots"
		}
		if d.Source != nil && d.Source.Volume != nil {
			text += " " + d.Source.Volume.Volume[:12]
		}
		all = append(all, text)
	}
	differences, err := hypervisor.Differences(h.only().Definition, seen.XML)
	require.NoError(h.t, err)
	require.Empty(h.t, differences, "what the domain is and what it says of itself")
	return all
}

// bases are the imported images, without the disk's.
func (h *mediaHost) bases() []string {
	return slices.DeleteFunc(h.driver.Leftovers(), func(s string) bool { return !strings.HasPrefix(s, "volume default/nc-base-") })
}

func TestISOAttachedToAStoppedMachineBootsNext(t *testing.T) {
	h := newMediaHost(t, fake.Options{}, false, nil)
	before := len(h.bases())
	require.NoError(t, h.attach("debian", false))
	require.Equal(t, []string{"sda sata boots nc-base-" + hashOf(t, h, "debian")[:4]}, h.drives())
	require.Equal(t, "debian", h.only().Definition.ISO)
	require.Len(t, h.bases(), before+1)
	require.NoError(t, h.Start(t.Context(), h.id))
	require.NoError(t, h.attach("rescue", true))
	require.Equal(t, []string{"sda sata boots nc-base-" + hashOf(t, h, "rescue")[:4]}, h.drives())
	require.Len(t, h.bases(), before+1, "the image that lay there is not kept")
	require.NoError(t, h.eject(false))
	require.Equal(t, []string{"sda sata boots"}, h.drives())
	require.Len(t, h.bases(), before)
	require.NoError(t, h.Delete(t.Context(), h.id, hypervisor.DeleteOptions{Force: true}))
	h.requireNothing()
}

func hashOf(t *testing.T, h *mediaHost, image string) string {
	t.Helper()
	file, err := h.images.Image(t.Context(), image)
	require.NoError(t, err)
	return file.SHA256
}

func TestRunningMachineWithoutDriveGetsOnePlugged(t *testing.T) {
	h := newMediaHost(t, fake.Options{}, true, nil)
	require.NoError(t, h.attach("debian", true))
	require.Equal(t, []string{"sda scsi nc-base-" + hashOf(t, h, "debian")[:4]}, h.drives())
	require.NoError(t, h.eject(false))
	require.Equal(t, []string{"sda scsi"}, h.drives())
	require.NoError(t, h.Stop(t.Context(), h.id, hypervisor.StopOptions{Force: true}))
	require.NoError(t, h.attach("rescue", false))
	require.Equal(t, []string{"sda scsi nc-base-" + hashOf(t, h, "rescue")[:4]}, h.drives())
}

func TestMachineThatStartedMeanwhileSaysWhatToDo(t *testing.T) {
	h := newMediaHost(t, fake.Options{}, true, nil)
	err := h.attach("debian", false)
	require.ErrorContains(t, err, "takes a drive on scsi alone, not on sata: stop it, and attach again")
	require.Empty(t, h.drives())
	require.Empty(t, h.only().Definition.ISO)
}

func TestLockedDriveOpensByForceOnly(t *testing.T) {
	h := newMediaHost(t, fake.Options{LockedDrives: true}, true, func(d *vm.Definition) { d.ISO = "disk" })
	require.ErrorContains(t, h.eject(false), "locked by the guest")
	require.Equal(t, "disk", h.only().Definition.ISO, "it still lies there")
	require.NoError(t, h.eject(true))
	require.Empty(t, h.only().Definition.ISO)
}

// TestSeedOnACDROMIsNoDrive: Windows reads its seed from a CD-ROM, which stays whatever comes and goes beside it.
func TestSeedOnACDROMIsNoDrive(t *testing.T) {
	h := newMediaHost(t, fake.Options{}, false, func(d *vm.Definition) {
		*d = vm.Normalise(vm.Definition{Name: "win", UUID: d.UUID, OSType: "windows", CPUs: 1, MemoryMB: 64, DiskGB: 1,
			CloudInit: &vm.CloudInit{UserData: "#cloud-config\n{}\n"}}, vm.Defaults{})
	})
	seed := h.drives()
	require.Len(t, seed, 1)
	require.NoError(t, h.attach("debian", false))
	require.Equal(t, append(seed, "sdc sata boots nc-base-"+hashOf(t, h, "debian")[:4]), h.drives())
	require.NoError(t, h.eject(false))
	require.Equal(t, append(seed, "sdc sata boots"), h.drives())
}

// TestMediaChangeIsFinishedAfterAnyCrash fails each operation of the driver once: the same order then does the rest, and
// nothing is left of it in the end.
func TestMediaChangeIsFinishedAfterAnyCrash(t *testing.T) {
	for _, op := range []string{"CreateVolume", "UploadVolume", "SetMetadata", "ChangeMedium", "PlugDrive", "Define", "DeleteVolume"} {
		for _, runs := range []bool{false, true} {
			var armed bool
			h := newMediaHost(t, fake.Options{Fault: func(now, _ string) error {
				if armed && now == op {
					armed = false
					return hypervisor.ErrUnavailable
				}
				return nil
			}}, runs, nil)
			for _, do := range []func() error{
				func() error { return h.attach("debian", runs) }, func() error { return h.attach("rescue", runs) }, func() error { return h.eject(false) },
			} {
				armed = true
				if err := do(); err != nil {
					require.ErrorIs(t, err, hypervisor.ErrUnavailable)
					h.restart(nil)
					_, err := h.Pending(t.Context())
					require.NoError(t, err)
					armed = false
					require.NoError(t, do(), "%s, runs: %v", op, runs)
				}
				armed = false
				h.drives()
			}
			require.NoError(t, h.CollectBases(t.Context()))
			require.NoError(t, h.Delete(t.Context(), h.id, hypervisor.DeleteOptions{Force: true}))
			h.requireNothing()
		}
	}
}
