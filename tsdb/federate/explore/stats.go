package explore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/tsdb/engine"
)

// Overview is what the series of all shards are made of, as one shard tells it of itself.
type Overview struct {
	engine.Cardinality
	// Oldest and Newest are times of samples in milliseconds, both 0 where there is none.
	Oldest, Newest int64
	Warnings       []string
}

// Stats looks at the series of the last two hours; lists have at most top entries. Bytes are those of all indexes
// together: hosts keep values apart.
func Stats(ctx context.Context, ask Asker, top int, now time.Time) (Overview, error) {
	q := Question{By: []string{ByMetric, ByLabel, ByPair}, Now: Span{now.Add(-window).UnixMilli(), now.UnixMilli()}, Before: Span{0, -1}}
	m, warnings, err := ask(ctx, q)
	if err != nil {
		return Overview{}, err
	}
	all := Overview{Oldest: m.Oldest, Newest: m.Newest, Warnings: warnings}
	all.Series = m.Total().Series
	labels, _ := m.Rows(ByLabel)
	all.Labels = uint64(len(labels))
	for i := range labels {
		all.Values += labels[i].Values
	}
	metrics, _ := m.Rows(ByMetric)
	pairs, _ := m.Rows(ByPair)
	series := func(r *Row) uint64 { return r.Series }
	all.ByMetric, all.ByPair = counted(metrics, top, series), counted(pairs, top, series)
	all.ByLabel = counted(labels, top, func(r *Row) uint64 { return r.Values })
	for name, bytes := range m.Bytes() {
		all.BytesByLabel = append(all.BytesByLabel, engine.Count{Name: name, Count: bytes})
	}
	all.BytesByLabel = largest(all.BytesByLabel, top)
	return all, nil
}

func counted(rows []Row, top int, of func(*Row) uint64) []engine.Count {
	all := make([]engine.Count, len(rows))
	for i := range rows {
		all[i] = engine.Count{Name: rows[i].Name, Count: of(&rows[i])}
	}
	return largest(all, top)
}

func largest(all []engine.Count, top int) []engine.Count {
	slices.SortFunc(all, func(a, b engine.Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Name, b.Name))
	})
	return all[:min(top, len(all))]
}
