package memory

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// exemplars keeps a bounded number of exemplars of all series together.
type exemplars struct {
	limit int
	of    map[engine.Ref][]exemplar.Exemplar // in order of time
	// queue names the series of each exemplar in the order of writing. Some of them may be deleted already.
	queue []engine.Ref
}

func (x *exemplars) add(ref engine.Ref, one exemplar.Exemplar) {
	at, same := slices.BinarySearchFunc(x.of[ref], one, exemplar.Compare)
	if same {
		return
	}
	one.Labels = one.Labels.Copy()
	x.of[ref] = slices.Insert(x.of[ref], at, one)
	x.queue = append(x.queue, ref)
	for len(x.queue) > x.limit {
		if list := x.of[x.queue[0]]; len(list) > 0 {
			x.set(x.queue[0], list[1:])
		}
		x.queue = x.queue[1:]
	}
}

func (x *exemplars) set(ref engine.Ref, list []exemplar.Exemplar) {
	if x.of[ref] = list; len(list) == 0 {
		delete(x.of, ref)
	}
}

func (x *exemplars) remove(ref engine.Ref, minT, maxT int64) {
	x.set(ref, slices.DeleteFunc(x.of[ref], func(one exemplar.Exemplar) bool { return minT <= one.Ts && one.Ts <= maxT }))
}

// Exemplars lists the kept exemplars of the series that match, the series in the order of their labels.
func (e *Engine) Exemplars(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	var found []engine.SeriesExemplars
	refs, err := e.matching(ctx, true, matchers...)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		s := engine.SeriesExemplars{Labels: e.labels(ref)}
		for _, one := range e.exemplars.of[ref] {
			if minT <= one.Ts && one.Ts <= maxT {
				s.Exemplars = append(s.Exemplars, one)
			}
		}
		if len(s.Exemplars) > 0 {
			found = append(found, s)
		}
	}
	return found, nil
}
