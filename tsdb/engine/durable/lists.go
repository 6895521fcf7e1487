package durable

import (
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
)

// LabelNames lists the names of the labels of the series that match and reach into the bounds.
func (s *Store) LabelNames(ctx context.Context, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return s.list(minT, maxT, limit, func(b *block.Block) ([]string, error) {
		return b.LabelNames(ctx, minT, maxT, limit, matchers...)
	}, func() ([]string, error) {
		ids, err := s.index.Select(ctx, matchers...)
		if err != nil {
			return nil, err
		}
		return s.index.LabelNames(ctx, limit, s.head.reaching(ids, minT, maxT))
	})
}

// LabelValues lists the values of a label of the series that match and reach into the bounds.
func (s *Store) LabelValues(ctx context.Context, name string, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return s.list(minT, maxT, limit, func(b *block.Block) ([]string, error) {
		return b.LabelValues(ctx, name, minT, maxT, limit, matchers...)
	}, func() ([]string, error) {
		ids, err := s.index.Select(ctx, matchers...)
		if err != nil {
			return nil, err
		}
		return s.index.LabelValues(ctx, name, limit, s.head.reaching(ids, minT, maxT))
	})
}

// list joins the sorted lists of the blocks and of the head.
func (s *Store) list(minT, maxT int64, limit int, ofBlock func(*block.Block) ([]string, error), ofHead func() ([]string, error)) ([]string, error) {
	v, err := s.hold(engine.TierRaw, minT, maxT)
	if err != nil {
		return nil, err
	}
	defer s.letGo(v)
	var all []string
	for _, b := range v.blocks {
		more, err := ofBlock(b)
		if err != nil {
			return nil, err
		}
		if bad := b.LookupDamage(); bad != nil {
			if err := s.damaged(bad); err != nil {
				return nil, err
			}
		}
		all = join(all, more, limit)
	}
	if len(v.spans) == 0 {
		return all, nil
	}
	more, err := ofHead()
	return join(all, more, limit), err
}

// join merges two lists, sorted and without doubles, up to a limit; 0 is none.
func join(a, b []string, limit int) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	all = slices.Compact(all)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all
}

// reaching are those of the series that may have samples in the bounds.
func (h *head) reaching(ids *roaring.Bitmap, minT, maxT int64) *roaring.Bitmap {
	some := roaring.New()
	for it := ids.Iterator(); it.HasNext(); {
		id := it.Next()
		if p := h.pages.get(id); p != nil && h.reaches(p, id, minT, maxT) {
			some.Add(id)
		}
	}
	return some
}

func (h *head) reaches(p *page, id uint32, minT, maxT int64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return h.reach(&p.series[id%pageSize], nil, minT, maxT)
}
