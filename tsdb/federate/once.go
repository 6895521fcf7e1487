package federate

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/federate/normal"
)

// readOnce is a Queryable that reads equal selectors of one query once.
type readOnce struct{ storage.Queryable }

func (r readOnce) Querier(minT, maxT int64) (storage.Querier, error) {
	q, err := r.Queryable.Querier(minT, maxT)
	return &onceQuerier{Querier: q, read: map[string]*onceRead{}}, err
}

type onceQuerier struct {
	storage.Querier
	mu   sync.Mutex
	read map[string]*onceRead
}

// onceRead is what a selector gave: its set, and the series that were taken out of it.
type onceRead struct {
	set  storage.SeriesSet
	once sync.Once
	all  []storage.Series
}

func (q *onceQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	key := selectKey(hints, matchers)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.read[key] == nil {
		q.read[key] = &onceRead{set: q.Querier.Select(ctx, sorted, hints, matchers...)}
	}
	return &replay{onceRead: q.read[key], at: -1}
}

// selectKey is the same for selectors that read the same. A fleet reads all series in order, and goes by no other hints.
func selectKey(hints *storage.SelectHints, matchers []*labels.Matcher) string {
	var b strings.Builder
	if hints != nil {
		fmt.Fprintf(&b, "%d %d %d", hints.Start, hints.End, hints.Limit)
	}
	for _, m := range normal.Matchers(matchers) {
		fmt.Fprintf(&b, " %q %d %q", m.Name, m.Type, m.Value)
	}
	return b.String()
}

// replay walks over the series of a set that others walk over, too.
type replay struct {
	*onceRead
	at int
}

func (r *replay) Next() bool {
	r.once.Do(func() {
		for r.set.Next() {
			r.all = append(r.all, r.set.At())
		}
	})
	r.at++
	return r.at < len(r.all)
}

func (r *replay) At() storage.Series                { return r.all[r.at] }
func (r *replay) Err() error                        { return r.set.Err() }
func (r *replay) Warnings() annotations.Annotations { return r.set.Warnings() }
