//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

// Volumes describes a pool. What vanishes while it is looked at is left out.
func (d *Driver) Volumes(ctx context.Context, pool string) ([]hypervisor.VolumeInfo, error) {
	return withPool(ctx, d, pool, func(_ *lv.Connect, p *lv.StoragePool) ([]hypervisor.VolumeInfo, error) {
		handles, err := p.ListAllStorageVolumes(0)
		if err != nil {
			return nil, err
		}
		all := make([]hypervisor.VolumeInfo, 0, len(handles))
		for i := range handles {
			defer handles[i].Free()
			info, err := describe(pool, &handles[i])
			if errors.Is(err, lv.ERR_NO_STORAGE_VOL) {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, info)
		}
		return all, nil
	})
}

// CloneVolume makes a volume with the content of another, which libvirt copies.
func (d *Driver) CloneVolume(ctx context.Context, spec hypervisor.VolumeSpec, source hypervisor.VolumeRef) (hypervisor.VolumeInfo, error) {
	text, err := volumeXML(spec)
	if err != nil {
		return hypervisor.VolumeInfo{}, err
	}
	return withVolume(ctx, d, source.Pool, source.Name, func(conn *lv.Connect, from *lv.StorageVol) (hypervisor.VolumeInfo, error) {
		p, err := conn.LookupStoragePoolByName(spec.Pool)
		if err != nil {
			return hypervisor.VolumeInfo{}, err
		}
		defer p.Free()
		v, err := p.StorageVolCreateXMLFrom(text, from, 0)
		if err != nil {
			return hypervisor.VolumeInfo{}, existsOr(p, spec.Name, err)
		}
		defer v.Free()
		return describe(spec.Pool, v)
	})
}

// ResizeVolume grows a volume; libvirt itself refuses to shrink one without being told to.
func (d *Driver) ResizeVolume(ctx context.Context, pool, name string, capacityBytes uint64) error {
	_, err := withVolume(ctx, d, pool, name, func(_ *lv.Connect, v *lv.StorageVol) (struct{}, error) {
		info, err := v.GetInfo()
		if err != nil || info.Capacity == capacityBytes {
			return struct{}{}, err
		}
		if capacityBytes < info.Capacity {
			return struct{}{}, fmt.Errorf("volume %s: %d bytes are less than its %d: a volume never shrinks", name, capacityBytes, info.Capacity)
		}
		return struct{}{}, v.Resize(capacityBytes, 0)
	})
	return err
}

// DownloadVolume writes the file behind a volume.
func (d *Driver) DownloadVolume(ctx context.Context, pool, name string, to io.Writer) error {
	_, err := withVolume(ctx, d, pool, name, func(conn *lv.Connect, v *lv.StorageVol) (struct{}, error) {
		stream, err := conn.NewStream(0)
		if err != nil {
			return struct{}{}, err
		}
		defer stream.Free()
		if err := v.Download(stream, 0, 0, 0); err != nil {
			return struct{}{}, err
		}
		if err := receive(ctx, stream, to); err != nil {
			return struct{}{}, errors.Join(err, stream.Abort())
		}
		return struct{}{}, stream.Finish()
	})
	return err
}

// receive copies a stream to its end.
func receive(ctx context.Context, stream *lv.Stream, to io.Writer) error {
	buf := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := stream.Recv(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// RefreshPool looks anew at a pool.
func (d *Driver) RefreshPool(ctx context.Context, pool string) error {
	_, err := withPool(ctx, d, pool, func(_ *lv.Connect, p *lv.StoragePool) (struct{}, error) { return struct{}{}, p.Refresh(0) })
	return err
}
