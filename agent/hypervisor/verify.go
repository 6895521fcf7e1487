package hypervisor

import (
	"context"
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// verify reads the machine back and compares it with what was asked for.
func (c *creation) verify(ctx context.Context) error {
	d, _, err := c.ours(ctx, c.def.UUID)
	if err != nil {
		return err
	}
	var differences []string
	if c.spec.Start && d.State != StateRunning {
		differences = append(differences, fmt.Sprintf("it is %s, not running; see its console log", d.State))
	}
	var actual libvirtxml.Domain
	if err := actual.Unmarshal(d.XML); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	differences = append(differences, compare(c.def, &actual)...)
	if len(differences) > 0 {
		return fmt.Errorf("%w: %s", ErrReadBack, strings.Join(differences, "; "))
	}
	return nil
}
