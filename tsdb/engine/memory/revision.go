package memory

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

var (
	_ engine.Revised   = (*Engine)(nil)
	_ engine.Estimator = (*Engine)(nil)
)

func newRevision() engine.Revision {
	return engine.Revision{Epoch: max(1, rand.Uint64()), Since: [3]int64{math.MinInt64, math.MinInt64, math.MinInt64}}
}

// Revision names the state of what is older than engine.SettledAfter.
func (e *Engine) Revision() engine.Revision {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.revision
}

// revise counts a change where settled times have new samples.
func (b *appending) revise() {
	if b.late {
		b.e.revision.Changes++
	}
}

// Estimate counts the series that match and have samples in the bounds.
func (e *Engine) Estimate(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) (engine.Estimate, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	found, err := e.find(ctx, minT, maxT, matchers, 0, false)
	n := int64(len(found))
	return engine.Estimate{Least: n, Likely: n}, err
}

// MostSeries is the number of live series.
func (e *Engine) MostSeries() int64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return 0
	}
	return int64(e.index.Len())
}
