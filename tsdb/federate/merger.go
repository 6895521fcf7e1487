package federate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/query"
)

// maxSeen bounds the series of all shards that could be on several.
const maxSeen = 2_000_000

// maxInfos bounds what shards may have to say.
const maxInfos = 100

// merging is a part in the making.
type merging interface {
	// add takes what one shard gave for each of the part's expressions.
	add(rows [][]Row, ranked [][]Ranked) error
	// rows and cells are how many there are, what rows take besides counted as values.
	rows() int
	cells() int
	// finish gives the rows, in the order of their labels.
	finish() ([]Row, error)
	// missed is what was out of bounds. It is for after finish.
	missed() []miss
}

var (
	_ merging = (*merged)(nil)
	_ merging = (*quantiles)(nil)
	_ merging = (*foremost)(nil)
)

// merger puts the answers of shards to all parts of a query together.
type merger struct {
	parts  []Part
	merged []merging
	// maxCells bounds the values, maxSeries the rows of all parts together.
	maxCells, maxSeries int
	infos               annotations.Annotations
	// seen are the series that other shards may have too; unknown is how many shards could not list theirs.
	seen    map[uint64]bool
	unknown int
}

// newMerger merges the answers to what was asked, with ranks in the places of the parts that look for them or for first
// values; nil where no part does.
func newMerger(parts []Part, ranks []*Ranks, steps int, o Options) *merger {
	m := &merger{parts: parts, maxCells: o.MaxCells, maxSeries: o.MaxSeries, infos: annotations.Annotations{}, seen: map[uint64]bool{}}
	for i, p := range parts {
		switch {
		case p.Merge == Quantile:
			m.merged = append(m.merged, newQuantiles(p.Rank, ranks[i], steps))
		case ranks != nil && ranks[i] != nil:
			m.merged = append(m.merged, newForemost(ranks[i], steps))
		default:
			m.merged = append(m.merged, newMerged(p.Merge, steps))
		}
	}
	return m
}

// errInfo is an info of PromQL that came from a shard.
type errInfo struct{ text string }

func (e errInfo) Error() string { return e.text }
func (errInfo) Unwrap() error   { return annotations.PromQLInfo }

// take merges the answer of one shard.
func (m *merger) take(from Member, p Partial) error {
	if err := m.notes(from, p); err != nil {
		return err
	}
	if err := m.disjoint(p); err != nil {
		return err
	}
	if len(m.parts) > 1 && typed(p) {
		return &errAgain{"series have types and units, which parts may have lost"}
	}
	at, cells, series := 0, 0, 0
	for i, part := range m.parts {
		end := at + len(part.Exprs)
		rows, ranked, err := p.of(at, end)
		if err == nil {
			err = m.merged[i].add(rows, ranked)
		}
		if err != nil {
			return err
		}
		at = end
		if series += m.merged[i].rows(); series > m.maxSeries {
			return &query.LimitError{Limit: "series", Reached: fmt.Sprintf("%d computed by all hosts", series), Max: fmt.Sprint(m.maxSeries),
				Way: "aggregate, or name more labels in the selectors"}
		}
		if cells += m.merged[i].cells(); cells > m.maxCells {
			return &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d values of all hosts, with the labels of %d series counted as values", cells, series), Max: fmt.Sprintf("%d values", m.maxCells),
				Way: "aggregate, name more labels in the selectors, or ask for fewer steps"}
		}
	}
	return nil
}

// notes takes what PromQL says on every shard alike; what else it has to say depends on which series meet.
func (m *merger) notes(from Member, p Partial) error {
	if len(p.Warnings) > 0 {
		return &errAgain{fmt.Sprintf("%s warns: %s", from.Name, p.Warnings[0])}
	}
	for _, text := range p.Infos {
		if !strings.HasPrefix(text, annotations.PossibleNonCounterInfo.Error()) {
			return &errAgain{fmt.Sprintf("%s says: %s", from.Name, text)}
		}
		if len(m.infos) < maxInfos {
			m.infos.Add(errInfo{text})
		}
	}
	return nil
}

// typed tells whether a row has the labels that PromQL drops together with a name, which a part has dropped by now.
func typed(p Partial) bool {
	has := func(lset labels.Labels) bool { return lset.Has("__type__") || lset.Has("__unit__") }
	return slices.ContainsFunc(p.Rows, func(of []Row) bool {
		return slices.ContainsFunc(of, func(row Row) bool { return has(row.Labels) })
	}) || slices.ContainsFunc(p.Ranked, func(of []Ranked) bool {
		return slices.ContainsFunc(of, func(piece Ranked) bool { return has(piece.Labels) })
	})
}

// disjoint insists that no series was read on two shards: computed apart it would count twice.
func (m *merger) disjoint(p Partial) error {
	if p.SharedUnknown {
		m.unknown++
	}
	if len(m.seen)+len(p.Shared) > maxSeen {
		return &errAgain{"too many series could be on several shards"}
	}
	if m.unknown > 0 && len(m.seen)+len(p.Shared)+m.unknown > 1 {
		return &errAgain{"too many series could be on several shards"}
	}
	for _, hash := range p.Shared {
		if m.seen[hash] {
			return &errAgain{"a series is on several shards"}
		}
		m.seen[hash] = true
	}
	return nil
}

// missed are the values that were out of bounds, by part; nil where there are none. It is for after finish.
func (m *merger) missed() (all [][]miss) {
	for i, part := range m.merged {
		if of := part.missed(); len(of) > 0 {
			if all == nil {
				all = make([][]miss, len(m.merged))
			}
			all[i] = of
		}
	}
	return all
}

// finish gives the rows by part.
func (m *merger) finish() ([][]Row, error) {
	all := make([][]Row, len(m.merged))
	for i, part := range m.merged {
		rows, err := part.finish()
		if err != nil {
			return nil, err
		}
		all[i] = rows
	}
	return all, nil
}
