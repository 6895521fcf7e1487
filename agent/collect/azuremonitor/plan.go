package azuremonitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// The limits of metrics:getBatch.
const (
	maxResources = 50
	maxMetrics   = 20
)

// grain is the length of the periods that are asked for, grainISO how the service spells it.
const (
	grain    = time.Minute
	grainISO = "PT1M"
)

// maxSpan is the longest window of one call: it bounds the answer. What is longer is made up slice by slice.
const maxSpan = 3 * time.Hour

// query is what is asked of many resources in one call.
type query struct {
	// key tells the queries of a resource apart; the same key is the same query after a restart.
	key string
	// resourceType is the namespace of the metrics.
	resourceType string
	// dimensions split all its metrics.
	dimensions []string
	rows       []row
}

// metrics are the names to ask for, each once.
func (q query) metrics() []string {
	var names []string
	for _, r := range q.rows {
		if !slices.Contains(names, r.native) {
			names = append(names, r.native)
		}
	}
	return names
}

// aggregations are what to ask for of all metrics; an answer has no more than a metric supports.
func (q query) aggregations() string {
	var names []string
	for _, r := range q.rows {
		names = append(names, strings.ToLower(r.aggregation))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// filter asks for each value of the dimensions by itself; empty where there are none.
func (q query) filter() string {
	var parts []string
	for _, d := range q.dimensions {
		parts = append(parts, d+" eq '*'")
	}
	return strings.Join(parts, " and ")
}

// queries cut rows of one type of resource into as few calls as its dimensions and the limit allow.
func queries(resourceType string, all []row, dimensions func(row) []string) (cut []query) {
	byFilter := map[string][]row{}
	var filters []string
	for _, r := range all {
		f := strings.Join(dimensions(r), ",")
		if _, seen := byFilter[f]; !seen {
			filters = append(filters, f)
		}
		byFilter[f] = append(byFilter[f], r)
	}
	for _, f := range filters {
		for i, chunk := range chunks(byFilter[f]) {
			q := query{key: fmt.Sprintf("%s/%s/%d", strings.ToLower(resourceType), strings.ToLower(f), i), resourceType: resourceType, rows: chunk}
			if f != "" {
				q.dimensions = strings.Split(f, ",")
			}
			cut = append(cut, q)
		}
	}
	return cut
}

// chunks keep the rows of one metric together and hold at most as many metrics as a call may ask for.
func chunks(all []row) (cut [][]row) {
	names := map[string]bool{}
	for _, r := range all {
		if len(cut) == 0 || !names[r.native] && len(names) == maxMetrics {
			cut, names = append(cut, nil), map[string]bool{}
		}
		names[r.native] = true
		cut[len(cut)-1] = append(cut[len(cut)-1], r)
	}
	return cut
}

// machineQueries are those of the rows of machines.
func machineQueries(all []row) []query {
	return queries(machineType, all, func(r row) []string {
		if d := r.dimension(); d != "" {
			return []string{d}
		}
		return nil
	})
}

// item is one resource to ask one query of.
type item struct {
	resource *resource
	query    *query
	window   cloud.Window
}

// group names what is stored of an item's progress.
func (i item) group() string { return i.resource.id + "|" + i.query.key }

// batch is one call.
type batch struct {
	subscription, region string
	query                *query
	window               cloud.Window
	items                []item
}

func (b batch) ids() []string {
	ids := make([]string, 0, len(b.items))
	for _, i := range b.items {
		ids = append(ids, i.resource.id)
	}
	return ids
}

// windowOf is what to ask for of a resource: nothing of before it was created, and no more at once than an answer can be.
func windowOf(w cloud.Window, since time.Time) cloud.Window {
	if created := since.Truncate(grain); created.After(w.From) {
		w.From = created
	}
	if w.To.Sub(w.From) > maxSpan {
		w.To = w.From.Add(maxSpan)
	}
	if w.Final.After(w.To) {
		w.Final = w.To
	}
	return w
}

// complete tells whether all periods of a resource that is gone were stored, by the window that would come next.
func (i item) complete() bool {
	return !i.resource.exists() && !i.window.From.Add(time.Duration(timing.Overlap)*timing.Period).Before(i.resource.gone)
}

// pack puts items into as few calls as there can be: resources of one subscription and region and one query. Those that
// are behind are asked for together with others as long as the window stays bounded; those that are gone are asked for
// by themselves, as the service may refuse a call for one of them.
func pack(items []item) (batches []batch) {
	sorted := slices.SortedFunc(slices.Values(items), func(a, b item) int {
		return cmp.Or(
			cmp.Compare(a.resource.subscription, b.resource.subscription), cmp.Compare(a.resource.region, b.resource.region),
			cmp.Compare(a.query.key, b.query.key), compareBool(a.resource.exists(), b.resource.exists()),
			a.window.From.Compare(b.window.From), cmp.Compare(a.resource.id, b.resource.id),
		)
	})
	for _, next := range sorted {
		if !next.window.To.After(next.window.From) {
			continue // it was created in the period that goes on
		}
		if last := len(batches) - 1; last >= 0 && batches[last].takes(next) {
			batches[last].items = append(batches[last].items, next)
			continue
		}
		batches = append(batches, batch{
			subscription: next.resource.subscription, region: next.resource.region, query: next.query, window: next.window, items: []item{next},
		})
	}
	return batches
}

// takes tells whether an item fits into the call. Its window begins no earlier.
func (b batch) takes(next item) bool {
	first := b.items[0]
	return len(b.items) < maxResources && b.subscription == next.resource.subscription && b.region == next.resource.region &&
		b.query == next.query && first.resource.exists() == next.resource.exists() && b.window.To.Equal(next.window.To)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// timing is that of platform metrics.
var timing = collect.AzurePlatform
