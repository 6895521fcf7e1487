package fake

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/novacron/novacron/agent/hypervisor"
)

// keptContent is how much of an upload is kept in memory; the rest reads as zeros.
const keptContent = 4 << 20

// keeper keeps the beginning of what is written to it.
type keeper struct {
	limit int
	data  []byte
}

func (k *keeper) Write(p []byte) (int, error) {
	k.data = append(k.data, p[:min(len(p), k.limit-len(k.data))]...)
	return len(p), nil
}

// keep remembers content. The caller holds the lock.
func (d *Driver) keep(v *hypervisor.VolumeInfo, content []byte) { d.contents[v.Path] = content }

// Volumes describes a pool.
func (d *Driver) Volumes(ctx context.Context, pool string) ([]hypervisor.VolumeInfo, error) {
	if err := d.begin(ctx, "Volumes", pool); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkPool(pool); err != nil {
		return nil, err
	}
	var all []hypervisor.VolumeInfo
	for _, name := range slices.Sorted(maps.Keys(d.state.Volumes[pool])) {
		all = append(all, *d.state.Volumes[pool][name])
	}
	return all, nil
}

// CloneVolume makes a volume with the content of another.
func (d *Driver) CloneVolume(ctx context.Context, spec hypervisor.VolumeSpec, source hypervisor.VolumeRef) (hypervisor.VolumeInfo, error) {
	if err := d.begin(ctx, "CloneVolume", spec.Name); err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	from, err := d.Volume(ctx, source.Pool, source.Name)
	if err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	made, err := d.CreateVolume(ctx, spec)
	if err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := d.volume(made.Pool, made.Name)
	if err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	v.AllocationBytes = from.AllocationBytes
	v.CapacityBytes = max(v.CapacityBytes, from.CapacityBytes)
	if content := d.contents[from.Path]; content != nil {
		d.contents[v.Path] = bytes.Clone(content)
	}
	return *v, d.save()
}

// ResizeVolume grows a volume.
func (d *Driver) ResizeVolume(ctx context.Context, pool, name string, capacityBytes uint64) error {
	if err := d.begin(ctx, "ResizeVolume", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := d.volume(pool, name)
	if err != nil {
		return err
	}
	if capacityBytes < v.CapacityBytes {
		return fmt.Errorf("volume %s: %d bytes are less than its %d: a volume never shrinks", name, capacityBytes, v.CapacityBytes)
	}
	v.CapacityBytes = capacityBytes
	return d.save()
}

// DownloadVolume writes what was uploaded, then zeros up to the size.
func (d *Driver) DownloadVolume(ctx context.Context, pool, name string, to io.Writer) error {
	if err := d.begin(ctx, "DownloadVolume", name); err != nil {
		return err
	}
	d.mu.Lock()
	v, err := d.volume(pool, name)
	if err != nil {
		d.mu.Unlock()
		return err
	}
	content := bytes.Clone(d.contents[v.Path])
	size := v.AllocationBytes
	if v.Format == "raw" {
		size = v.CapacityBytes
	}
	d.mu.Unlock()
	zeros := make([]byte, 64<<10)
	if _, err := to.Write(content); err != nil {
		return err
	}
	for done := uint64(len(content)); done < size; {
		n, err := to.Write(zeros[:min(uint64(len(zeros)), size-done)])
		if err != nil {
			return err
		}
		done += uint64(n)
	}
	return nil
}

// RefreshPool finds out what was uploaded, as real pools do.
func (d *Driver) RefreshPool(ctx context.Context, pool string) error {
	if err := d.begin(ctx, "RefreshPool", pool); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.state.Volumes[pool] {
		content := d.contents[v.Path]
		if v.Format == "raw" && bytes.HasPrefix(content, []byte("QFI\xfb")) && len(content) >= 32 {
			v.Format, v.CapacityBytes = "qcow2", binary.BigEndian.Uint64(content[24:32])
		}
	}
	if err := d.checkPool(pool); err != nil {
		return err
	}
	return d.save()
}

// CreatePool makes a pool of 1 TiB.
func (d *Driver) CreatePool(ctx context.Context, spec hypervisor.PoolSpec, _ string) error {
	if err := d.begin(ctx, "CreatePool", spec.Name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.checkPool(spec.Name) == nil {
		return fmt.Errorf("pool %s: %w", spec.Name, hypervisor.ErrExists)
	}
	d.state.Pools = append(d.state.Pools, hypervisor.PoolFacts{
		Name: spec.Name, Type: spec.Type, Path: spec.Path, CapacityBytes: 1 << 40, FreeBytes: 1 << 40,
	})
	return d.save()
}

// DeletePool forgets a pool that CreatePool made.
func (d *Driver) DeletePool(ctx context.Context, name string) error {
	if err := d.begin(ctx, "DeletePool", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkPool(name); err != nil {
		return err
	}
	d.state.Pools = slices.DeleteFunc(d.state.Pools, func(p hypervisor.PoolFacts) bool { return p.Name == name })
	return d.save()
}
