//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"slices"

	lv "libvirt.org/go/libvirt"
)

// TieCPUs ties the virtual CPUs, those that can be plugged in later too, and the emulator's threads.
func (d *Driver) TieCPUs(ctx context.Context, id string, cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	bits := make([]bool, slices.Max(cpus)+1)
	for _, cpu := range cpus {
		bits[cpu] = true
	}
	return act(ctx, d, id, func(dom *lv.Domain) error {
		active, err := dom.IsActive()
		if err != nil || !active {
			return err
		}
		most, err := dom.GetVcpusFlags(lv.DOMAIN_VCPU_MAXIMUM | lv.DOMAIN_VCPU_LIVE)
		if err != nil {
			return err
		}
		for n := range most {
			if err := dom.PinVcpuFlags(uint(n), bits, lv.DOMAIN_AFFECT_LIVE); err != nil {
				return err
			}
		}
		return dom.PinEmulator(bits, lv.DOMAIN_AFFECT_LIVE)
	})
}
