package index

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
)

// Ref names a series as long as it lives: its id, and the generation that tells it from those that have the id before
// and after it.
type Ref struct{ ID, Generation uint32 }

// Refs are the series that all matchers match, in the order of their labels where sorted is set, else of their ids.
// Nothing is removed between the look at the matchers and that at the generations: an id that was given to another
// series meanwhile would name one that does not match, or that stands at a wrong place.
func (m *Mem) Refs(ctx context.Context, sorted bool, matchers ...*labels.Matcher) ([]Ref, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	found, err := evaluate(ctx, memSource{m}, matchers)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	if sorted {
		ids = m.sort(found)
	} else {
		ids = found.ToArray()
	}
	refs := make([]Ref, len(ids))
	for i, id := range ids {
		refs[i] = Ref{id, m.Generation(id)}
	}
	return refs, nil
}
