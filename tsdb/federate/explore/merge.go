package explore

import (
	"cmp"
	"slices"
	"strings"
)

// maxMergedGroups bounds the groups of all shards together.
const maxMergedGroups = 200_000

// Merger unites the reports of shards.
type Merger struct {
	budget budget
	totals [2]spanTally
	groups map[groupKey]*group
	cut    map[string]uint64
	bytes  map[string]uint64
	// Oldest and Newest are times of samples of any shard, both 0 where there is none.
	Oldest, Newest int64
	// Young are the shards whose samples do not reach back to a time.
	Young []string
}

// NewMerger has no report yet.
func NewMerger() *Merger {
	return &Merger{budget: budget{maxHashes}, groups: map[groupKey]*group{}, cut: map[string]uint64{}, bytes: map[string]uint64{}}
}

// Add takes the report of a shard on a question.
func (m *Merger) Add(name string, q Question, r Report) {
	m.addSpan(&m.totals[0], Counts{Series: r.Now})
	m.addSpan(&m.totals[1], Counts{Series: r.Before})
	for by, n := range r.Cut {
		m.cut[by] += n
	}
	for label, n := range r.Bytes {
		m.bytes[label] += n
	}
	for i := range r.Groups {
		m.addGroup(&r.Groups[i])
	}
	if r.Newest == 0 && r.Oldest == 0 {
		return
	}
	if m.Newest == 0 && m.Oldest == 0 {
		m.Oldest, m.Newest = r.Oldest, r.Newest
	}
	m.Oldest, m.Newest = min(m.Oldest, r.Oldest), max(m.Newest, r.Newest)
	if q.Before.Max >= q.Before.Min && r.Oldest > q.Before.Max {
		m.Young = append(m.Young, name)
	}
}

// Check refuses reports that take too much together.
func (m *Merger) Check() error { return m.budget.check() }

func (m *Merger) addGroup(from *Group) {
	key := groupKey{from.By, from.Name}
	g := m.groups[key]
	if g == nil {
		if len(m.groups) >= maxMergedGroups || m.budget.left < 0 {
			m.cut[from.By]++
			return
		}
		g = &group{}
		m.groups[key] = g
	}
	m.addSpan(&g.spans[0], from.Now)
	m.addSpan(&g.spans[1], from.Before)
}

func (m *Merger) addSpan(s *spanTally, c Counts) {
	s.own += c.Series.Own
	m.addCount(&s.shared, c.Series)
	m.addCount(&s.values, c.Values)
	m.addCount(&s.left, c.Left)
	s.ownValues += c.Values.Own
	s.ownLeft += c.Left.Own
}

func (m *Merger) addCount(at **tally, d Distinct) {
	if d.Sketch == nil && len(d.Hashes) == 0 {
		return
	}
	if *at == nil {
		*at = &tally{budget: &m.budget}
	}
	(*at).merge(d)
}

// Row is a group with its numbers.
type Row struct {
	Name                                                         string
	Series, SeriesBefore, Values, ValuesBefore, Left, LeftBefore uint64
	// Estimated says that not all numbers are exact.
	Estimated bool
}

// Growth is by how much the group grew.
func (r *Row) Growth() int64 { return int64(r.Series) - int64(r.SeriesBefore) }

func (r *Row) count(into *uint64, own uint64, t *tally) {
	n, estimated := t.count()
	*into = own + n
	r.Estimated = r.Estimated || estimated
}

func (g *group) row(name string) Row {
	r := Row{Name: name}
	now, before := &g.spans[0], &g.spans[1]
	r.count(&r.Series, now.own, now.shared)
	r.count(&r.SeriesBefore, before.own, before.shared)
	r.count(&r.Values, now.ownValues, now.values)
	r.count(&r.ValuesBefore, before.ownValues, before.values)
	r.count(&r.Left, now.ownLeft, now.left)
	r.count(&r.LeftBefore, before.ownLeft, before.left)
	return r
}

// Total counts the series of all groups.
func (m *Merger) Total() Row { return (&group{spans: m.totals}).row("") }

// Rows are the groups of one kind, the largest first, and how many more there are.
func (m *Merger) Rows(by string) (rows []Row, more uint64) {
	for key, g := range m.groups {
		if key.by == by {
			rows = append(rows, g.row(key.name))
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Series, a.Series), cmp.Compare(b.SeriesBefore, a.SeriesBefore), strings.Compare(a.Name, b.Name))
	})
	return rows, m.cut[by]
}

// Bytes are those of the values in all indexes, by label.
func (m *Merger) Bytes() map[string]uint64 { return m.bytes }
