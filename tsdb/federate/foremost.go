package federate

import "github.com/novacron/novacron/tsdb/query/fast"

// foremost is a part in the making whose rows have the values among which the first are: all that are in bounds, and the
// first of each shard where there are none.
type foremost struct {
	*merged
	ranks *Ranks
	short []miss
}

func newForemost(ranks *Ranks, steps int) *foremost {
	return &foremost{merged: newMerged(Union, steps), ranks: ranks}
}

// add takes the rows of one shard. One of an older version gives all that it has: of more rows than the first of a group can
// be, what is not among the first is not held.
func (f *foremost) add(rows [][]Row, ranked [][]Ranked) error {
	cut := make([][]Row, len(rows))
	for i, of := range rows {
		for _, row := range of {
			if row.Histograms != nil {
				return &errAgain{errHistogramRanks.Error()}
			}
			if err := checkRow(row, f.steps); err != nil {
				return err
			}
		}
		if cut[i] = of; len(of) > f.ranks.First*f.steps {
			cut[i] = f.ranks.firsts(of, f.steps)
		}
	}
	return f.merged.add(cut, ranked)
}

// finish gives the rows. Where fewer values of a group are in bounds than are looked for, some may be missing: those are
// among the missed.
func (f *foremost) finish() ([]Row, error) {
	rows, err := f.merged.finish()
	if err == nil {
		f.short = f.ranks.shortOf(rows, f.steps)
	}
	return rows, err
}

func (f *foremost) missed() []miss { return f.short }

// shortOf tells where rows have fewer values in bounds than are looked for.
func (r *Ranks) shortOf(rows []Row, steps int) (short []miss) {
	groups, counts := fast.NewGroups(r.Labels, r.Without), map[string][]int{}
	bounds, of := r.byLabels(), []*RankBounds(nil)
	for key := range bounds {
		counts[key] = make([]int, steps)
	}
	var found [][]int
	for _, row := range rows {
		at := groups.Of(row.Labels)
		if at == len(of) {
			key := groups.All()[at].Bytes(nil)
			of, found = append(of, bounds[string(key)]), append(found, counts[string(key)])
		}
		b := of[at]
		if b == nil {
			continue
		}
		for step, v := range row.Values {
			if there(v) && !b.out(step, v) {
				found[at][step]++
			}
		}
	}
	for key, b := range bounds {
		for step, n := range counts[key] {
			if n < r.First && !b.none(step) {
				short = append(short, miss{labels: b.Labels, step: step})
			}
		}
	}
	return short
}
