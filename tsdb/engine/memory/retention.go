package memory

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// SetRetention replaces Options.Retention. It holds from the next Append on.
func (e *Engine) SetRetention(keep time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opts.Retention = keep
}

// Expire forgets, of each series, the samples before the time in milliseconds that since says for its labels.
func (e *Engine) Expire(ctx context.Context, since func(labels.Labels) int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(ctx); err != nil {
		return err
	}
	for number, w := range e.windows {
		removed := false
		for ref, part := range w.parts {
			before := since(e.labels(ref))
			if before <= part.minT {
				continue
			}
			if err := w.remove(ref, math.MinInt64, before-1); err != nil {
				return err
			}
			removed = true
			e.revision.Changes++
		}
		if !removed {
			continue
		}
		var err error
		if e.windows[number], err = w.rebuilt(); err != nil {
			return err
		}
	}
	return nil
}
