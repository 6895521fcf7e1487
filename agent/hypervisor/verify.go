package hypervisor

import (
	"context"
	"fmt"
	"strings"
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
	found, err := Differences(c.def, d.XML)
	if err != nil {
		return err
	}
	if differences = append(differences, found...); len(differences) > 0 {
		return fmt.Errorf("%w: %s", ErrReadBack, strings.Join(differences, "; "))
	}
	return nil
}
