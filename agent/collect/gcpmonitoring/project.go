package gcpmonitoring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	monitoringv3 "cloud.google.com/go/monitoring/apiv3/v2"
	"golang.org/x/sync/errgroup"

	"cloud.google.com/go/auth"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// project is one that is measured.
type project struct {
	id        string
	client    *monitoringv3.MetricClient
	compute   *computeClient
	catalog   *catalog
	fetcher   *fetcher
	inventory cloud.Inventory[instance]
	// listed are the instances as they were listed last, unreachable the zones that could not be.
	listed      map[string]instance
	unreachable []string
	types       map[string]machineType
	// returned is how many series a type had last: what the next collection is expected to cost.
	returned map[string]int
	// narrow are the periods that are asked for of a type while more have too many pages.
	narrow map[string]int
	// strangers are machines that have metrics and were not in the inventory when it was read for them.
	strangers map[string]bool
}

const (
	inventoryFresh  = 5 * time.Minute
	inventoryLinger = time.Hour
)

func newProject(ctx context.Context, cfg Config, id string, creds *auth.Credentials, c *clock, access *cloud.Access) (*project, error) {
	g := &gate{who: cfg.Credentials, project: id, access: access, meter: cfg.Meter, timeout: cfg.CallTimeout, refused: map[string]int{}}
	client, err := newMetricClient(ctx, cfg, creds, g)
	if err != nil {
		return nil, fmt.Errorf("client of Cloud Monitoring for project %s: %w", id, err)
	}
	p := &project{
		id: id, client: client, compute: newComputeClient(cfg, id, creds, g, c),
		catalog: &catalog{client: client, project: id, prefixes: prefixesOf(cfg), maxPages: cfg.MaxPages},
		fetcher: &fetcher{client: client, project: id, regions: cfg.Regions, cfg: cfg},
		types:   map[string]machineType{}, returned: map[string]int{}, narrow: map[string]int{}, strangers: map[string]bool{},
	}
	p.inventory = cloud.Inventory[instance]{Fresh: inventoryFresh, Linger: inventoryLinger, List: func(ctx context.Context) (map[string]instance, error) {
		return p.list(ctx, cfg.Regions)
	}}
	return p, nil
}

// group names what is asked for together.
func (p *project) group(native string) string { return groupOf(p.id, native) }

func groupOf(project, native string) string { return project + " " + native }

func (p *project) close() error {
	p.compute.close()
	return p.client.Close()
}

// list reads the instances. Those in zones that could not be asked stay as they were.
func (p *project) list(ctx context.Context, regions []string) (map[string]instance, error) {
	all, unreachable, err := p.compute.instances(ctx)
	if err != nil {
		return nil, err
	}
	for id, i := range p.listed {
		if _, there := all[id]; !there && slices.Contains(unreachable, i.Zone) {
			all[id] = i
		}
	}
	if len(regions) > 0 {
		maps.DeleteFunc(all, func(_ string, i instance) bool { return !slices.Contains(regions, i.labels()["cloud_region"]) })
	}
	p.listed, p.unreachable = all, unreachable
	return all, nil
}

// partial tells what the inventory lacks.
func (p *project) partial() error {
	if len(p.unreachable) == 0 {
		return nil
	}
	return fmt.Errorf("instances of project %s: zones %q could not be asked; their machines are taken to be as they were", p.id, p.unreachable)
}

// machines are those of the inventory by id.
func machines(items []cloud.Item[instance]) map[string]cloud.Item[instance] {
	byID := make(map[string]cloud.Item[instance], len(items))
	for _, item := range items {
		byID[item.ID] = item
	}
	return byID
}

// learnTypes reads the machine types of the machines that are there, each type once for all time.
func (p *project) learnTypes(ctx context.Context, items []cloud.Item[instance]) error {
	var failed []error
	tried := map[string]bool{}
	for _, item := range items {
		name := item.Resource.MachineType
		if _, known := p.types[name]; known || tried[name] || name == "" || name == "." || !item.Alive() {
			continue
		}
		tried[name] = true
		t, err := p.compute.machineType(ctx, item.Resource.Zone, name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		p.types[name] = t
	}
	return errors.Join(failed...)
}

// fanOut bounds the calls of a project at one time, and so the answers that are in memory.
const fanOut = 3

// fetchAll asks for all types, a few at a time. The answers are in the order of the asks.
func (p *project) fetchAll(ctx context.Context, asks []ask) []answer {
	answers := make([]answer, len(asks))
	var calls errgroup.Group
	calls.SetLimit(fanOut)
	for i, a := range asks {
		calls.Go(func() error {
			answers[i] = p.fetcher.fetch(ctx, a.descriptor, a.mapped(), a.window)
			return nil // in the answer
		})
	}
	_ = calls.Wait() // none fails
	return answers
}

// expected is how many series an ask is likely to return.
func (p *project) expected(a ask) int {
	if n, known := p.returned[a.native]; known {
		return n
	}
	return max(1, len(p.listed))
}

// strange are the machines with metrics that the inventory does not know and was not read for yet.
func (p *project) strange(answers []answer, known map[string]cloud.Item[instance]) (found bool) {
	now := map[string]bool{}
	for _, a := range answers {
		for _, n := range a.series {
			id := n.resource["instance_id"]
			if _, is := known[id]; n.isMachine() && !is {
				now[id] = true
				found = found || !p.strangers[id]
			}
		}
	}
	p.strangers = now
	return found
}

// machineOf is the machine that a series is of, made of what the series tells where the inventory does not know it.
func (p *project) machineOf(known map[string]cloud.Item[instance]) finder {
	return func(n *native) (instance, bool) {
		id := n.resource["instance_id"]
		if item, is := known[id]; is {
			return item.Resource, item.Alive() && item.Resource.running()
		}
		return instance{ID: id, Name: n.name, Zone: n.resource["zone"], Project: p.id}, false
	}
}
