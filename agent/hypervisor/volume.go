package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/novacron/novacron/vm"
)

const gib = 1 << 30

// checkFree makes sure that nothing stands where the create will put its volumes: neither a volume of somebody else
// nor a link that would lead the write elsewhere.
func (c *creation) checkFree(ctx context.Context, facts HostFacts) error {
	for _, d := range ownDisks(c.def) {
		name := VolumeName(c.def.UUID, d.name, d.format)
		if _, err := c.driver.Volume(ctx, d.pool, name); err == nil {
			return fmt.Errorf("volume %s in pool %s: %w and no journal says that it is ours; move it away", name, d.pool, ErrExists)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := checkNoFile(facts, d.pool, name); err != nil {
			return err
		}
	}
	return nil
}

// checkNoFile refuses a file or link that the pool does not know of. Where the pool's folder is not visible
// from here there is nothing to see.
func checkNoFile(facts HostFacts, pool, name string) error {
	for _, p := range facts.Pools {
		if p.Name != pool || p.Path == "" {
			continue
		}
		path := filepath.Join(p.Path, name)
		info, err := os.Lstat(path)
		if err != nil {
			return nil
		}
		if info.Mode()&os.ModeSymlink != 0 {
			return fmt.Errorf("%s in pool %s is a symbolic link: %w; remove it", name, pool, ErrUnsafePath)
		}
		return fmt.Errorf("%s in pool %s: %w; move it away", name, pool, ErrExists)
	}
	return nil
}

// makeVolume makes one disk. A volume that a crash left half made holds no data yet and is made anew.
func (c *creation) makeVolume(ctx context.Context, d disk) error {
	if isSeed(c.def, d) {
		return c.makeSeed(ctx, d)
	}
	spec := VolumeSpec{
		Pool: d.pool, Name: VolumeName(c.def.UUID, d.name, d.format),
		Format: d.format, CapacityBytes: uint64(d.sizeGB) * gib,
	}
	if d.image != "" {
		base, err := c.base(d.image, d.pool)
		if err != nil {
			return err
		}
		spec.BackingPath, spec.BackingFormat = base.Path, base.Format
	}
	return c.anew(ctx, spec)
}

// anew makes a volume in the place of what a crash may have left of it.
func (c *creation) anew(ctx context.Context, spec VolumeSpec) error {
	_, err := c.driver.CreateVolume(ctx, spec)
	if errors.Is(err, ErrExists) {
		if err := c.driver.DeleteVolume(ctx, spec.Pool, spec.Name); err != nil {
			return err
		}
		_, err = c.driver.CreateVolume(ctx, spec)
	}
	if err != nil {
		return fmt.Errorf("volume %s in pool %s: %w", spec.Name, spec.Pool, err)
	}
	return nil
}

func (c *creation) base(image, pool string) (BaseRef, error) {
	for _, b := range c.bases {
		if b.Image == image && b.Pool == pool && b.Format != bootFormat {
			return b, nil
		}
	}
	return BaseRef{}, fmt.Errorf("image %s was not imported into pool %s", image, pool)
}

// ownVolumes lists the volumes that carry the id in the pools of a definition.
func (m *Manager) ownVolumes(ctx context.Context, id string, pools []string) ([]VolumeRef, error) {
	var own []VolumeRef
	for _, pool := range pools {
		names, err := m.driver.VolumeNames(ctx, pool)
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", pool, err)
		}
		for _, name := range names {
			if ownsVolume(id, name) {
				own = append(own, VolumeRef{pool, name})
			}
		}
	}
	return own, nil
}

// pools lists the pools that a definition's disks are in, each once.
func pools(def *VMDefinition) []string {
	var list []string
	seen := map[string]bool{}
	for _, d := range disks(def) {
		if !seen[d.pool] {
			seen[d.pool] = true
			list = append(list, d.pool)
		}
	}
	return list
}

// deleteVolumes removes volumes of a machine; one that is gone is fine, one without the machine's id is refused.
func (m *Manager) deleteVolumes(ctx context.Context, op, id string, volumes []VolumeRef) error {
	for _, v := range volumes {
		if !ownsVolume(id, v.Name) {
			return fmt.Errorf("volume %s in pool %s: %w", v.Name, v.Pool, ErrForeign)
		}
		err := m.step(ctx, op, stepVolume, func() error { return ignoreNotFound(m.driver.DeleteVolume(ctx, v.Pool, v.Name)) })
		if err != nil {
			return fmt.Errorf("volume %s in pool %s: %w", v.Name, v.Pool, err)
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// bootFormat marks imported kernels and RAM disks, which are no disk images.
const bootFormat = "boot"

// volumeFormat is the storage format of an import.
func volumeFormat(format string) string {
	if format == bootFormat {
		return vm.FormatRaw
	}
	return format
}
