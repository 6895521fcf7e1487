package cloudwatch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// query is one native series to ask for.
type query struct {
	listedMetric
	stat, unit string
	class      class
	alive      bool
}

func (q query) key() string {
	return strings.Join([]string{q.listedMetric.key(), q.stat, q.unit, string(q.class)}, "\x02")
}

// otherwise is the query as it is while monitoring is detailed, or while it is not.
func (q query) otherwise() query {
	switch q.class {
	case classBasic:
		q.class = classDetailed
	case classDetailed:
		q.class = classBasic
	}
	return q
}

func (q query) period() time.Duration { return timings[q.class].Period }

// want is a series to be told, of what some queries come to.
type want struct {
	row
	labels  map[string]string
	queries []string
	class   class
	alive   bool
	// metricType, unit and native are those of a metric that the registry does not have.
	metricType   collect.MetricType
	unit, native string
}

// plan is what a region is asked for.
type plan struct {
	queries map[string]query
	wants   []want
}

// planner makes the plan of one region.
type planner struct {
	cfg             Config
	account, region string
	wants           func(metric string) bool
	now             time.Time
	linger          time.Duration
	quiet           map[string]time.Time
	// stored is the end of the last period of a query that was stored.
	stored func(query) time.Time
	plan   plan
}

// labels are those of every metric of a machine.
func (p *planner) labels(m machine) map[string]string {
	return map[string]string{"cloud_provider": "aws", "cloud_account_id": p.account, "cloud_region": p.region, "vm_id": m.ID, "vm_name": m.Name}
}

func with(labels map[string]string, more ...map[string]string) map[string]string {
	all := maps.Clone(labels)
	for _, one := range more {
		maps.Copy(all, one)
	}
	return all
}

// open tells whether there may be more of a query whose source ended at a time, zero for not: for a short while after,
// and until its last period is stored.
func (p *planner) open(ended time.Time, q query) bool {
	if ended.IsZero() || p.now.Sub(ended) < p.linger {
		return true
	}
	last := ended.Truncate(q.period()).Add(q.period())
	return p.now.Sub(ended) < p.cfg.Back && p.stored(q).Before(last)
}

// endOf is when a volume or its machine ended; zero while both are there and the machine runs.
func (p *planner) endOf(item cloud.Item[volume], owner cloud.Item[machine]) time.Time {
	ended := p.quiet[owner.ID]
	if ended.IsZero() || !item.Alive() && item.Gone.Before(ended) {
		return item.Gone
	}
	return ended
}

// add wants a row's series of native metrics, one for each of the row's natives, unless all of it is over.
func (p *planner) add(r row, labels map[string]string, class class, alive bool, ended time.Time, metrics []listedMetric) {
	w := want{row: r, labels: with(labels, r.labels), class: class, alive: alive}
	var queries []query
	for i, m := range metrics {
		q := query{listedMetric: m, stat: r.natives[i].stat, unit: r.natives[i].unit, class: class, alive: alive}
		queries = append(queries, q)
		w.queries = append(w.queries, q.key())
	}
	if !slices.ContainsFunc(queries, func(q query) bool { return p.open(ended, q) }) {
		return
	}
	for i, q := range queries {
		p.plan.queries[w.queries[i]] = q
	}
	p.plan.wants = append(p.plan.wants, w)
}

func (p *planner) wanted(r row) bool {
	return p.cfg.has(r.set) && p.wants(r.name) && (!r.sum || p.cfg.Sums || !p.cfg.has(SetVolumes))
}

// make goes through all that a region has.
func (p *planner) make(k known, units *unitBook) plan {
	p.plan = plan{queries: map[string]query{}}
	byID := map[string]cloud.Item[machine]{}
	for _, item := range k.machines {
		byID[item.ID] = item
		p.machine(item)
	}
	for _, item := range k.volumes {
		if owner, has := byID[item.Resource.Machine]; has {
			p.volume(item, owner)
		}
	}
	listed := map[string][]cloud.Item[listedMetric]{}
	for _, item := range k.listed {
		name := item.Resource.namespace + "\x00" + item.Resource.name
		listed[name] = append(listed[name], item)
	}
	p.agents(listed, byID)
	p.raws(k.listed, units)
	return p.plan
}

func (p *planner) machine(item cloud.Item[machine]) {
	m := item.Resource
	for _, r := range machineTable {
		if !p.wanted(r) || r.where != nil && !r.where(m, volume{}) {
			continue
		}
		p.add(r, p.labels(m), r.class.of(m), item.Alive() && m.running(), p.quiet[item.ID], nativesOf(r, dim{"InstanceId", m.ID}))
	}
}

func (p *planner) volume(item cloud.Item[volume], owner cloud.Item[machine]) {
	v, m := item.Resource, owner.Resource
	for _, r := range volumeTable {
		if !p.wanted(r) || r.where != nil && !r.where(m, v) {
			continue
		}
		labels := with(p.labels(m), map[string]string{"device": v.device()})
		p.add(r, labels, r.class, item.Alive() && owner.Alive() && m.running(), p.endOf(item, owner), nativesOf(r, dim{"VolumeId", v.ID}))
	}
}

func nativesOf(r row, d dim) []listedMetric {
	metrics := make([]listedMetric, len(r.natives))
	for i, n := range r.natives {
		metrics[i] = listedMetric{namespace: r.namespace, name: n.name, dims: []dim{d}}
	}
	return metrics
}

// slot is where one series of the agent's is put together.
type slot struct {
	labels  map[string]string
	owner   cloud.Item[machine]
	alive   bool
	natives []listedMetric
}

// agents plans what agents publish.
func (p *planner) agents(listed map[string][]cloud.Item[listedMetric], byID map[string]cloud.Item[machine]) {
	for _, r := range agentTable {
		if !p.wanted(r) {
			continue
		}
		slots := p.slots(r, listed, byID)
		for _, key := range slices.Sorted(maps.Keys(slots)) {
			s := slots[key]
			if !slices.ContainsFunc(s.natives, func(m listedMetric) bool { return m.name == "" }) {
				p.add(r, s.labels, r.class, s.alive, p.quiet[s.owner.ID], s.natives)
			}
		}
	}
}

// slots finds the natives of all series of a row. The agent may publish one metric under several sets of dimensions
// that come to the same series: the smallest set counts.
func (p *planner) slots(r row, listed map[string][]cloud.Item[listedMetric], byID map[string]cloud.Item[machine]) map[string]*slot {
	slots := map[string]*slot{}
	for i, n := range r.natives {
		for _, item := range listed[r.namespace+"\x00"+n.name] {
			id, labels, ok := r.matches(item.Resource)
			owner, has := byID[id]
			if !ok || !has {
				continue
			}
			labels = with(p.labels(owner.Resource), labels)
			key := collect.SeriesKey("", labels, "")
			if slots[key] == nil {
				slots[key] = &slot{labels: labels, owner: owner, natives: make([]listedMetric, len(r.natives))}
			}
			slots[key].offer(i, item)
		}
	}
	return slots
}

func (s *slot) offer(i int, item cloud.Item[listedMetric]) {
	has := s.natives[i]
	if has.name == "" || len(item.Resource.dims) < len(has.dims) || len(item.Resource.dims) == len(has.dims) && item.Resource.key() < has.key() {
		s.natives[i] = item.Resource
	}
	s.alive = s.alive || item.Alive() && s.owner.Alive() && s.owner.Resource.running()
}

// bound cuts a plan at the limit of one collection.
func (p *plan) bound(most int) error {
	if len(p.queries) <= most {
		return nil
	}
	had := len(p.queries)
	kept := map[string]query{}
	var wants []want
	for _, w := range p.wants {
		if len(kept)+len(w.queries) > most {
			break
		}
		for _, key := range w.queries {
			kept[key] = p.queries[key]
		}
		wants = append(wants, w)
	}
	p.queries, p.wants = kept, wants
	return fmt.Errorf("%d metrics of CloudWatch are selected, at most %d are asked for; select fewer machines by filters, fewer sets, or raise the limit", had, most)
}

var (
	machineTable = machineRows()
	volumeTable  = volumeRows()
	agentTable   = agentRows()
)
