package gcpmonitoring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// turn is one collection.
type turn struct {
	*Collector
	selection collect.Selection
	series    []cloud.Series
	// unlisted are the projects whose machines are not known.
	unlisted map[string]bool
	// answered are the groups whose windows were answered in full.
	answered map[string]bool
	// feeds are the groups that a metric of a project comes from.
	feeds map[string][]string
	// windows are those that were asked for, by group; groups are where canonical counters come from.
	windows map[string]cloud.Window
	groups  map[string]string
	// dead are counters whose machines do not run any more.
	dead   map[string]bool
	units  int
	failed []error
}

func newTurn(c *Collector, selection collect.Selection) *turn {
	return &turn{
		Collector: c, selection: selection, unlisted: map[string]bool{}, answered: map[string]bool{}, feeds: map[string][]string{},
		windows: map[string]cloud.Window{}, groups: map[string]string{}, dead: map[string]bool{},
	}
}

func (t *turn) fail(err error) {
	if err != nil {
		t.failed = append(t.failed, err)
	}
}

// err joins what failed, each text once: an API that is down fails for every metric type.
func (t *turn) err() error {
	var distinct []error
	seen := map[string]bool{}
	for _, err := range t.failed {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			distinct = append(distinct, err)
		}
	}
	return errors.Join(distinct...)
}

// project collects from one project: its machines first, as metrics are nothing without them.
func (t *turn) project(ctx context.Context, p *project) {
	items, err := p.inventory.Get(ctx, t.clock.now())
	t.fail(err)
	if !p.inventory.Known() {
		t.unlisted[p.id] = true
		return
	}
	t.fail(p.learnTypes(ctx, items))
	now := t.clock.now()
	types, err := p.catalog.get(ctx, now)
	t.fail(err)
	asks := t.plan(p, types, t.selection, now)
	t.connect(p, asks, types != nil)
	answers := t.ask(ctx, p, asks)
	known := machines(items)
	if p.strange(answers, known) {
		p.inventory.Expire()
		items, err = p.inventory.Get(ctx, now)
		t.fail(err)
		known = machines(items)
		t.fail(p.learnTypes(ctx, items))
	}
	if partial := p.partial(); partial != nil {
		t.cfg.Meter.Partial()
		t.fail(partial)
	}
	begin := len(t.series)
	for i, a := range asks {
		t.enter(p, a, answers[i], p.machineOf(known))
	}
	t.series = append(t.series, utilizations(t.series[begin:])...)
	t.goOn(p, known, begin)
	t.tell(p, items, now, begin)
}

// connect notes which groups feed which metrics, also those that are not asked for this time.
func (t *turn) connect(p *project, asks []ask, described bool) {
	feed := func(name string, source collect.Source, group string) {
		key := feedKey(p.id, name, source)
		t.feeds[key] = append(t.feeds[key], group)
	}
	for native, rows := range t.rows {
		for _, r := range rows {
			feed(r.name, r.source(), p.group(native))
			if r.source() == collect.GCM && (r.name == "vm_memory_used_bytes" || r.name == "vm_memory_limit_bytes") {
				feed("vm_memory_utilization_ratio", collect.GCM, p.group(native))
			}
		}
	}
	asked := map[string]bool{}
	for _, a := range asks {
		asked[a.group], t.windows[a.group] = true, a.window
		if !a.mapped() {
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				feed(collect.GCPName(a.native)+suffix, collect.GCM, a.group)
			}
		}
	}
	if !described || t.glance {
		return
	}
	for native := range t.rows { // a type that the project does not have has nothing to tell
		if group := p.group(native); !asked[group] {
			t.answered[group] = true
		}
	}
}

func feedKey(project, name string, source collect.Source) string {
	return project + "|" + name + "|" + string(source)
}

// ask asks for all types as far as the budget goes.
func (t *turn) ask(ctx context.Context, p *project, asks []ask) []answer {
	expected := 0
	for _, a := range asks {
		expected += p.expected(a)
		if a.lost {
			t.cfg.Meter.Partial()
			t.fail(fmt.Errorf("metrics of project %s: what is older than %v was not read in time and is left out", p.id, t.cfg.Back))
		}
	}
	now := t.clock.now()
	if err := t.budget.Spend(ctx, now, expected); err != nil {
		t.fail(err)
		return make([]answer, len(asks))
	}
	answers := p.fetchAll(ctx, asks)
	returned := 0
	for i, a := range answers {
		returned += a.returned
		p.learnWidth(asks[i], a)
		if a.whole {
			p.returned[asks[i].native] = a.returned
		}
	}
	t.units += returned
	t.cfg.Meter.Billable(apiName, returned)
	t.fail(t.budget.Correct(ctx, now, returned-expected))
	return answers
}

// enter makes series of an answer.
func (t *turn) enter(p *project, a ask, got answer, find finder) {
	switch {
	case got.whole:
		t.answered[a.group] = true
		t.book.Answered(a.group, a.window)
	case got.err != nil:
		t.fail(got.err)
		t.partial(got)
		a.window.Final = time.Time{} // none of its periods counts yet
	}
	learnDisks(t.kinds, got.series)
	if !a.mapped() {
		t.series = append(t.series, passedOf(a, p.id, got.series, find)...)
	}
	for _, r := range a.rows {
		t.groups[feedKey(p.id, r.name, r.source())] = a.group
		t.series = append(t.series, canonicalOf(r, a, got.series, find)...)
	}
}

// groupOf is where a canonical counter comes from.
func (t *turn) groupOf(s cloud.Series) string {
	return t.groups[feedKey(s.Labels["cloud_account_id"], s.Name, s.Source)]
}

// partial counts an answer that is not whole; one that did not come at all is no partial one.
func (t *turn) partial(got answer) {
	if got.some {
		t.cfg.Meter.Partial()
	}
}

// goOn repeats the counters of machines that run and in which nothing happened, and forgets those of machines that do not
// run any more.
func (t *turn) goOn(p *project, known map[string]cloud.Item[instance], begin int) {
	there := map[string]bool{}
	for _, s := range t.series[begin:] {
		if s.Kind == collect.NativeDelta {
			there[counterKey(s)] = true
		}
	}
	for key, c := range t.counters {
		if c.Labels["cloud_account_id"] != p.id || there[key] {
			continue
		}
		item, is := known[c.Labels["vm_id"]]
		switch {
		case !t.answered[c.group]:
			// it may have gone on
		case is && item.Alive() && item.Resource.running() && attached(item.Resource, c.Source, c.Labels):
			s := c.Series
			s.Alive = true
			s.Window = t.windows[c.group]
			t.series = append(t.series, s)
		default:
			t.dead[key] = true
		}
	}
}

// tell adds what the inventory says.
func (t *turn) tell(p *project, items []cloud.Item[instance], now time.Time, begin int) {
	about := &about{at: now.Truncate(time.Millisecond), tags: t.cfg.Tags}
	already := toldOf(t.series[begin:])
	for _, item := range items {
		if !item.Alive() {
			continue
		}
		about.machine(item.Resource, p.types[item.Resource.MachineType], t.kinds, already)
		if t.cfg.Extended && !item.Resource.running() {
			about.add(item.Resource, "vm_available", 0, nil)
		}
	}
	t.series = append(t.series, slices.DeleteFunc(about.series, func(s cloud.Series) bool { return !t.selection.Wants(s.Name) })...)
}

// conclusive tells whether a series that is missing is gone: all that it could come from has answered. What the
// inventory tells is there as long as the inventory has it, also beside an error.
func (t *turn) conclusive(m collect.Metric) bool {
	if t.unlisted[m.Labels["cloud_account_id"]] {
		return false
	}
	if inventoryNames[m.Name] {
		return true
	}
	groups := t.feeds[feedKey(m.Labels["cloud_account_id"], m.Name, collect.Source(m.Source))]
	return !slices.ContainsFunc(groups, func(g string) bool { return !t.answered[g] })
}
