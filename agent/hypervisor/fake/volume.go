package fake

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/novacron/novacron/agent/hypervisor"
)

// VolumeNames lists a pool.
func (d *Driver) VolumeNames(ctx context.Context, pool string) ([]string, error) {
	if err := d.begin(ctx, "VolumeNames", pool); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkPool(pool); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(d.state.Volumes[pool])), nil
}

func (d *Driver) checkPool(pool string) error {
	for _, p := range d.facts().Pools {
		if p.Name == pool {
			return nil
		}
	}
	return fmt.Errorf("pool %s: %w", pool, hypervisor.ErrNotFound)
}

// Volume looks one up.
func (d *Driver) Volume(ctx context.Context, pool, name string) (hypervisor.VolumeInfo, error) {
	if err := d.begin(ctx, "Volume", name); err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := d.volume(pool, name)
	if err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	return *v, nil
}

// volume looks one up. The caller holds the lock.
func (d *Driver) volume(pool, name string) (*hypervisor.VolumeInfo, error) {
	v, ok := d.state.Volumes[pool][name]
	if !ok {
		return nil, fmt.Errorf("volume %s in pool %s: %w", name, pool, hypervisor.ErrNotFound)
	}
	return v, nil
}

func (d *Driver) hasPath(path string) bool {
	for _, volumes := range d.state.Volumes {
		for _, v := range volumes {
			if v.Path == path {
				return true
			}
		}
	}
	return false
}

// CreateVolume makes a volume; the backing file must be there.
func (d *Driver) CreateVolume(ctx context.Context, spec hypervisor.VolumeSpec) (hypervisor.VolumeInfo, error) {
	if err := d.begin(ctx, "CreateVolume", spec.Name); err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkPool(spec.Pool); err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	if _, err := d.volume(spec.Pool, spec.Name); err == nil {
		return hypervisor.VolumeInfo{}, fmt.Errorf("volume %s in pool %s: %w", spec.Name, spec.Pool, hypervisor.ErrExists)
	}
	if spec.BackingPath != "" && !d.hasPath(spec.BackingPath) {
		return hypervisor.VolumeInfo{}, fmt.Errorf("backing file %s: %w", spec.BackingPath, hypervisor.ErrNotFound)
	}
	v := &hypervisor.VolumeInfo{
		Pool: spec.Pool, Name: spec.Name, Path: "/fake/" + spec.Pool + "/" + spec.Name,
		Format: spec.Format, CapacityBytes: spec.CapacityBytes, BackingPath: spec.BackingPath,
	}
	if d.state.Volumes[spec.Pool] == nil {
		d.state.Volumes[spec.Pool] = map[string]*hypervisor.VolumeInfo{}
	}
	d.state.Volumes[spec.Pool][spec.Name] = v
	return *v, d.save()
}

// UploadVolume reads the content and keeps its length.
func (d *Driver) UploadVolume(ctx context.Context, pool, name string, content io.Reader, length int64) error {
	if err := d.begin(ctx, "UploadVolume", name); err != nil {
		return err
	}
	kept := &keeper{limit: keptContent}
	n, err := io.Copy(kept, io.LimitReader(content, length))
	if err != nil {
		return fmt.Errorf("upload %s: %w", name, err)
	}
	if n != length {
		return fmt.Errorf("upload %s: %w: %d bytes of %d", name, io.ErrUnexpectedEOF, n, length)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := d.volume(pool, name)
	if err != nil {
		return err
	}
	v.AllocationBytes = uint64(length)
	d.keep(v, kept.data)
	return d.save()
}

// DeleteVolume removes a volume, whoever is on top of it: as real storage does.
func (d *Driver) DeleteVolume(ctx context.Context, pool, name string) error {
	if err := d.begin(ctx, "DeleteVolume", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := d.volume(pool, name)
	if err != nil {
		return err
	}
	delete(d.contents, v.Path)
	delete(d.state.Volumes[pool], name)
	return d.save()
}
