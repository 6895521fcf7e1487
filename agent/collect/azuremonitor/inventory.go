package azuremonitor

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

func typeKey(resourceType string) string { return strings.ToLower(resourceType) }

// inventory lists what there is, and says of it what needs no metrics.
func (t *turn) inventory(ctx context.Context) {
	for _, a := range t.accounts {
		t.machines(ctx, a)
		for _, resourceType := range slices.Sorted(maps.Keys(a.others)) {
			t.others(ctx, a, a.others[resourceType], resourceType)
		}
	}
}

// machines reads those of a subscription with their states.
func (t *turn) machines(ctx context.Context, a *account) {
	found, err := a.listed(ctx, t.clock.now(), t.over)
	t.faults.add(explain(err, "machines of subscription "+a.id, t.cfg.Credentials))
	t.known.listed(a.id, "", err == nil)
	if !a.machines.Known() {
		return
	}
	powers, err := a.powers(ctx)
	t.faults.add(explain(err, "states of the machines of subscription "+a.id, t.cfg.Credentials))
	t.known.stated(a.id, err == nil)
	if err == nil {
		a.powered = powers
	}
	now := t.clock.now()
	for _, one := range found {
		m := one.Resource
		r := &resource{
			id: m.id, subscription: a.id, region: m.region, labels: m.labels(a.id), since: m.created, luns: m.luns(),
			gone: one.Gone, alive: one.Alive() && a.powered[m.id].state == "running",
		}
		if one.Alive() && !m.recalled {
			r.temp = t.tell(ctx, a, m, powers, now)
		}
		t.known.present(r)
		t.resources = append(t.resources, r)
		t.byType[typeKey(machineType)] = append(t.byType[typeKey(machineType)], r)
	}
}

// tell adds the facts of a machine; it tells whether the machine has a temporary disk.
func (t *turn) tell(ctx context.Context, a *account, m machine, powers map[string]power, now time.Time) (temp bool) {
	var s *size
	sizes, err := a.sizesOf(ctx, m.region, now)
	t.faults.add(explain(err, "sizes of machines in "+m.region, t.cfg.Credentials))
	if known, is := sizes[strings.ToLower(m.size)]; is {
		s, temp = &known, known.temp
	} else if err != nil {
		t.known.unsized[m.labels(a.id)["vm_id"]] = true
	}
	var p *power
	if powers != nil {
		state, told := powers[m.id]
		if !told {
			state.state = "unknown"
		}
		p = &state
	}
	for _, f := range factsOf(m, a.id, s, p, t.cfg.Tags, now) {
		t.fact(f, now)
	}
	return temp
}

// fact becomes a metric of now. The book knows only that the series is there: each value is new.
func (t *turn) fact(f fact, now time.Time) {
	if !t.selection.Wants(f.name) {
		return
	}
	t.series = append(t.series, cloud.Series{Name: f.name, Labels: f.labels, Source: collect.AzureMonitor})
	if !f.silent {
		t.facts = append(t.facts, collect.Metric{Name: f.name, Labels: f.labels, Source: string(collect.AzureMonitor), Value: f.value, Timestamp: now})
	}
}

// others reads the resources of another type, which is in lower case.
func (t *turn) others(ctx context.Context, a *account, list *cloud.Inventory[resource], resourceType string) {
	found, err := list.Get(ctx, t.clock.now())
	t.faults.add(explain(err, "resources of type "+resourceType+" in subscription "+a.id, t.cfg.Credentials))
	t.known.listed(a.id, resourceType, err == nil)
	for _, one := range found {
		r := one.Resource
		r.gone = one.Gone
		t.known.present(&r)
		t.byType[resourceType] = append(t.byType[resourceType], &r)
	}
}
