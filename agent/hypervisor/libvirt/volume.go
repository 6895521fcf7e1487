//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"

	lv "libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/novacron/novacron/agent/hypervisor"
)

// chunk is how much of a volume travels at a time: libvirt's largest stream packet is 256 KiB.
const chunk = 256 << 10

func withPool[T any](ctx context.Context, d *Driver, pool string, do func(*lv.Connect, *lv.StoragePool) (T, error)) (T, error) {
	return call(ctx, d, func(conn *lv.Connect) (T, error) {
		var none T
		p, err := conn.LookupStoragePoolByName(pool)
		if err != nil {
			return none, err
		}
		defer p.Free()
		return do(conn, p)
	})
}

func withVolume[T any](ctx context.Context, d *Driver, pool, name string, do func(*lv.Connect, *lv.StorageVol) (T, error)) (T, error) {
	return withPool(ctx, d, pool, func(conn *lv.Connect, p *lv.StoragePool) (T, error) {
		var none T
		v, err := p.LookupStorageVolByName(name)
		if err != nil {
			return none, err
		}
		defer v.Free()
		return do(conn, v)
	})
}

// VolumeNames lists a pool.
func (d *Driver) VolumeNames(ctx context.Context, pool string) ([]string, error) {
	return withPool(ctx, d, pool, func(_ *lv.Connect, p *lv.StoragePool) ([]string, error) { return p.ListStorageVolumes() })
}

// Volume looks one up.
func (d *Driver) Volume(ctx context.Context, pool, name string) (hypervisor.VolumeInfo, error) {
	return withVolume(ctx, d, pool, name, func(_ *lv.Connect, v *lv.StorageVol) (hypervisor.VolumeInfo, error) { return describe(pool, v) })
}

func describe(pool string, v *lv.StorageVol) (hypervisor.VolumeInfo, error) {
	text, err := v.GetXMLDesc(0)
	if err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	var x libvirtxml.StorageVolume
	if err := x.Unmarshal(text); err != nil {
		return hypervisor.VolumeInfo{}, fmt.Errorf("volume XML: %w", err)
	}
	info := hypervisor.VolumeInfo{Pool: pool, Name: x.Name, CapacityBytes: bytesOf(x.Capacity), AllocationBytes: bytesOf(x.Allocation)}
	if x.Target != nil {
		info.Path = x.Target.Path
		if x.Target.Format != nil {
			info.Format = x.Target.Format.Type
		}
	}
	if x.BackingStore != nil {
		info.BackingPath = x.BackingStore.Path
	}
	return info, nil
}

// bytesOf reads a size; libvirt answers in bytes.
func bytesOf(s *libvirtxml.StorageVolumeSize) uint64 {
	if s == nil {
		return 0
	}
	return s.Value
}

// CreateVolume makes a sparse volume.
func (d *Driver) CreateVolume(ctx context.Context, spec hypervisor.VolumeSpec) (hypervisor.VolumeInfo, error) {
	text, err := volumeXML(spec)
	if err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	return withPool(ctx, d, spec.Pool, func(_ *lv.Connect, p *lv.StoragePool) (hypervisor.VolumeInfo, error) {
		v, err := p.StorageVolCreateXML(text, 0)
		if err != nil {
			return hypervisor.VolumeInfo{}, existsOr(p, spec.Name, err)
		}
		defer v.Free()
		return describe(spec.Pool, v)
	})
}

// existsOr finds out whether a volume could not be made because there is one: not every libvirt driver says so in its
// error code.
func existsOr(p *lv.StoragePool, name string, err error) error {
	v, lookErr := p.LookupStorageVolByName(name)
	if lookErr != nil {
		return err
	}
	defer v.Free()
	return fmt.Errorf("volume %s: %w", name, hypervisor.ErrExists)
}

func volumeXML(spec hypervisor.VolumeSpec) (string, error) {
	x := libvirtxml.StorageVolume{
		Name:       spec.Name,
		Allocation: &libvirtxml.StorageVolumeSize{Value: 0},
		Capacity:   &libvirtxml.StorageVolumeSize{Value: spec.CapacityBytes, Unit: "B"},
		Target:     &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: spec.Format}},
	}
	if spec.BackingPath != "" {
		x.BackingStore = &libvirtxml.StorageVolumeBackingStore{
			Path: spec.BackingPath, Format: &libvirtxml.StorageVolumeTargetFormat{Type: spec.BackingFormat},
		}
	}
	return x.Marshal()
}

// UploadVolume fills a volume with length bytes of content.
func (d *Driver) UploadVolume(ctx context.Context, pool, name string, content io.Reader, length int64) error {
	_, err := withVolume(ctx, d, pool, name, func(conn *lv.Connect, v *lv.StorageVol) (struct{}, error) {
		stream, err := conn.NewStream(0)
		if err != nil {
			return struct{}{}, err
		}
		defer stream.Free()
		if err := v.Upload(stream, 0, uint64(length), 0); err != nil {
			return struct{}{}, err
		}
		if err := send(ctx, stream, content, length); err != nil {
			return struct{}{}, errors.Join(err, stream.Abort())
		}
		return struct{}{}, stream.Finish()
	})
	return err
}

// send copies exactly length bytes into a stream.
func send(ctx context.Context, stream *lv.Stream, content io.Reader, length int64) error {
	buf := make([]byte, chunk)
	for length > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(content, buf[:min(length, chunk)])
		if err != nil {
			return fmt.Errorf("read the content: %w", err)
		}
		for rest := buf[:n]; len(rest) > 0; {
			sent, err := stream.Send(rest)
			if err != nil {
				return err
			}
			rest = rest[sent:]
		}
		length -= int64(n)
	}
	return nil
}

// DeleteVolume removes a volume.
func (d *Driver) DeleteVolume(ctx context.Context, pool, name string) error {
	_, err := withVolume(ctx, d, pool, name, func(_ *lv.Connect, v *lv.StorageVol) (struct{}, error) { return struct{}{}, v.Delete(0) })
	return err
}
