package query

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Limits bound one query. A zero bound is the default.
type Limits struct {
	// Samples is how many samples a query may read (default 100 million), Series how many series (1 million).
	Samples, Series int
	// Bytes is how much memory a query may take, about (256 MiB): 16 bytes for each sample that it holds at one
	// time, and the labels of its series.
	Bytes int64
	// Timeout is how long a query may run, waiting included (2 min).
	Timeout time.Duration
	// Concurrent is how many queries may run at one time (20); others wait.
	Concurrent int
}

// sampleBytes is what PromQL counts as one sample.
const sampleBytes = 16

func (l Limits) withDefaults() Limits {
	fill := func(n *int, by int) {
		if *n <= 0 {
			*n = by
		}
	}
	fill(&l.Samples, 100_000_000)
	fill(&l.Series, 1_000_000)
	fill(&l.Concurrent, 20)
	if l.Bytes <= 0 {
		l.Bytes = 256 << 20
	}
	if l.Timeout <= 0 {
		l.Timeout = 2 * time.Minute
	}
	return l
}

// LimitError says which bound a query broke.
type LimitError struct {
	// Limit is the name of the bound: samples, series, bytes, timeout, steps or concurrent.
	Limit string
	// Reached and Max are what the query came to, and the bound.
	Reached, Max string
	// Way is the way out.
	Way string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("query limit %s: the query reached %s, allowed are %s: %s", e.Limit, e.Reached, e.Max, e.Way)
}

// budget counts what one query takes.
type budget struct {
	limits          Limits
	samples, series atomic.Int64
	bytes           atomic.Int64
	broken          atomic.Pointer[LimitError]
}

func (b *budget) exceed(limit string, reached, most int64, way string) error {
	err := &LimitError{limit, fmt.Sprint(reached), fmt.Sprint(most), way}
	b.broken.CompareAndSwap(nil, err)
	return err
}

func (b *budget) addSeries(lset labels.Labels) error {
	if n, most := b.series.Add(1), int64(b.limits.Series); n > most {
		return b.exceed("series", n, most, "name more labels in the selectors, or raise the limit")
	}
	if n := b.bytes.Add(int64(lset.ByteSize())); n > b.limits.Bytes {
		return b.exceed("bytes", n, b.limits.Bytes, "name more labels in the selectors, or raise the limit")
	}
	return nil
}

func (b *budget) addSamples(n int64) error {
	if n, most := b.samples.Add(n), int64(b.limits.Samples); n > most {
		return b.exceed("samples", n, most, "ask for less time or fewer series, or raise the limit")
	}
	return nil
}

// Series counts a series that a query reads.
func (b *budget) Series(lset labels.Labels) error { return b.addSeries(lset) }

// Samples counts samples that a query reads.
func (b *budget) Samples(n int64) error { return b.addSamples(n) }

// restart counts anew, for a query that is evaluated again.
func (b *budget) restart() {
	b.samples.Store(0)
	b.series.Store(0)
	b.bytes.Store(0)
	b.broken.Store(nil)
}

// source is a Queryable whose reads are counted.
type source struct {
	storage.Queryable
	budget *budget
	// kept is a querier that is open already and is to be used in place of the next one; nil for none.
	kept atomic.Pointer[keptQuerier]
}

func (s *source) Querier(minT, maxT int64) (storage.Querier, error) {
	if kept := s.kept.Swap(nil); kept != nil {
		return &guardedQuerier{Querier: kept, budget: s.budget}, nil
	}
	q, err := s.Queryable.Querier(minT, maxT)
	if err != nil {
		return nil, err
	}
	return &guardedQuerier{Querier: q, budget: s.budget}, nil
}

type guardedQuerier struct {
	storage.Querier
	budget *budget
	mu     sync.Mutex
	used   []*guardedIterator
}

func (q *guardedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return &guardedSet{SeriesSet: q.Querier.Select(ctx, sorted, hints, matchers...), ctx: ctx, querier: q, budget: q.budget}
}

// iterator makes a counting iterator; what it has not yet told the budget is taken by Close.
func (q *guardedQuerier) iterator() *guardedIterator {
	it := &guardedIterator{}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used = append(q.used, it)
	return it
}

func (q *guardedQuerier) Close() error {
	for _, it := range q.used {
		q.budget.samples.Add(it.pending)
	}
	q.used = nil
	return q.Querier.Close()
}

type guardedSet struct {
	storage.SeriesSet
	ctx     context.Context
	querier *guardedQuerier
	budget  *budget
	err     error
}

func (s *guardedSet) Next() bool {
	if s.err != nil || !s.SeriesSet.Next() {
		return false
	}
	s.err = s.budget.addSeries(s.SeriesSet.At().Labels())
	return s.err == nil
}

func (s *guardedSet) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.SeriesSet.Err()
}

func (s *guardedSet) At() storage.Series { return guardedSeries{s.SeriesSet.At(), s} }

type guardedSeries struct {
	storage.Series
	set *guardedSet
}

func (s guardedSeries) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	it, ours := old.(*guardedIterator)
	if !ours {
		it = s.set.querier.iterator()
	}
	it.Iterator, it.set, it.err = s.Series.Iterator(it.Iterator), s.set, nil
	return it
}

// stride is how many samples are read between two looks at the budget and the context.
const stride = 256

// guardedIterator counts the samples that it comes to.
type guardedIterator struct {
	chunkenc.Iterator
	set     *guardedSet
	pending int64
	err     error
}

func (it *guardedIterator) Next() chunkenc.ValueType { return it.count(it.Iterator.Next()) }

func (it *guardedIterator) Seek(t int64) chunkenc.ValueType { return it.count(it.Iterator.Seek(t)) }

func (it *guardedIterator) count(kind chunkenc.ValueType) chunkenc.ValueType {
	if kind != chunkenc.ValNone {
		it.pending++
	}
	if it.pending > 0 && (it.pending == stride || kind == chunkenc.ValNone) {
		it.err = it.set.budget.addSamples(it.pending)
		it.pending = 0
		if it.err == nil {
			it.err = it.set.ctx.Err()
		}
	}
	if it.err != nil {
		return chunkenc.ValNone
	}
	return kind
}

func (it *guardedIterator) Err() error {
	if it.err != nil {
		return it.err
	}
	return it.Iterator.Err()
}
