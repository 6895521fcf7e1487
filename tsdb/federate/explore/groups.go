package explore

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

type groupKey struct{ by, name string }

// spanTally is what a group has in one span. Few groups have more than series, and few of those are another shard's too.
type spanTally struct {
	own                  uint64
	shared, values, left *tally
	// ownValues and ownLeft are what shards have told of those that no other has.
	ownValues, ownLeft uint64
}

// group is a group of series; its spans are now and before.
type group struct{ spans [2]spanTally }

// count is a question being answered.
type count struct {
	Question
	host   string
	budget *budget
	totals [2]spanTally
	groups map[groupKey]*group
	cut    map[string]uint64
	hashed hashed
}

func (c *count) tally(at **tally) *tally {
	if *at == nil {
		*at = &tally{budget: c.budget}
	}
	return *at
}

// add counts a series in the span of a number.
func (c *count) add(lset labels.Labels, span int) {
	c.hashed.of(lset)
	own := c.host != "" && lset.Get(hostLabel) == c.host
	c.series(&c.totals[span], own)
	for _, by := range c.By {
		switch by {
		case ByMetric:
			c.whole(by, lset.Get(nameLabel), lset, own, span)
		case ByValues:
			c.whole(by, lset.Get(c.Of), lset, own, span)
		case ByLabel:
			c.labels(lset, own, span)
		case ByPair:
			c.pairs(lset, own, span)
		}
	}
}

// series counts the series at hand, which no set yields twice.
func (c *count) series(s *spanTally, own bool) {
	if own {
		s.own++
		return
	}
	c.tally(&s.shared).add(c.hashed.all(), false)
}

// whole counts a series in the one group that it is in.
func (c *count) whole(by, name string, lset labels.Labels, own bool, span int) {
	s := c.group(by, name, span)
	if s == nil {
		return
	}
	c.series(s, own)
	if c.Drop == "" {
		return
	}
	left := c.hashed.all()
	if lset.Has(c.Drop) {
		left = c.hashed.without(hashPair(c.Drop, lset.Get(c.Drop)))
	}
	c.tally(&s.left).add(left, own && c.Drop != hostLabel)
}

// labels counts a series in the group of each of its labels.
func (c *count) labels(lset labels.Labels, own bool, span int) {
	i := 0
	lset.Range(func(l labels.Label) {
		pair := c.hashed.pairs[i]
		i++
		s := c.group(ByLabel, l.Name, span)
		if s == nil {
			return
		}
		c.series(s, own)
		ofHost := l.Name == hostLabel
		c.tally(&s.values).add(pair, ofHost && own)
		c.tally(&s.left).add(c.hashed.without(pair), own && !ofHost)
	})
}

func (c *count) pairs(lset labels.Labels, own bool, span int) {
	lset.Range(func(l labels.Label) {
		if s := c.group(ByPair, l.Name+"="+l.Value, span); s != nil {
			c.series(s, own)
		}
	})
}

// group finds or makes a group; nil where there are too many.
func (c *count) group(by, name string, span int) *spanTally {
	key := groupKey{by, name}
	g := c.groups[key]
	if g == nil {
		if len(c.groups) >= maxGroups || c.budget.left < 0 {
			c.cut[by]++
			return nil
		}
		g = &group{}
		c.groups[groupKey{by, strings.Clone(name)}] = g // labels are views of the index
	}
	return &g.spans[span]
}

// size is what groups are ranked by.
func (s *spanTally) size() uint64 {
	n, _ := s.shared.count()
	return s.own + n
}

func (g *group) size() uint64 { return max(g.spans[0].size(), g.spans[1].size()) }

func (s *spanTally) total(b *budget) Distinct {
	d := s.shared.distinct(b)
	d.Own += s.own
	return d
}

func (s *spanTally) counts(b *budget) Counts {
	return Counts{Series: s.total(b), Values: s.values.distinct(b), Left: s.left.distinct(b)}
}

// report tells the largest groups of each kind. What may be told of all is shared among the kinds.
func (c *count) report() Report {
	sent := &budget{maxAllSent}
	r := Report{Now: c.totals[0].total(sent), Before: c.totals[1].total(sent), Cut: c.cut}
	keys := map[string][]rankedKey{}
	for key, g := range c.groups {
		keys[key.by] = append(keys[key.by], rankedKey{key, g.size()})
	}
	for i, by := range c.By {
		all := keys[by]
		slices.SortFunc(all, func(a, b rankedKey) int {
			return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.name, b.name))
		})
		least := sent.left - (sent.left+maxBeyond)/(len(c.By)-i)
		for n, key := range all {
			if n == maxGroupsSent || sent.left < least {
				r.Cut[by] += uint64(len(all) - n)
				break
			}
			g := c.groups[key.groupKey]
			r.Groups = append(r.Groups, Group{by, key.name, g.spans[0].counts(sent), g.spans[1].counts(sent)})
		}
	}
	return r
}

// rankedKey is a group with what it is ranked by: an estimate takes too long for every comparison.
type rankedKey struct {
	groupKey
	size uint64
}
