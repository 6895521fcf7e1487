package collect

import (
	"context"
	"time"
)

// Remembered is a Presence that outlives the agent: series that have gone while it was down are ended by its first
// collection. It is for one goroutine at a time.
type Remembered struct {
	// Store is where the series are kept; nil keeps none.
	Store StateStore

	presence, before Presence
	begun            bool
}

// Begin starts a collection. The error, which comes once, says why nothing is known of before the start.
func (r *Remembered) Begin(ctx context.Context) (err error) {
	if !r.begun {
		r.begun = true
		err = r.presence.Restore(ctx, r.Store)
	}
	r.before = r.presence
	return err
}

// Ended is Presence.Ended.
func (r *Remembered) Ended(batch []Metric, at time.Time, conclusive func(Metric) bool) []Metric {
	return r.presence.Ended(batch, at, conclusive)
}

// Settle ends a collection. What was not stored is told again: markers, too.
func (r *Remembered) Settle(ctx context.Context, stored bool, now time.Time) error {
	if !stored {
		r.presence = r.before
		return nil
	}
	return r.presence.Keep(ctx, r.Store, now)
}
