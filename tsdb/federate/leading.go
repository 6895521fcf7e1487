package federate

import (
	"context"
	"math"
	"slices"

	"github.com/novacron/novacron/tsdb/query/fast"
)

// The first few of the values that some shards have are a bound: no value beyond the last of them is among the first of all.
// So all shards give no others. That is sure for the samples that those shards had when they told; whether it still holds
// shows itself in the answer, which has to have as many values in bounds as are looked for.
//
// innerCells is up to how many values of a shard all are asked for their first values at the end of what they compute: by
// bounds they find them faster than topk does on the way, but hold all until then.
const innerCells = 1 << 20

// lead finds the bounds of a part that looks for the first values; nil where they are not worth it.
func (s *spread) lead(ctx context.Context, part Part) (*Ranks, error) {
	first, all := *part.First, s.members(part.Selectors...)
	some, series := s.telling(ctx, all)
	few := min(float64(first.Few)*float64(len(all)), series) * float64(s.times.Steps())
	if len(all) < s.opts.leadFrom || len(some) == 0 || few < float64(s.opts.firstsFrom) {
		return nil, nil
	}
	// Of n shards, k of each of p lead to about k·n/p values in bounds: least is asked for where both are alike.
	some = drawn(some, min(int(math.Round(math.Sqrt(float64(len(all))))), pilotMembers))
	found := newLeading(first, s.times.Steps(), s.opts.MaxCells)
	r, e := first.ranks(), s.times
	if r.expr = part.Exprs[0]; s.small(all) {
		r.expr = first.Of
	}
	e.Exprs, e.Ranks, e.MaxCells = []string{r.expr}, []*Ranks{r}, s.opts.MaxCells
	_, err := each(ctx, s.opts.hasty(), some,
		func(ctx context.Context, m Member) (Partial, error) { return m.Shard.Evaluate(ctx, e) },
		func(_ Member, p Partial) error { return found.take(p) })
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	bounded := *r
	if bounded.Bounds = found.bounds(); bounded.Bounds == nil {
		return nil, nil
	}
	return &bounded, nil
}

// small tells whether all members are known to have few series.
func (s *spread) small(all []Member) bool {
	return !slices.ContainsFunc(all, func(m Member) bool {
		series, told := s.series[m.Name]
		return !told || series*int64(s.times.Steps()) > innerCells
	})
}

// leading are the first values of some shards: as many are in all shards together at least, so that the last of them bounds
// what is looked for.
type leading struct {
	first       First
	steps, room int
	shards      int
	groups      *fast.Groups
	byGroup     []leadingGroup
}

type leadingGroup struct {
	rows [][]float64
	// shards is how many have it, last the number of the last one of them.
	shards, last int
}

func newLeading(first First, steps, room int) *leading {
	return &leading{first: first, steps: steps, room: room, groups: fast.NewGroups(first.Labels, first.Without)}
}

// take adds the answer of a shard.
func (l *leading) take(p Partial) error {
	rows, _, err := p.of(0, 1)
	if err != nil {
		return err
	}
	l.shards++
	for _, row := range rows[0] {
		if err := checkRow(row, l.steps); err != nil {
			return err
		}
		if l.room -= cellsOf(row); row.Histograms != nil || l.room < 0 {
			continue // what is left out makes bounds wider, and none wrong
		}
		at := l.groups.Of(row.Labels)
		if at == len(l.byGroup) {
			l.byGroup = append(l.byGroup, leadingGroup{})
		}
		g := &l.byGroup[at]
		if g.rows = append(g.rows, row.Values); g.last != l.shards {
			g.last = l.shards
			g.shards++
		}
	}
	return nil
}

// bounds are those of the groups that have enough values on some steps, and on more than one of the shards: what one shard
// has alone is not narrowed by what it has. There are none where they would be too many.
func (l *leading) bounds() (all []RankBounds) {
	for i, g := range l.byGroup {
		if g.shards < 2 && l.shards > 1 {
			continue
		}
		b := RankBounds{Labels: l.groups.All()[i], Low: slices.Repeat([]float64{math.NaN()}, l.steps), High: slices.Repeat([]float64{math.Inf(1)}, l.steps)}
		if !l.bound(g.rows, b) {
			continue
		}
		if all = append(all, b); l.steps*len(all) > maxBounds {
			return nil
		}
	}
	return all
}

// bound fills in the bounds of a group, and tells whether there are any.
func (l *leading) bound(rows [][]float64, b RankBounds) (any bool) {
	var values []float64
	for step := range l.steps {
		values = values[:0]
		for _, row := range rows {
			if there(row[step]) {
				values = append(values, row[step])
			}
		}
		if len(values) < l.first.Few {
			continue
		}
		switch last := lastOf(values, l.first.Few, l.first.Lowest); {
		case math.IsNaN(last):
			continue
		case l.first.Lowest:
			b.Low[step], b.High[step] = math.Inf(-1), last // NaN is below any number, and not looked for
		default:
			b.Low[step] = last
		}
		any = true
	}
	return any
}
