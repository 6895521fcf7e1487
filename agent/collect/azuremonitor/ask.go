package azuremonitor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/monitor/query/azmetrics"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// answer is what came of one batch.
type answer struct {
	// byID are the answers by resource id in lower case; failed are the resources that there is none of.
	byID   map[string][]azmetrics.MetricData
	failed map[string]error
	calls  int
}

// ask makes the calls of a plan, some at once, and reads the answers in order.
func (t *turn) ask(ctx context.Context, batches []batch, whole bool) {
	if len(batches) == 0 {
		return
	}
	if err := t.budget.Spend(ctx, t.now, len(batches)); err != nil {
		t.faults.add(fmt.Errorf("Azure: %w", err))
		return
	}
	if whole {
		t.lastCalls = len(batches)
	}
	answers := make([]answer, len(batches))
	var calls sync.WaitGroup
	room := make(chan struct{}, t.cfg.Parallel)
	for i := range batches {
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			answers[i] = t.one(ctx, batches[i])
		})
	}
	calls.Wait()
	made := 0
	for i, b := range batches {
		made += answers[i].calls
		t.read(b, answers[i])
	}
	t.cfg.Meter.Billable(apiMetrics, made)
	t.faults.add(t.budget.Correct(context.WithoutCancel(ctx), t.now, made-len(batches)))
}

// one makes the call of a batch. Where the service refuses it since a resource is gone, the halves are asked for by
// themselves, so that the others do not go without.
func (c *Collector) one(ctx context.Context, b batch) answer {
	a := answer{byID: map[string][]azmetrics.MetricData{}, failed: map[string]error{}}
	left := [][]string{b.ids()}
	for len(left) > 0 {
		ids := left[0]
		left = left[1:]
		data, err := c.metrics.ask(ctx, b, ids)
		if !notSent(err) {
			a.calls++
		}
		switch {
		case err == nil:
			a.add(data)
		case missing(err) && len(ids) > 1:
			left = append(left, ids[:len(ids)/2], ids[len(ids)/2:])
		default:
			for _, id := range ids {
				a.failed[id] = err
			}
		}
	}
	return a
}

func (a *answer) add(data []azmetrics.MetricData) {
	for _, d := range data {
		id := collect.AzureID(deref(d.ResourceID))
		a.byID[id] = append(a.byID[id], d)
	}
}

// notSent tells whether a call was held back by its pace.
func notSent(err error) bool {
	var held *cloud.ThrottledError
	return errors.As(err, &held)
}

// read takes what was answered of a batch.
func (t *turn) read(b batch, a answer) {
	for _, it := range b.items {
		id := it.resource.id
		if err := a.failed[id]; err != nil {
			t.refused(it, b, err)
			continue
		}
		if len(a.byID[id]) == 0 {
			t.cfg.Meter.Partial()
			t.faults.add(fmt.Errorf("Azure, metrics in %s: %s is missing in the answer; it is asked for again", b.region, id))
			continue
		}
		got := read(it, b.window, a.byID[id])
		t.series = append(t.series, got.series...)
		t.judge(it, b, got)
	}
}

// refused notes why an item has no answer. Of a resource that is gone from the list and is not known here any more either,
// there will be none.
func (t *turn) refused(it item, b batch, err error) {
	if !it.resource.exists() && missing(err) {
		t.over[it.resource.id] = true
		t.known.answered(it)
		return
	}
	t.faults.add(explain(err, "metrics of "+strings.ToLower(b.query.resourceType)+" in "+b.region, t.cfg.Credentials))
}

// judge notes what of an item was answered.
func (t *turn) judge(it item, b batch, got reading) {
	for _, problem := range got.problems {
		t.cfg.Meter.Partial()
		t.faults.add(fmt.Errorf("Azure, metrics in %s of %s: %s; it is asked for again", b.region, it.resource.id, problem))
	}
	for _, metric := range got.cut {
		t.cfg.Meter.Partial()
		t.faults.add(fmt.Errorf("Azure, metrics in %s of %s: %s has more than %d series; those beyond are left out, so name fewer dimensions", b.region, it.resource.id, metric, maxSeries-1))
	}
	for _, mismatch := range got.mismatches {
		t.cfg.Meter.UnitMismatch()
		t.complain("a series is skipped", mismatch)
	}
	if !got.whole() {
		return
	}
	t.book.Answered(it.group(), b.window)
	if len(got.mismatches) == 0 {
		t.known.answered(it)
	}
}

// maxFaults is how many errors of a collection are told one by one.
const maxFaults = 5

// faults are the errors of one collection, each told once.
type faults struct {
	seen map[string]bool
	list []error
	more int
}

func (f *faults) add(err error) {
	if err == nil {
		return
	}
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	switch text := err.Error(); {
	case f.seen[text]:
	case len(f.list) == maxFaults:
		f.seen[text] = true
		f.more++
	default:
		f.seen[text] = true
		f.list = append(f.list, err)
	}
}

func (f *faults) join() error {
	if f.more == 0 {
		return errors.Join(f.list...)
	}
	return errors.Join(append(f.list, fmt.Errorf("and %d more of the like", f.more))...)
}
