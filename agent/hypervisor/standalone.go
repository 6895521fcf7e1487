package hypervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/diskimage"
)

// ErrLost is a volume that was complete once and is no longer there.
var ErrLost = errors.New("its content is lost")

// VolumeOrder says what a volume that stands alone shall be.
type VolumeOrder struct {
	ID, Pool, Format string
	SizeBytes        uint64
	// Content gives the file that the volume is filled with; nil makes it empty, or a clone.
	Content func(ctx context.Context) (ImageFile, error)
	// Source is the volume that is cloned, where Name is set; Linked makes an overlay on it.
	Source       VolumeRef
	SourceFormat string
	Linked       bool
	// Made says that the volume was complete once: if it is gone now it is not made anew.
	Made bool
}

func (o VolumeOrder) ref() BaseRef {
	return BaseRef{Pool: o.Pool, Volume: StandaloneName(o.ID, o.Format), Format: o.Format}
}

// EnsureVolume makes a volume that stands alone, or grows it to the size that is ordered. What is there already is kept;
// what a crash left half made is made anew. A failure leaves nothing of a volume that was not complete before.
func (m *Manager) EnsureVolume(ctx context.Context, o VolumeOrder) (VolumeInfo, error) {
	if err := o.check(); err != nil {
		return VolumeInfo{}, err
	}
	release, err := m.lockVolumes(ctx, o)
	if err != nil {
		return VolumeInfo{}, err
	}
	defer release()
	info, err := m.ensureVolume(ctx, o)
	if err != nil {
		return info, fmt.Errorf("volume %s in pool %s: %w", o.ref().Volume, o.Pool, err)
	}
	return info, nil
}

func (o VolumeOrder) check() error {
	if kind, id := OwnerOf(o.ref().Volume); kind != OwnerVolume || id != o.ID {
		return fmt.Errorf("volume %.80q of format %.20q: %w; ids are UUIDs, formats qcow2 or raw", o.ID, o.Format, ErrForeign)
	}
	if o.Linked && o.Format != vm.FormatQcow2 {
		return fmt.Errorf("volume %s: a linked clone is qcow2, not %s", o.ID, o.Format)
	}
	return nil
}

// lockVolumes locks the volume, then its source: a source is always older than its clone, so nobody waits in a circle.
func (m *Manager) lockVolumes(ctx context.Context, o VolumeOrder) (func(), error) {
	own, err := m.bases.lock(ctx, o.Pool+"/"+o.ref().Volume)
	if err != nil || o.Source.Name == "" || o.Made {
		return own, err
	}
	source, err := m.bases.lock(ctx, o.Source.Pool+"/"+o.Source.Name)
	if err != nil {
		own()
		return nil, err
	}
	return func() { source(); own() }, nil
}

func (m *Manager) ensureVolume(ctx context.Context, o VolumeOrder) (VolumeInfo, error) {
	if err := m.dropHalfImport(ctx, o.ref()); err != nil {
		return VolumeInfo{}, err
	}
	info, err := m.driver.Volume(ctx, o.Pool, o.ref().Volume)
	switch {
	case err == nil:
		return m.grow(ctx, o, info)
	case !errors.Is(err, ErrNotFound):
		return info, err
	case o.Made:
		return info, fmt.Errorf("%w: somebody removed it behind the cluster; delete the volume, or put the file back", ErrLost)
	}
	return m.makeStandalone(ctx, o)
}

// makeStandalone makes the volume under a journal: while that has its entry, the volume counts as incomplete.
func (m *Manager) makeStandalone(ctx context.Context, o VolumeOrder) (VolumeInfo, error) {
	facts, err := m.recentFacts(ctx)
	if err != nil {
		return VolumeInfo{}, err
	}
	if err := checkNoFile(facts, o.Pool, o.ref().Volume); err != nil {
		return VolumeInfo{}, err
	}
	m.pins.hold(o.ref())
	defer m.pins.release([]BaseRef{o.ref()})
	var info VolumeInfo
	err = m.inOrder(ctx, opImport,
		work{stepJournal, func() error {
			return m.journal.begin(JournalEntry{ID: importKey(o.ref()), Kind: KindImport, Pool: o.Pool, Bases: []BaseRef{o.ref()}})
		}},
		work{stepVolume, func() (err error) { info, err = m.fill(ctx, o); return err }},
		work{stepCommit, func() error { return m.journal.end(importKey(o.ref())) }},
	)
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, m.dropHalfImport(ctx, o.ref()))
	}
	return info, err
}

func (m *Manager) fill(ctx context.Context, o VolumeOrder) (VolumeInfo, error) {
	spec := VolumeSpec{Pool: o.Pool, Name: o.ref().Volume, Format: o.Format, CapacityBytes: o.SizeBytes}
	switch {
	case o.Content != nil:
		return m.fillFrom(ctx, o, spec)
	case o.Source.Name == "":
		return m.driver.CreateVolume(ctx, spec)
	}
	source, err := m.cloneSource(ctx, o)
	if err != nil {
		return VolumeInfo{}, err
	}
	spec.CapacityBytes = max(o.SizeBytes, source.CapacityBytes)
	if o.Linked {
		spec.BackingPath, spec.BackingFormat = source.Path, o.SourceFormat
		return m.driver.CreateVolume(ctx, spec)
	}
	info, err := m.driver.CloneVolume(ctx, spec, o.Source)
	if err != nil {
		return info, err
	}
	return m.grow(ctx, o, info)
}

// cloneSource looks at what is to be cloned. A volume that a machine writes to gives no consistent copy.
func (m *Manager) cloneSource(ctx context.Context, o VolumeOrder) (VolumeInfo, error) {
	stored, err := m.storedOne(ctx, VolumeRef{o.Source.Pool, o.Source.Name})
	if err != nil {
		return VolumeInfo{}, err
	}
	if len(stored.UsedBy) > 0 {
		return VolumeInfo{}, fmt.Errorf("source %s: %w: it is a disk of domain %s; detach it first", o.Source.Name, ErrInUse, strings.Join(stored.UsedBy, ", "))
	}
	return stored.VolumeInfo, nil
}

// storedOne finds one volume with its users.
func (m *Manager) storedOne(ctx context.Context, ref VolumeRef) (Stored, error) {
	all, err := m.Stored(ctx, ref.Pool)
	if err != nil {
		return Stored{}, err
	}
	for _, s := range all {
		if s.Name == ref.Name {
			return s, nil
		}
	}
	return Stored{}, fmt.Errorf("volume %s in pool %s: %w", ref.Name, ref.Pool, ErrNotFound)
}

// fillFrom copies a file into a new volume. The volume is made raw, exactly as long as the file; the pool then finds out
// what it is.
func (m *Manager) fillFrom(ctx context.Context, o VolumeOrder, spec VolumeSpec) (VolumeInfo, error) {
	content, err := o.Content(ctx)
	if err != nil {
		return VolumeInfo{}, err
	}
	file, err := os.Open(content.Path)
	if err != nil {
		return VolumeInfo{}, err
	}
	defer file.Close()
	length, err := inspectContent(file, o)
	if err != nil {
		return VolumeInfo{}, err
	}
	raw := spec
	raw.Format, raw.CapacityBytes = vm.FormatRaw, uint64(length)
	if _, err := m.driver.CreateVolume(ctx, raw); err != nil {
		return VolumeInfo{}, err
	}
	err = m.step(ctx, opImport, stepUpload, func() error { return m.driver.UploadVolume(ctx, spec.Pool, spec.Name, file, length) })
	if err != nil {
		return VolumeInfo{}, err
	}
	if err := m.driver.RefreshPool(ctx, spec.Pool); err != nil {
		return VolumeInfo{}, err
	}
	info, err := m.driver.Volume(ctx, spec.Pool, spec.Name)
	if err != nil {
		return info, err
	}
	if info.Format != o.Format {
		return info, fmt.Errorf("declared %s, stored %s; declare the format that it has", o.Format, info.Format)
	}
	return m.grow(ctx, o, info)
}

// inspectContent refuses what is not as declared, refers to other files or is larger than the volume.
func inspectContent(file *os.File, o VolumeOrder) (length int64, err error) {
	stat, err := file.Stat()
	if err != nil {
		return 0, err
	}
	info, err := diskimage.Inspect(file, stat.Size())
	if err != nil {
		return 0, err
	}
	if string(info.Format) != o.Format {
		return 0, fmt.Errorf("declared %s, stored %s; declare the format that it has", o.Format, info.Format)
	}
	if info.VirtualSize > o.SizeBytes {
		return 0, fmt.Errorf("it holds a disk of %d bytes, larger than the %d asked for; ask for at least as much", info.VirtualSize, o.SizeBytes)
	}
	return stat.Size(), nil
}

// grow brings a volume to its size. One that a machine has as a disk is left as it is.
func (m *Manager) grow(ctx context.Context, o VolumeOrder, info VolumeInfo) (VolumeInfo, error) {
	if info.CapacityBytes >= o.SizeBytes {
		return info, nil
	}
	stored, err := m.storedOne(ctx, VolumeRef{o.Pool, o.ref().Volume})
	if err != nil {
		return info, err
	}
	switch {
	case len(stored.UsedBy) > 0:
		return info, fmt.Errorf("%w: it is a disk of domain %s; detach it before it grows", ErrInUse, strings.Join(stored.UsedBy, ", "))
	case stored.Overlays > 0:
		return info, fmt.Errorf("%w: %d volumes lie on top of it; delete them before it grows", ErrInUse, stored.Overlays)
	case info.Format != o.Format:
		return info, fmt.Errorf("declared %s, stored %s; copy its content to a new volume", o.Format, info.Format)
	}
	if err := m.driver.ResizeVolume(ctx, o.Pool, info.Name, o.SizeBytes); err != nil {
		return info, err
	}
	return m.driver.Volume(ctx, o.Pool, info.Name)
}

// RemoveVolume removes a volume that stands alone; one that is gone is fine. ErrInUse where a domain has it as a disk or
// another volume lies on top of it.
func (m *Manager) RemoveVolume(ctx context.Context, id, pool, format string) error {
	o := VolumeOrder{ID: id, Pool: pool, Format: format}
	if err := o.check(); err != nil {
		return err
	}
	name := o.ref().Volume
	release, err := m.bases.lock(ctx, pool+"/"+name)
	if err != nil {
		return err
	}
	defer release()
	if err := m.dropHalfImport(ctx, o.ref()); err != nil {
		return err
	}
	stored, err := m.storedOne(ctx, VolumeRef{pool, name})
	if err != nil {
		return ignoreNotFound(err)
	}
	if len(stored.UsedBy) > 0 || stored.Overlays > 0 {
		return fmt.Errorf("volume %s in pool %s: %w: %s", name, pool, ErrInUse, stored.why())
	}
	return ignoreNotFound(m.driver.DeleteVolume(ctx, pool, name))
}

// ReadVolume writes the bytes that a volume that stands alone is stored in, and returns their SHA-256.
func (m *Manager) ReadVolume(ctx context.Context, id, pool, format string, to io.Writer) (string, error) {
	o := VolumeOrder{ID: id, Pool: pool, Format: format}
	if err := o.check(); err != nil {
		return "", err
	}
	release, err := m.bases.lock(ctx, pool+"/"+o.ref().Volume)
	if err != nil {
		return "", err
	}
	defer release()
	stored, err := m.storedOne(ctx, VolumeRef{pool, o.ref().Volume})
	switch {
	case err != nil:
		return "", err
	case len(stored.UsedBy) > 0:
		return "", fmt.Errorf("volume %s in pool %s: %w: it is a disk of domain %s; detach it first", stored.Name, pool, ErrInUse, strings.Join(stored.UsedBy, ", "))
	case stored.BackingPath != "":
		return "", fmt.Errorf("volume %s in pool %s: its bytes are of no use without %s; clone it in full and download the clone", stored.Name, pool, stored.BackingPath)
	}
	sum := sha256.New()
	if err := m.driver.DownloadVolume(ctx, pool, stored.Name, io.MultiWriter(sum, to)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
