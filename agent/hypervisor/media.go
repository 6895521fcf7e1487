package hypervisor

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/novacron/novacron/vm"
)

// MediaDriver changes what lies in CD-ROM drives.
type MediaDriver interface {
	// ChangeMedium puts a volume into a CD-ROM drive in place of what lies there, in a running guest at once and for every
	// later start. A domain without the drive is ErrNotFound.
	ChangeMedium(ctx context.Context, id string, m Medium) error
	// PlugDrive adds a CD-ROM drive with a volume in it to a running domain, on SCSI, and for every later start. Where a part
	// of that has been done before, the rest is.
	PlugDrive(ctx context.Context, id string, m Medium) error
}

// Medium is what shall lie in a CD-ROM drive.
type Medium struct {
	// Target is the drive's name in the domain, such as sda.
	Target string
	// Pool and Volume name a raw volume; an empty Volume is nothing.
	Pool, Volume string
	// Force opens a drive that the guest has locked.
	Force bool
}

// MediaSpec is one order to change what lies in the CD-ROM drives of a machine.
type MediaSpec struct {
	// Definition is the machine as it shall be; nothing but its drives is looked at.
	Definition *VMDefinition
	// Images resolves the images in the drives.
	Images ImageSource
	// VolumeProject is as in CreateSpec.
	VolumeProject func(id string) (project string, known bool)
	Force         bool
}

// ChangeMedia brings what lies in a machine's CD-ROM drives in line with its definition, and makes drives that are not there.
// It is idempotent: what a crash left undone is done by the same order.
func (m *Manager) ChangeMedia(ctx context.Context, spec MediaSpec) error {
	release, err := m.machines.lock(ctx, spec.Definition.UUID)
	if err != nil {
		return err
	}
	defer release()
	domain, meta, err := m.ours(ctx, spec.Definition.UUID)
	if err != nil {
		return err
	}
	next := vm.Clone(*meta.Definition)
	next.ISO, next.Volumes = spec.Definition.ISO, slices.Clone(spec.Definition.Volumes)
	if reflect.DeepEqual(next, *meta.Definition) {
		return nil
	}
	c := &mediaChange{
		creation: &creation{Manager: m, def: &next, spec: CreateSpec{Definition: &next, Images: spec.Images, VolumeProject: spec.VolumeProject}},
		domain:   domain, meta: meta, force: spec.Force,
	}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("CD-ROM drives of %s (%s): %w", next.Name, next.UUID, err)
	}
	return nil
}

// mediaChange is one change of media on its way. It brings images in as a create does.
type mediaChange struct {
	*creation
	domain Domain
	meta   metadata
	force  bool
}

// run names the imported images in the domain before they are used, and forgets those that are not used any more when they
// no longer are: a crash in between leaves an image too many, never one too few.
func (c *mediaChange) run(ctx context.Context) error {
	defer func() { c.pins.release(c.bases) }()
	others, err := c.neighbours(ctx)
	if err != nil {
		return err
	}
	if faults, err := c.checkSources(ctx, others); err != nil || faults.Err() != nil {
		return firstError(err, faults.Err())
	}
	if err := c.bringIn(ctx); err != nil {
		return err
	}
	before := c.meta.Bases
	c.meta.Bases = union(before, c.bases)
	if err := c.writeMetadata(ctx, c.def.UUID, c.meta); err != nil {
		return err
	}
	if err := c.lookAgain(ctx); err != nil {
		return err
	}
	if err := c.changeDrives(ctx); err != nil {
		return err
	}
	c.meta.Definition = c.def
	c.meta.Bases = c.stillUsed(c.meta.Bases)
	if err := c.writeMetadata(ctx, c.def.UUID, c.meta); err != nil {
		return err
	}
	dropped := slices.DeleteFunc(slices.Clone(before), func(b BaseRef) bool { return slices.Contains(c.meta.Bases, b) })
	if err := c.collect(ctx, "", dropped); err != nil {
		c.log.Warn("an image that no drive holds any more stays in its pool", "id", c.def.UUID, "error", err)
	}
	return nil
}

// lookAgain takes note of the domain as it is with what was written to it.
func (c *mediaChange) lookAgain(ctx context.Context) (err error) {
	c.domain, c.meta, err = c.ours(ctx, c.def.UUID)
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// bringIn imports the images of the drives, each once.
func (c *mediaChange) bringIn(ctx context.Context) error {
	for _, d := range disks(c.def) {
		if !d.medium() {
			continue
		}
		if err := c.importMedium(ctx, want{image: d.image, pool: d.pool, boot: true}); err != nil {
			return fmt.Errorf("image %s: %w", d.image, err)
		}
	}
	return nil
}

func (c *mediaChange) importMedium(ctx context.Context, w want) error {
	for _, b := range c.meta.Bases {
		if b.Image == w.image && b.Pool == w.pool && b.Format == bootFormat {
			c.pins.hold(b)
			c.bases = append(c.bases, b)
			return nil
		}
	}
	file, err := c.fetch(ctx, w)
	if err != nil {
		return err
	}
	ref := BaseRef{Image: w.image, Pool: w.pool, Volume: BaseName(file.SHA256, volumeFormat(file.Format)), Format: file.Format}
	c.pins.hold(ref)
	c.bases = append(c.bases, ref)
	c.bases[len(c.bases)-1].Path, err = c.ensureBase(ctx, ref, file)
	return err
}

func union(a, b []BaseRef) []BaseRef {
	all := slices.Clone(a)
	for _, ref := range b {
		if !slices.Contains(all, ref) {
			all = append(all, ref)
		}
	}
	return all
}

// stillUsed are the images that the definition names.
func (c *mediaChange) stillUsed(bases []BaseRef) []BaseRef {
	needed := wants(c.def)
	return slices.DeleteFunc(slices.Clone(bases), func(b BaseRef) bool {
		return !slices.ContainsFunc(needed, func(w want) bool {
			return w.image == b.Image && w.pool == b.Pool && w.boot == (b.Format == bootFormat)
		})
	})
}
