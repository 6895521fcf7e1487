package memory

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// metricName is the label that holds a metric's name.
const metricName = "__name__"

// index knows the series by their labels.
type index struct {
	opts     Options
	last     engine.Ref
	series   map[engine.Ref]*known
	byHash   map[uint64][]engine.Ref
	postings map[labels.Label]map[engine.Ref]struct{}
	left     []time.Time // when series were forgotten, within the last day
}

// known is a series of the index.
type known struct {
	labels labels.Labels
	// idle is set when a round of forgetting found no sample of the series: the next one forgets it.
	idle bool
}

func newIndex(opts Options) *index {
	return &index{
		opts: opts, series: map[engine.Ref]*known{}, byHash: map[uint64][]engine.Ref{},
		postings: map[labels.Label]map[engine.Ref]struct{}{},
	}
}

// find is the series with exactly these labels, 0 for none.
func (x *index) find(lset labels.Labels) engine.Ref {
	for _, ref := range x.byHash[lset.Hash()] {
		if labels.Equal(x.series[ref].labels, lset) {
			return ref
		}
	}
	return 0
}

// add makes a series.
func (x *index) add(lset labels.Labels) (engine.Ref, error) {
	if refusal := x.refuse(lset); refusal != nil {
		return 0, refusal
	}
	x.last++
	lset = lset.Copy()
	x.series[x.last] = &known{labels: lset}
	x.byHash[lset.Hash()] = append(x.byHash[lset.Hash()], x.last)
	lset.Range(func(l labels.Label) {
		if x.postings[l] == nil {
			x.postings[l] = map[engine.Ref]struct{}{}
		}
		x.postings[l][x.last] = struct{}{}
	})
	return x.last, nil
}

// refuse says why a new series with these labels cannot be, nil if it can.
func (x *index) refuse(lset labels.Labels) *engine.Refusal {
	if detail := x.badLabels(lset); detail != "" {
		return &engine.Refusal{Reason: engine.ReasonBadLabels, Index: -1, Detail: fmt.Sprintf("series %s: %s", shown(lset), detail)}
	}
	if limit := x.opts.MaxSeries; limit > 0 && len(x.series) >= limit {
		return full(lset, engine.ReasonSeriesLimit, "the shard", limit)
	}
	for _, bound := range []struct {
		label  string
		limit  int
		reason engine.Reason
	}{
		{metricName, x.opts.MaxSeriesPerMetric, engine.ReasonMetricLimit},
		{"job", x.opts.MaxSeriesPerJob, engine.ReasonJobLimit},
	} {
		l := labels.Label{Name: bound.label, Value: lset.Get(bound.label)}
		if bound.limit > 0 && l.Value != "" && len(x.postings[l]) >= bound.limit {
			return full(lset, bound.reason, fmt.Sprintf("%s=%q", l.Name, l.Value), bound.limit)
		}
	}
	return nil
}

func full(lset labels.Labels, reason engine.Reason, of string, limit int) *engine.Refusal {
	return &engine.Refusal{Reason: reason, Index: -1, Detail: fmt.Sprintf(
		"new series %s: %s has its limit of %d series; known series go on: drop labels with many values, or raise the limit", shown(lset), of, limit)}
}

func (x *index) badLabels(lset labels.Labels) string {
	if name, twice := lset.HasDuplicateLabelNames(); twice {
		return fmt.Sprintf("label %q is there twice: name each label once", name)
	}
	if n := lset.Len(); n == 0 || n > x.opts.MaxLabels {
		return fmt.Sprintf("%d labels, allowed are 1 to %d: give a metric's name, drop labels that nobody asks for", n, x.opts.MaxLabels)
	}
	err := lset.Validate(func(l labels.Label) error {
		if n := max(len(l.Name), len(l.Value)); n > x.opts.MaxValueBytes {
			return fmt.Errorf("label %.64q has %d bytes, allowed are %d: shorten it", l.Name, n, x.opts.MaxValueBytes)
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

// shown is the text of a series for messages.
func shown(lset labels.Labels) string {
	text := lset.String()
	if len(text) > 256 {
		return text[:256] + "…"
	}
	return text
}

// remove forgets a series.
func (x *index) remove(ref engine.Ref, now time.Time) {
	lset := x.series[ref].labels
	delete(x.series, ref)
	hash := lset.Hash()
	x.byHash[hash] = slices.DeleteFunc(x.byHash[hash], func(other engine.Ref) bool { return other == ref })
	if len(x.byHash[hash]) == 0 {
		delete(x.byHash, hash)
	}
	lset.Range(func(l labels.Label) {
		delete(x.postings[l], ref)
		if len(x.postings[l]) == 0 {
			delete(x.postings, l)
		}
	})
	x.left = append(x.left, now)
	old := len(x.left) - int(x.leftSince(now.Add(-24*time.Hour)))
	x.left = slices.Delete(x.left, 0, old)
}

// leftSince counts the series that were forgotten at or after a time.
func (x *index) leftSince(t time.Time) uint64 {
	first, _ := slices.BinarySearchFunc(x.left, t, time.Time.Compare)
	return uint64(len(x.left) - first)
}

// matching are the series that match, in no order. The smallest posting list of a matcher «name="value"» is what the
// other matchers are tried on.
func (x *index) matching(matchers []*labels.Matcher) []engine.Ref {
	var refs []engine.Ref
	try := func(ref engine.Ref) {
		lset := x.series[ref].labels
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			refs = append(refs, ref)
		}
	}
	if few, found := x.fewest(matchers); found {
		for ref := range few {
			try(ref)
		}
		return refs
	}
	for ref := range x.series {
		try(ref)
	}
	return refs
}

func (x *index) fewest(matchers []*labels.Matcher) (few map[engine.Ref]struct{}, found bool) {
	for _, m := range matchers {
		if m.Type != labels.MatchEqual || m.Value == "" {
			continue
		}
		if list := x.postings[labels.Label{Name: m.Name, Value: m.Value}]; !found || len(list) < len(few) {
			few, found = list, true
		}
	}
	return few, found
}
