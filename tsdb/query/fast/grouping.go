package fast

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// grouping says by which labels an aggregation puts rows together.
type grouping struct {
	names   []string // sorted
	without bool
	// gone are the labels that the groups do not have, where without is set.
	gone []string
}

func newGrouping(names []string, without bool) grouping {
	g := grouping{names: slices.Sorted(slices.Values(names)), without: without}
	if without {
		g.names, g.gone = withoutMetadata(g.names)
	}
	return g
}

// groups numbers the groups of rows in the order in which they come.
type groups struct {
	grouping
	byHash  map[uint64]int
	labels  []labels.Labels
	buffer  []byte
	builder *labels.Builder
}

func newGroups(g grouping) groups {
	return groups{grouping: g, byHash: map[uint64]int{}, builder: labels.NewBuilder(labels.EmptyLabels())}
}

// of is the number of the group that a row is in; fresh tells that it is the first one.
func (g *groups) of(lset labels.Labels) (at int, fresh bool) {
	hash := uint64(0)
	switch {
	case g.without:
		hash, g.buffer = lset.HashWithoutLabels(g.buffer, g.names...)
	case len(g.names) > 0:
		hash, g.buffer = lset.HashForLabels(g.buffer, g.names...)
	}
	at, known := g.byHash[hash]
	if !known {
		at = len(g.labels)
		g.byHash[hash] = at
		g.labels = append(g.labels, g.kept(lset))
	}
	return at, !known
}

// kept are the labels that a group has of those of its rows.
func (g *groups) kept(lset labels.Labels) labels.Labels {
	g.builder.Reset(lset)
	switch {
	case g.without:
		g.builder.Del(g.gone...)
	case len(g.names) > 0:
		g.builder.Keep(g.names...)
	default:
		return labels.EmptyLabels()
	}
	return g.builder.Labels()
}

// Groups puts series into the groups of an aggregation, for those who aggregate elsewhere.
type Groups struct{ groups }

// NewGroups groups by labels, or by all others.
func NewGroups(names []string, without bool) *Groups {
	return &Groups{newGroups(newGrouping(names, without))}
}

// Of is the number of the group that a series is in; they are numbered as they come.
func (g *Groups) Of(lset labels.Labels) int {
	at, _ := g.of(lset)
	return at
}

// All are the labels of the groups, by number.
func (g *Groups) All() []labels.Labels { return g.labels }
