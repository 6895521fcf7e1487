package federate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// Fleet is all shards as one Queryable: it reads their raw series. An Engine pushes down to it what it can.
type Fleet struct {
	directory Directory
	opts      Options
	relayed   *relayCounts
}

var (
	_ storage.Queryable         = (*Fleet)(nil)
	_ storage.ExemplarQueryable = (*Fleet)(nil)
)

// NewFleet makes the shards of a directory readable.
func NewFleet(directory Directory, opts Options) *Fleet {
	return &Fleet{directory, opts.withDefaults(), &relayCounts{}}
}

// WithComplete is the same fleet, which refuses partial answers or not.
func (f *Fleet) WithComplete(complete bool) *Fleet {
	next := *f
	next.opts.Complete = complete
	return &next
}

// Querier reads raw series between two times in milliseconds, both inclusive.
func (f *Fleet) Querier(minT, maxT int64) (storage.Querier, error) {
	return &fleetQuerier{fleet: f, minT: minT, maxT: maxT}, nil
}

// members are those that may have series for any of the selectors.
func (f *Fleet) members(selectors ...[]*labels.Matcher) []Member {
	all := f.directory.Members()
	pruner, knows := f.directory.(Pruner)
	if !knows {
		return all
	}
	stored := make([][]*labels.Matcher, len(selectors))
	for i, matchers := range selectors {
		stored[i] = withoutTier(matchers)
	}
	return slices.DeleteFunc(slices.Clone(all), func(m Member) bool {
		return !slices.ContainsFunc(stored, func(matchers []*labels.Matcher) bool { return pruner.MayHave(m, matchers) })
	})
}

// withoutTier leaves out what chooses a tier: no series has that label, so that it would exclude every shard.
func withoutTier(matchers []*labels.Matcher) []*labels.Matcher {
	return slices.DeleteFunc(slices.Clone(matchers), func(m *labels.Matcher) bool { return m.Name == query.TierLabel })
}

// fleetQuerier answers one query. What it gave away stays open until it is closed.
type fleetQuerier struct {
	fleet      *Fleet
	minT, maxT int64
	mu         sync.Mutex
	open       []engine.SeriesSet
}

// sized is a set that knows what it holds in memory.
type sized interface{ Size() int64 }

// Select reads from all shards at once. A series that is in several is put together.
func (q *fleetQuerier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	sel := engine.Selection{Min: q.minT, Max: q.maxT, Matchers: matchers, Sorted: true}
	if hints != nil {
		sel.Min, sel.Max, sel.Limit = hints.Start, hints.End, hints.Limit
	}
	var sets []storage.SeriesSet
	bytes := int64(0)
	missing, err := each(ctx, q.fleet.opts, q.fleet.members(matchers),
		func(ctx context.Context, m Member) (engine.SeriesSet, error) { return m.Shard.Select(ctx, sel) },
		func(m Member, set engine.SeriesSet) error {
			q.keep(set)
			sets = append(sets, plainSet{set})
			if held, is := set.(sized); is {
				bytes += held.Size()
			}
			return q.checkBytes(bytes, matchers)
		})
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	if missing != nil {
		sets = append(sets, warnedSet{missing.warning()})
	}
	return storage.NewMergeSeriesSet(sets, sel.Limit, storage.ChainedSeriesMerge)
}

func (q *fleetQuerier) keep(set engine.SeriesSet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = append(q.open, set)
}

func (q *fleetQuerier) checkBytes(n int64, matchers []*labels.Matcher) error {
	if n <= q.fleet.opts.MaxBytes {
		return nil
	}
	return checkBytes(q.fleet.opts, n, fmt.Sprintf("the series of %v", matchers))
}

// exemplarBytes is about what an exemplar takes, or the labels of its series.
const exemplarBytes = 200

func checkBytes(o Options, n int64, what string) error {
	if n > o.MaxBytes {
		return &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d for %s", n, what), Max: fmt.Sprint(o.MaxBytes),
			Way: "aggregate, ask for less time or fewer series, or raise the limit"}
	}
	return nil
}

// textBytes is about what a text takes besides its letters.
const textBytes = 32

// LabelValues lists the values of a label on all shards.
func (q *fleetQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.list(ctx, hints, matchers, func(ctx context.Context, m Member, limit int) ([]string, error) {
		return m.Shard.LabelValues(ctx, name, q.minT, q.maxT, limit, matchers...)
	})
}

// LabelNames lists the names of labels on all shards.
func (q *fleetQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.list(ctx, hints, matchers, func(ctx context.Context, m Member, limit int) ([]string, error) {
		return m.Shard.LabelNames(ctx, q.minT, q.maxT, limit, matchers...)
	})
}

func (q *fleetQuerier) list(ctx context.Context, hints *storage.LabelHints, matchers []*labels.Matcher, ask func(context.Context, Member, int) ([]string, error)) ([]string, annotations.Annotations, error) {
	limit := 0
	if hints != nil {
		limit = hints.Limit
	}
	found, bytes := map[string]bool{}, int64(0)
	missing, err := each(ctx, q.fleet.opts, q.fleet.members(matchers),
		func(ctx context.Context, m Member) ([]string, error) { return ask(ctx, m, limit) },
		func(_ Member, some []string) error {
			for _, text := range some {
				if !found[text] {
					found[text] = true
					bytes += int64(len(text)) + textBytes
				}
			}
			return q.checkBytes(bytes, matchers)
		})
	if err != nil {
		return nil, nil, err
	}
	all := make([]string, 0, len(found))
	for text := range found {
		all = append(all, text)
	}
	slices.Sort(all)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	if missing != nil {
		return all, missing.warning(), nil
	}
	return all, nil, nil
}

// Close frees what the shards gave.
func (q *fleetQuerier) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var first error
	for _, set := range q.open {
		if err := set.Close(); first == nil {
			first = err
		}
	}
	q.open = nil
	return first
}

// ExemplarQuerier reads exemplars.
func (f *Fleet) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return &fleetExemplars{ctx: ctx, fleet: f}, nil
}

type fleetExemplars struct {
	ctx      context.Context
	fleet    *Fleet
	warnings annotations.Annotations
}

// Warnings tell which shards were missing in the last answer: Select itself has no place for them.
func (q *fleetExemplars) Warnings() annotations.Annotations { return q.warnings }

// Select finds exemplars of the series that match all of any list of matchers, each series once.
func (q *fleetExemplars) Select(start, end int64, selectors ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	var found []exemplar.QueryResult
	bytes := int64(0)
	missing, err := each(q.ctx, q.fleet.opts, q.fleet.members(selectors...),
		func(ctx context.Context, m Member) (list []engine.SeriesExemplars, err error) {
			for _, matchers := range selectors {
				some, err := m.Shard.Exemplars(ctx, start, end, matchers...)
				if err != nil {
					return nil, err
				}
				list = append(list, some...)
			}
			return list, nil
		},
		func(_ Member, list []engine.SeriesExemplars) error {
			for _, s := range list {
				found = append(found, exemplar.QueryResult{SeriesLabels: s.Labels, Exemplars: s.Exemplars})
				bytes += exemplarBytes * int64(1+len(s.Exemplars))
			}
			return checkBytes(q.fleet.opts, bytes, fmt.Sprintf("the exemplars of %v", selectors))
		})
	if missing != nil {
		q.warnings = missing.warning()
	}
	slices.SortStableFunc(found, func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) })
	return mergeExemplars(found), err
}

// mergeExemplars makes one of neighbours with the same labels: what several selectors or shards have of a series, each
// exemplar once and in order of time.
func mergeExemplars(found []exemplar.QueryResult) (merged []exemplar.QueryResult) {
	for _, one := range found {
		last := len(merged) - 1
		if last < 0 || !labels.Equal(merged[last].SeriesLabels, one.SeriesLabels) {
			merged = append(merged, one)
			continue
		}
		all := slices.Concat(merged[last].Exemplars, one.Exemplars)
		slices.SortStableFunc(all, compareExemplars)
		merged[last].Exemplars = slices.CompactFunc(all, func(a, b exemplar.Exemplar) bool { return compareExemplars(a, b) == 0 })
	}
	return merged
}

func compareExemplars(a, b exemplar.Exemplar) int {
	return cmp.Or(cmp.Compare(a.Ts, b.Ts), cmp.Compare(a.Value, b.Value), labels.Compare(a.Labels, b.Labels))
}

// plainSet is an engine's set under Prometheus's name.
type plainSet struct{ engine.SeriesSet }

func (s plainSet) At() storage.Series              { return s.SeriesSet.At() }
func (plainSet) Warnings() annotations.Annotations { return nil }

// warnedSet has no series, and a warning.
type warnedSet struct{ warnings annotations.Annotations }

func (warnedSet) Next() bool                          { return false }
func (warnedSet) At() storage.Series                  { return nil }
func (warnedSet) Err() error                          { return nil }
func (s warnedSet) Warnings() annotations.Annotations { return s.warnings }
