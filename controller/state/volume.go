package state

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// putVolume and dropVolume keep the indexes in step.
func (t *tables) putVolume(volume *novacronv1.Volume) {
	t.volumes.put(volume.GetId(), volume)
	t.volumeByName.put(nameKey(volume.GetSpec().GetProject(), volume.GetSpec().GetName()), volume.GetId())
	t.volumeByHost.put(hostKey(volume.GetHostId(), volume.GetId()), volume.GetId())
}

func (t *tables) dropVolume(volume *novacronv1.Volume) {
	t.volumes.delete(volume.GetId())
	t.volumeByName.delete(nameKey(volume.GetSpec().GetProject(), volume.GetSpec().GetName()))
	t.volumeByHost.delete(hostKey(volume.GetHostId(), volume.GetId()))
}

func (t *tables) volumesOf(hostID string) iter.Seq[*novacronv1.Volume] {
	return func(yield func(*novacronv1.Volume) bool) {
		for _, id := range t.volumeByHost.prefixed(hostKey(hostID, "")) {
			if volume, ok := t.volumes.get(id); ok && !yield(volume) {
				return
			}
		}
	}
}

func (x *txn) putVolume(volume *novacronv1.Volume) *novacronv1.Volume {
	before, existed := x.t.volumes.get(volume.GetId())
	if existed {
		x.t.dropVolume(before)
	}
	volume.Revision = x.revision
	x.t.putVolume(volume)
	x.changed(orNil(before, existed), volume)
	return volume
}

func (x *txn) dropVolume(volume *novacronv1.Volume) {
	x.t.dropVolume(volume)
	x.changed(volume, nil)
}

func (x *txn) findVolume(id string) (*novacronv1.Volume, error) {
	volume, ok := x.t.volumes.get(id)
	if !ok {
		return nil, fmt.Errorf("%w: volume %q: see «novacron volume list»", ErrNotFound, id)
	}
	if volume.GetDeleteTime() != nil {
		return nil, fmt.Errorf("%w: volume %s is being deleted", ErrRefused, volume.GetSpec().GetName())
	}
	return volume, nil
}

// createVolume takes a complete spec. A retry with the same request id gets what the first try made.
func (x *txn) createVolume(op *statev1.CreateVolume) (proto.Message, error) {
	volume := edit(op.GetVolume())
	spec := volume.GetSpec()
	if id, taken := x.t.volumeByName.get(nameKey(spec.GetProject(), spec.GetName())); taken {
		before, _ := x.t.volumes.get(id)
		if volume.GetRequestId() != "" && before.GetRequestId() == volume.GetRequestId() {
			return before, nil
		}
		return nil, fmt.Errorf("%w: name: %q is volume %s in project %s: choose another name", ErrExists, spec.GetName(), id, spec.GetProject())
	}
	if _, taken := x.t.volumes.get(volume.GetId()); taken {
		return nil, fmt.Errorf("%w: id: %s belongs to another volume", ErrExists, volume.GetId())
	}
	if err := x.placeable(volume); err != nil {
		return nil, err
	}
	member, _ := x.t.members.get(volume.GetHostId())
	volume.HostName, volume.Generation, volume.CreateTime, volume.DeleteTime = member.GetName(), 1, x.now, nil
	volume.Status = &novacronv1.VolumeStatus{State: novacronv1.VolumeState_VOLUME_STATE_CREATING, UpdateTime: x.now}
	return x.putVolume(volume), nil
}

// placeable checks the plan that a volume was placed by: its host is up and has room, and its source is still there.
func (x *txn) placeable(volume *novacronv1.Volume) error {
	host, ok := x.t.hosts.get(volume.GetHostId())
	if !ok || host.GetState() != novacronv1.HostState_HOST_STATE_UP {
		return fmt.Errorf("%w: host %s is gone or down", ErrStale, volume.GetHostId())
	}
	if need := (&novacronv1.Resources{DiskGb: wholeGB(volume.GetSpec().GetSizeBytes())}); !x.t.fits(host, need) {
		used, _ := x.t.allocated(host.GetId())
		return fmt.Errorf("%w: sizeBytes: %d GiB do not fit on the host, of whose %d GiB %d are promised: take a smaller size or another host",
			ErrRefused, need.GetDiskGb(), host.GetInfo().GetCapacity().GetDiskGb(), used.GetDiskGb())
	}
	source := volume.GetSpec().GetSource().GetVolume()
	if source == "" {
		return nil
	}
	from, err := x.findVolume(source)
	if err != nil {
		return err
	}
	if vm := x.t.attachedTo(from); vm != nil {
		return fmt.Errorf("%w: source: volume %s is a disk of virtual machine %s, and what is written to gives no consistent copy: detach it first", ErrRefused, from.GetSpec().GetName(), vm.GetSpec().GetName())
	}
	if from.GetHostId() != volume.GetHostId() || from.GetStatus().GetState() != novacronv1.VolumeState_VOLUME_STATE_READY {
		return fmt.Errorf("%w: source: volume %s is not ready on that host: wait for it", ErrRefused, from.GetSpec().GetName())
	}
	return nil
}

// wholeGB rounds up to whole GiB.
func wholeGB(bytes uint64) uint64 { return bytes>>30 + min(1, bytes&(1<<30-1)) }

// resizeVolume grows; the same size is a retry.
func (x *txn) resizeVolume(op *statev1.ResizeVolume) (proto.Message, error) {
	before, err := x.findVolume(op.GetId())
	if err != nil {
		return nil, err
	}
	size, name := before.GetSpec().GetSizeBytes(), before.GetSpec().GetName()
	switch {
	case op.GetSizeBytes() == size:
		return before, nil
	case op.GetSizeBytes() < size:
		return nil, fmt.Errorf("%w: sizeBytes: volume %s has %s, %s is less: shrinking would cut data off; create a smaller volume and copy what you need",
			ErrRefused, name, sizeText(size), sizeText(op.GetSizeBytes()))
	}
	if err := x.unlinked(before); err != nil {
		return nil, err
	}
	host, ok := x.t.hosts.get(before.GetHostId())
	if more := wholeGB(op.GetSizeBytes()) - wholeGB(size); !ok || !x.t.fits(host, &novacronv1.Resources{DiskGb: more}) {
		return nil, fmt.Errorf("%w: sizeBytes: %d GiB more do not fit on host %s: free room there, or clone the volume elsewhere", ErrRefused, more, before.GetHostName())
	}
	after := edit(before)
	after.Generation++
	after.Spec.SizeBytes = op.GetSizeBytes()
	return x.putVolume(after), nil
}

// unlinked refuses what would change a volume under its linked clones.
func (x *txn) unlinked(volume *novacronv1.Volume) error {
	for other := range x.t.volumesOf(volume.GetHostId()) {
		if source := other.GetSpec().GetSource(); source.GetLinked() && source.GetVolume() == volume.GetId() {
			return fmt.Errorf("%w: volume %s: linked clone %s of project %s lies on top of it: delete that first",
				ErrRefused, volume.GetSpec().GetName(), other.GetSpec().GetName(), other.GetSpec().GetProject())
		}
	}
	return nil
}

// deleteVolume is refused while something needs the volume. A second wish for it is fine.
func (x *txn) deleteVolume(op *statev1.DeleteVolume) (proto.Message, error) {
	before, ok := x.t.volumes.get(op.GetId())
	if !ok {
		return nil, fmt.Errorf("%w: volume %q: see «novacron volume list»", ErrNotFound, op.GetId())
	}
	if _, owned := x.t.hosts.get(before.GetHostId()); !owned {
		x.dropVolume(before)
		return before, nil
	}
	if before.GetDeleteTime() != nil {
		return before, nil
	}
	if err := x.unlinked(before); err != nil {
		return nil, err
	}
	if vm := x.t.attachedTo(before); vm != nil {
		return nil, fmt.Errorf("%w: volume %s is a disk of virtual machine %s: detach it there first", ErrRefused, before.GetSpec().GetName(), vm.GetSpec().GetName())
	}
	after := edit(before)
	after.Generation++
	after.DeleteTime = x.now
	after.Status = edit(before.GetStatus())
	after.Status.State, after.Status.Message, after.Status.UpdateTime = novacronv1.VolumeState_VOLUME_STATE_DELETING, "", x.now
	return x.putVolume(after), nil
}

// observeVolumes records what a host says of its volumes. Only the owner is heard, and an older generation is not.
func (x *txn) observeVolumes(op *statev1.ObserveVolumes) (proto.Message, error) {
	for _, seen := range op.GetVolumes() {
		volume, ok := x.t.volumes.get(seen.GetVolumeId())
		if !ok || volume.GetHostId() != op.GetHostId() ||
			seen.GetStatus().GetObservedGeneration() < volume.GetStatus().GetObservedGeneration() {
			continue
		}
		if seen.GetGone() && volume.GetDeleteTime() != nil {
			x.dropVolume(volume)
			continue
		}
		after := edit(volume)
		path := after.GetStatus().GetPath()
		after.Status = edit(seen.GetStatus())
		after.Status.UpdateTime = x.now
		if after.GetStatus().GetPath() == "" {
			after.Status.Path = path
		}
		if volume.GetDeleteTime() != nil {
			after.Status.State = novacronv1.VolumeState_VOLUME_STATE_DELETING
		}
		x.putVolume(after)
	}
	return nil, nil
}

// failVolume marks a volume that nobody can bring back.
func (x *txn) failVolume(volume *novacronv1.Volume, message string) {
	after := edit(volume)
	after.Status = &novacronv1.VolumeStatus{
		State: novacronv1.VolumeState_VOLUME_STATE_FAILED, Message: message, UpdateTime: x.now,
		ObservedGeneration: volume.GetGeneration(), Path: volume.GetStatus().GetPath(),
	}
	x.putVolume(after)
}

// reviveVolume brings a volume of a backup in line with the facts about it. One that was deleted since has lost its
// content: it must not come back empty as if nothing had happened.
func (x *txn) reviveVolume(saved *novacronv1.Volume, facts *tables) {
	now, alive := facts.volumes.get(saved.GetId())
	_, owned := x.t.hosts.get(saved.GetHostId())
	switch {
	case alive && proto.Equal(now, saved):
	case !alive && owned:
		x.failVolume(saved, "it was deleted after the backup was made, and its content with it: delete it, or create it anew")
	case !owned:
		x.failVolume(saved, "its host "+saved.GetHostName()+" was removed from the cluster: delete the volume to forget it")
	default:
		after := edit(saved)
		after.Status, after.DeleteTime = now.GetStatus(), now.GetDeleteTime()
		after.Spec.SizeBytes = max(saved.GetSpec().GetSizeBytes(), now.GetSpec().GetSizeBytes()) // a volume never shrinks
		after.Generation = max(now.GetGeneration(), saved.GetGeneration()) + 1
		x.putVolume(after)
	}
}

// Volume finds a volume by id, or by name within a project.
func (v View) Volume(idOrName, project string) (*novacronv1.Volume, bool) {
	if volume, ok := v.t.volumes.get(idOrName); ok && (project == "" || volume.GetSpec().GetProject() == project) {
		return volume, true
	}
	id, ok := v.t.volumeByName.get(nameKey(project, idOrName))
	if !ok {
		return nil, false
	}
	return v.t.volumes.get(id)
}

// VolumesByName yields the volumes with name keys above start, in the order of project and name. The key of a row is
// what start takes.
func (v View) VolumesByName(start string) iter.Seq2[string, *novacronv1.Volume] {
	return func(yield func(string, *novacronv1.Volume) bool) {
		for key, id := range v.t.volumeByName.after(start) {
			if volume, ok := v.t.volumes.get(id); ok && !yield(key, volume) {
				return
			}
		}
	}
}

// Volumes yields all volumes, by id.
func (v View) Volumes() iter.Seq[*novacronv1.Volume] {
	return func(yield func(*novacronv1.Volume) bool) {
		for _, volume := range v.t.volumes.after("") {
			if !yield(volume) {
				return
			}
		}
	}
}

// VolumesOf yields the volumes of a host, by id.
func (v View) VolumesOf(hostID string) iter.Seq[*novacronv1.Volume] { return v.t.volumesOf(hostID) }

// sizeText writes an amount in the largest unit of which it is a whole number.
func sizeText(bytes uint64) string {
	unit := 0
	for units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}; ; unit++ {
		if bytes == 0 || bytes%1024 != 0 || unit == len(units)-1 {
			return fmt.Sprintf("%d %s", bytes, units[unit])
		}
		bytes /= 1024
	}
}
