//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

// CreatePool defines a pool, makes its folder and starts it. What fails is forgotten again.
func (d *Driver) CreatePool(ctx context.Context, spec hypervisor.PoolSpec, xml string) error {
	return run(ctx, d, func(conn *lv.Connect) error {
		if old, err := conn.LookupStoragePoolByName(spec.Name); err == nil {
			defer old.Free()
			return hypervisor.ErrExists
		}
		p, err := conn.StoragePoolDefineXML(xml, 0)
		if err != nil {
			return err
		}
		defer p.Free()
		if err := startPool(p, spec); err != nil {
			return errors.Join(err, p.Undefine())
		}
		return nil
	})
}

func startPool(p *lv.StoragePool, spec hypervisor.PoolSpec) error {
	if spec.Type == hypervisor.PoolDir || spec.Type == hypervisor.PoolNFS {
		if err := p.Build(0); err != nil {
			return err
		}
	}
	if err := p.Create(0); err != nil {
		return err
	}
	if err := p.SetAutostart(true); err != nil {
		return errors.Join(err, p.Destroy())
	}
	return nil
}

// DeletePool stops a pool and forgets its definition. What is stored in it stays.
func (d *Driver) DeletePool(ctx context.Context, name string) error {
	_, err := withPool(ctx, d, name, func(_ *lv.Connect, p *lv.StoragePool) (struct{}, error) {
		active, err := p.IsActive()
		if err == nil && active {
			err = p.Destroy()
		}
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, p.Undefine()
	})
	return err
}
