package state

import (
	"fmt"
	"strings"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// standalonePrefix begins the names, in their pools, of volumes that stand alone.
const standalonePrefix = "nc-vol-"

// StoredName is what a volume is called in its pool.
func StoredName(volume *novacronv1.Volume) string {
	return standalonePrefix + volume.GetId() + "." + volume.GetSpec().GetFormat()
}

// volumeNamed finds the volume that stands alone behind the source of a disk. Other sources are the hosts' own.
func (t *tables) volumeNamed(source string) (volume *novacronv1.Volume, standsAlone bool) {
	rest, standsAlone := strings.CutPrefix(source, standalonePrefix)
	id, _, _ := strings.Cut(rest, ".")
	volume, _ = t.volumes.get(id)
	if !standsAlone || volume == nil || StoredName(volume) != source {
		return nil, standsAlone
	}
	return volume, true
}

// attachedTo finds a machine that names the volume as a disk, if there is one.
func (t *tables) attachedTo(volume *novacronv1.Volume) *novacronv1.VM {
	vm, _ := t.userOfVolume(volume, func(*novacronv1.VM, *novacronv1.VolumeSpec) bool { return true })
	return vm
}

// AttachedTo finds a machine that names the volume as a disk, or nil.
func (v View) AttachedTo(volume *novacronv1.Volume) *novacronv1.VM { return v.t.attachedTo(volume) }

// userOfVolume finds a machine with a disk on the volume that fits, and the disk.
func (t *tables) userOfVolume(volume *novacronv1.Volume, fits func(*novacronv1.VM, *novacronv1.VolumeSpec) bool) (*novacronv1.VM, *novacronv1.VolumeSpec) {
	name := StoredName(volume)
	for _, vm := range t.vms.after("") {
		for _, disk := range vm.GetSpec().GetVolumes() {
			if disk.GetSource() == name && disk.GetPool() == volume.GetSpec().GetPool() && fits(vm, disk) {
				return vm, disk
			}
		}
	}
	return nil, nil
}

// attachable tells whether a machine may have the disks that it names: volumes of its project, ready, all on one host, which
// is the host that it asks for, if it asks for one; and nobody writes what another uses, unless both share it.
func (x *txn) attachable(vmID string, spec *novacronv1.VMSpec) error {
	var first *novacronv1.Volume
	seen := map[string]bool{}
	for i, disk := range spec.GetVolumes() {
		volume, standsAlone := x.t.volumeNamed(disk.GetSource())
		if !standsAlone {
			continue
		}
		path := fmt.Sprintf("volumes[%d].source", i)
		if err := x.suits(path, volume, disk, spec); err != nil {
			return err
		}
		if seen[volume.GetId()] {
			return fmt.Errorf("%w: %s: volume %s is named twice: name it once", ErrInvalid, path, volume.GetSpec().GetName())
		}
		seen[volume.GetId()] = true
		if first != nil && first.GetHostId() != volume.GetHostId() {
			return fmt.Errorf("%w: %s: volume %s lies on host %s and volume %s on host %s, and a machine runs on one: bring one of them over with «novacron volume download» and «novacron volume upload»",
				ErrRefused, path, first.GetSpec().GetName(), first.GetHostName(), volume.GetSpec().GetName(), volume.GetHostName())
		}
		if err := x.unused(path, vmID, volume, disk); err != nil {
			return err
		}
		first = volume
	}
	return nil
}

// Attachable tells whether a machine may have the disks that its definition names.
func (v View) Attachable(vmID string, spec *novacronv1.VMSpec) error {
	return (&txn{t: &v.t}).attachable(vmID, spec)
}

// suits checks one volume against the disk and the machine that name it.
func (x *txn) suits(path string, volume *novacronv1.Volume, disk *novacronv1.VolumeSpec, spec *novacronv1.VMSpec) error {
	if volume == nil || volume.GetSpec().GetPool() != disk.GetPool() {
		return fmt.Errorf("%w: %s: %.80s is no volume of the cluster in pool %s: see «novacron volume list»", ErrNotFound, path, disk.GetSource(), disk.GetPool())
	}
	name, host := volume.GetSpec().GetName(), spec.GetPlacement().GetHost()
	switch status := volume.GetStatus(); {
	case volume.GetSpec().GetProject() != spec.GetProject():
		// Not a word about what the other project has.
		return fmt.Errorf("%w: %s: %.80s does not belong to project %s: use a volume of the machine's own project", ErrRefused, path, disk.GetSource(), spec.GetProject())
	case volume.GetDeleteTime() != nil || status.GetState() != novacronv1.VolumeState_VOLUME_STATE_READY:
		return fmt.Errorf("%w: %s: volume %s is %s: wait until it is ready, or use another", ErrRefused, path, name, volumeWord(status.GetState()))
	case volume.GetSpec().GetFormat() != disk.GetFormat():
		return fmt.Errorf("%w: %s: volume %s is %s, and the disk's format says %s: declare the format that it has", ErrInvalid, path, name, volume.GetSpec().GetFormat(), disk.GetFormat())
	case host != "" && host != volume.GetHostId() && host != volume.GetHostName():
		return fmt.Errorf("%w: %s: volume %s lies on host %s, and placement.host asks for %s: leave placement.host out, or use another volume",
			ErrRefused, path, name, volume.GetHostName(), host)
	}
	return nil
}

// unused refuses a volume that another disk writes to, and one that others only read when this disk would write to it.
func (x *txn) unused(path, vmID string, volume *novacronv1.Volume, disk *novacronv1.VolumeSpec) error {
	writes := !disk.GetReadOnly()
	if writes {
		if err := x.unlinked(volume); err != nil {
			return fmt.Errorf("%s: %w; or set readOnly", path, err)
		}
	}
	other, theirs := x.t.userOfVolume(volume, func(vm *novacronv1.VM, theirs *novacronv1.VolumeSpec) bool {
		bothShare := disk.GetShareable() && theirs.GetShareable()
		return vm.GetId() != vmID && (writes || !theirs.GetReadOnly()) && !bothShare
	})
	if other == nil {
		return nil
	}
	wayOut := "take another, or make both disks shareable"
	if theirs.GetReadOnly() {
		wayOut = "set readOnly here too, or take another"
	}
	return fmt.Errorf("%w: %s: volume %s is a disk of virtual machine %s: %s", ErrExists, path, volume.GetSpec().GetName(), other.GetSpec().GetName(), wayOut)
}

// lieOn tells whether all volumes that stand alone and that a machine uses lie on a host.
func (t *tables) lieOn(hostID string, spec *novacronv1.VMSpec) bool {
	for _, disk := range spec.GetVolumes() {
		if volume, standsAlone := t.volumeNamed(disk.GetSource()); standsAlone && volume.GetHostId() != hostID {
			return false
		}
	}
	return true
}

// VolumesUsed are the volumes that stand alone and that a machine has as disks; one that is gone has only the name that the
// disk gives it.
func (v View) VolumesUsed(spec *novacronv1.VMSpec) (used []*novacronv1.Volume) {
	for _, disk := range spec.GetVolumes() {
		volume, standsAlone := v.t.volumeNamed(disk.GetSource())
		if standsAlone && volume == nil {
			volume = &novacronv1.Volume{Spec: &novacronv1.VolumeSettings{Name: disk.GetSource()}}
		}
		if volume != nil {
			used = append(used, volume)
		}
	}
	return used
}
