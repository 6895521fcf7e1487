package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/novacron/novacron/tsdb/engine"
)

// Cardinality tells what the series are made of; its lists have at most top entries. Churned counts the series that
// are live and those that left in the last 24 hours, within about 1 %.
func (m *Mem) Cardinality(top int) engine.Cardinality {
	m.life.RLock()
	defer m.life.RUnlock()
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := engine.Cardinality{Series: m.live, Labels: uint64(len(m.dict.names)), Values: uint64(m.dict.live), Churned: m.churned()}
	metrics, names, bytes, pairs := newRanking(top), newRanking(top), newRanking(top), newRanking(top)
	for text, n := range m.dict.names {
		names.add(uint64(n.values()), func() string { return text })
		bytes.add(n.bytes, func() string { return text })
		for _, list := range [][]uint32{n.sorted, n.recent} {
			for _, p := range list {
				count := uint64(m.dict.pairs.at(p).count())
				pairs.add(count, func() string { return text + "=" + m.dict.value(p) })
				if text == metricName {
					metrics.add(count, func() string { return strings.Clone(m.dict.value(p)) })
				}
			}
		}
	}
	c.ByMetric, c.ByLabel, c.ByPair, c.BytesByLabel = metrics.sorted(), names.sorted(), pairs.sorted(), bytes.sorted()
	return c
}

// churned estimates how many different series there were in the last 24 hours.
func (m *Mem) churned() uint64 {
	seen := m.churn.recent()
	for i := range m.stripes {
		m.stripes[i].addTo(seen, uint32(i))
	}
	return max(seen.estimate(), m.live)
}

func (s *stripe) addTo(seen sketch, number uint32) {
	s.RLock()
	defer s.RUnlock()
	for _, slot := range s.table.slots {
		if slot != 0 {
			seen.add(seriesHash(number, uint32(slot>>32)))
		}
	}
}

// ranking keeps the largest of many counts.
type ranking struct {
	top  int
	best []engine.Count // the smallest first once it is full
}

func newRanking(top int) *ranking { return &ranking{top: top} }

// add takes a count; its name is asked for only if it is among the largest so far.
func (r *ranking) add(count uint64, name func() string) {
	switch {
	case len(r.best) < r.top:
	case r.top <= 0 || count < r.best[0].Count:
		return
	}
	entry := engine.Count{Name: name(), Count: count}
	i, _ := slices.BinarySearchFunc(r.best, entry, smaller)
	r.best = slices.Insert(r.best, i, entry)
	if len(r.best) > r.top {
		r.best = slices.Delete(r.best, 0, 1)
	}
}

// smaller orders by count, and equal counts by name so that the answer does not depend on the order of adding.
func smaller(a, b engine.Count) int {
	return cmp.Or(cmp.Compare(a.Count, b.Count), strings.Compare(b.Name, a.Name))
}

func (r *ranking) sorted() []engine.Count {
	slices.Reverse(r.best)
	return r.best
}
