package agent

import (
	"context"
	"time"
)

// shieldRest is how often it is looked whether machines run where they should, without anything having been told.
const shieldRest = time.Minute

// shieldDedicated keeps floating machines off the CPUs of dedicated ones, whenever a machine starts or stops.
func (d *daemon) shieldDedicated(ctx context.Context) {
	tick := time.NewTicker(shieldRest)
	defer tick.Stop()
	for {
		if err := d.machines.Shield(ctx); err != nil && ctx.Err() == nil {
			d.logger.Warn("machines may run on CPUs that are dedicated to others", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.shieldSoon:
		case <-tick.C:
		}
	}
}

// shield has it looked soon.
func (d *daemon) shield() {
	select {
	case d.shieldSoon <- struct{}{}:
	default: // it will be
	}
}
