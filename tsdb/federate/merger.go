package federate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/query"
)

// merger puts the answers of shards to all parts of a query together.
type merger struct {
	parts    []Part
	merged   []*merged
	maxCells int
	infos    annotations.Annotations
	// seen are the series that other shards may have too; unknown is how many shards could not list theirs.
	seen    map[uint64]bool
	unknown int
}

func newMerger(parts []Part, steps, maxCells int) *merger {
	m := &merger{parts: parts, maxCells: maxCells, infos: annotations.Annotations{}, seen: map[uint64]bool{}}
	for _, p := range parts {
		m.merged = append(m.merged, newMerged(p.Merge, steps))
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
	if len(m.parts) > 1 && typed(p.Rows) {
		return &errAgain{"series have types and units, which parts may have lost"}
	}
	at, cells := 0, 0
	for i, part := range m.parts {
		end := at + len(part.Exprs)
		if end > len(p.Rows) {
			return errors.New("a shard answers fewer expressions than it was asked for")
		}
		if err := m.merged[i].add(p.Rows[at:end]); err != nil {
			return err
		}
		at = end
		if cells += m.merged[i].cells; cells > m.maxCells {
			return &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d values of all hosts", cells), Max: fmt.Sprintf("%d values", m.maxCells),
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
		m.infos.Add(errInfo{text})
	}
	return nil
}

// typed tells whether a row has the labels that PromQL drops together with a name, which a part has dropped by now.
func typed(rows [][]Row) bool {
	for _, of := range rows {
		for _, row := range of {
			if row.Labels.Has("__type__") || row.Labels.Has("__unit__") {
				return true
			}
		}
	}
	return false
}

// disjoint insists that no series was read on two shards: computed apart it would count twice.
func (m *merger) disjoint(p Partial) error {
	if p.SharedUnknown {
		m.unknown++
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
