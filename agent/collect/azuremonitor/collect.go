package azuremonitor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/tsdb"
)

// turn is one collection.
type turn struct {
	*Collector
	selection collect.Selection
	now       time.Time
	faults    faults

	resources []*resource
	// byType are the resources that metrics without a canonical name are of.
	byType map[string][]*resource
	facts  []collect.Metric
	series []cloud.Series
	known  knowledge
}

// CollectMetrics reads what is due: first the machines, then their metrics. What could not be read is left out, told in
// the error and read by a later collection. A query that selects some metrics is a look: it changes no counter.
func (c *Collector) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	selection, err := collect.Select(query)
	if err != nil {
		return nil, err
	}
	t := &turn{Collector: c, selection: selection, byType: map[string][]*resource{}, known: newKnowledge()}
	t.inventory(ctx)
	t.now = c.clock.now()
	if err := t.open(ctx); err != nil {
		return nil, errors.Join(t.faults.join(), err)
	}
	if c.book == nil {
		return nil, t.faults.join()
	}
	c.book.Begin()
	whole := isWhole(query)
	t.ask(ctx, t.plan(ctx), whole)
	metrics := append(t.facts, c.book.Enter(t.series, t.now, t.known.conclusive)...)
	if !whole {
		c.book.Begin()
	}
	return selection.Keep(metrics), t.faults.join()
}

// isWhole tells whether a query selects all that is due.
func isWhole(q tsdb.MetricsQuery) bool {
	return len(q.MetricNames) == 0 && len(q.Filters) == 0 && q.Limit == 0 && q.TimeRange.Start.IsZero() && q.TimeRange.End.IsZero()
}

// open begins the book at the service's time: a host whose clock is ahead would take what comes for counted.
func (t *turn) open(ctx context.Context) (err error) {
	if t.book != nil || !t.clock.told() {
		return nil
	}
	since := t.now.Truncate(grain)
	if !t.cfg.Since.IsZero() && t.cfg.Since.Before(since) {
		since = t.cfg.Since
	}
	t.book, err = cloud.OpenBook(ctx, t.cfg.Stores, since, t.cfg.Meter)
	return err
}

// plan says what to ask for of each resource.
func (t *turn) plan(ctx context.Context) []batch {
	var items []item
	canonical := selected(t.cfg.Sets, t.cfg.BothDiskLevels)
	items = append(items, t.items(ctx, t.resources, func() []query { return machineQueries(t.wanted(canonical)) })...)
	for _, raw := range t.cfg.Raw {
		items = append(items, t.items(ctx, t.byType[typeKey(raw.ResourceType)], func() []query { return rawQueries(raw, t.selection.Wants) })...)
	}
	t.forget()
	return pack(items)
}

// forget drops what is known of resources that are on no list any more.
func (t *turn) forget() {
	listed := map[string]bool{}
	for _, all := range t.byType {
		for _, r := range all {
			listed[r.id] = true
		}
	}
	maps.DeleteFunc(t.over, func(id string, _ bool) bool { return !listed[id] })
}

func (t *turn) wanted(all []row) (some []row) {
	for _, r := range all {
		if t.selection.Wants(r.name) {
			some = append(some, r)
		}
	}
	return some
}

// items are those of resources of one type, which may be in several subscriptions and regions.
func (t *turn) items(ctx context.Context, resources []*resource, make func() []query) (items []item) {
	byPlace := map[string][]query{}
	resources = t.unfinished(resources, make())
	for place, sample := range samples(resources) {
		byPlace[place] = t.possible(ctx, sample, make())
	}
	for _, r := range resources {
		queries := byPlace[r.place()]
		for i := range queries {
			it := t.item(r, &queries[i])
			if it.complete() {
				continue
			}
			it.window = windowOf(it.window, r.since)
			t.known.asked(it)
			items = append(items, it)
		}
	}
	return items
}

// unfinished are the resources that there is still something to ask of: those that exist, and those that are gone
// until all their periods are stored or the service tells that there are none any more.
func (t *turn) unfinished(resources []*resource, queries []query) (left []*resource) {
	for _, r := range resources {
		if r.exists() {
			delete(t.over, r.id)
		}
		open := func(q query) bool { return !t.item(r, &q).complete() }
		if r.exists() || !t.over[r.id] && slices.ContainsFunc(queries, open) {
			left = append(left, r)
		}
	}
	return left
}

// item is what is due of a resource and a query.
func (t *turn) item(r *resource, q *query) item {
	it := item{resource: r, query: q}
	it.window = t.book.Window(it.group(), timing, t.now, t.cfg.Back)
	return it
}

// samples are resources to ask what there is to measure: one of each place, which exists if one does.
func samples(resources []*resource) map[string]*resource {
	byPlace := map[string]*resource{}
	for _, r := range resources {
		if byPlace[r.place()] == nil || r.exists() && !byPlace[r.place()].exists() {
			byPlace[r.place()] = r
		}
	}
	return byPlace
}

// possible leaves out what a region does not have. Where that is not known all is asked for.
func (t *turn) possible(ctx context.Context, sample *resource, all []query) (some []query) {
	if len(all) == 0 {
		return all
	}
	defined, known, err := t.accountOf(sample.subscription).definedIn(ctx, sample.region, all[0].resourceType, sample.id, t.now)
	t.faults.add(explain(err, "metric definitions of "+all[0].resourceType+" in "+sample.region, t.cfg.Credentials))
	if !known {
		return all
	}
	for _, q := range all {
		var rows []row
		for _, r := range q.rows {
			if why := lacks(defined, r.native, q.dimensions); why != "" {
				t.complain("a metric is left out", r.native+" of "+q.resourceType+" in "+sample.region+": "+why)
				continue
			}
			rows = append(rows, r)
		}
		if q.rows = rows; len(rows) > 0 {
			some = append(some, q)
		}
	}
	return some
}

// complain logs the first time.
func (c *Collector) complain(what, detail string) {
	if !c.complained[what+detail] {
		c.complained[what+detail] = true
		c.cfg.Logger.Warn(what, "collector", "azuremonitor", "detail", detail)
	}
}

func (c *Collector) accountOf(subscription string) *account {
	for _, a := range c.accounts {
		if a.id == subscription {
			return a
		}
	}
	return nil
}
