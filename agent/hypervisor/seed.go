package hypervisor

import (
	"bytes"
	"context"
	"fmt"

	"github.com/novacron/novacron/vm/cloudinit"
)

// opSeed has fail points of its own, besides those of the volume that it is part of. FaultPoints leaves them out,
// because only creates with cloud-init pass them: SeedFaultPoints has them.
const opSeed = "seed"

// SeedFaultPoints lists the fail points that only creates with cloud-init pass.
func SeedFaultPoints() []string {
	return []string{point(opSeed, stepUpload, "after"), point(opSeed, stepUpload, "before"), point(opSeed, stepVolume, "after"), point(opSeed, stepVolume, "before")}
}

// makeSeed makes the volume that the guest's cloud-init reads. Its content follows from the definition alone, so that
// a create that goes on after a crash makes the same.
func (c *creation) makeSeed(ctx context.Context, d disk) error {
	content, err := cloudinit.Seed(*c.def)
	if err != nil {
		return err
	}
	spec := VolumeSpec{Pool: d.pool, Name: VolumeName(c.def.UUID, d.name, d.format), Format: d.format, CapacityBytes: uint64(len(content))}
	err = c.inOrder(ctx, opSeed,
		work{stepVolume, func() error { return c.anew(ctx, spec) }},
		work{stepUpload, func() error {
			return c.driver.UploadVolume(ctx, d.pool, spec.Name, bytes.NewReader(content), int64(len(content)))
		}},
	)
	if err != nil {
		return fmt.Errorf("cloud-init seed: %w", err)
	}
	return nil
}
