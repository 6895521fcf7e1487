package federate

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// Known is what a shard tells of itself without being asked anything.
type Known struct {
	// Revision is the state of its past, as it was at most some seconds ago.
	Revision engine.Revision
	// Series is about how many series its index has.
	Series int64
}

// Knower is a Directory that knows something of its shards.
type Knower interface {
	// Known is what is known of shards, by the names of their hosts. Those that do not tell are not there.
	Known(ctx context.Context, members []Member) map[string]Known
}

// Rememberer is a Knower that can do without what is of now.
type Rememberer interface {
	Knower
	// Lately is what was known of shards in the last minute. What is older than Known would tell is asked for, and not waited for.
	Lately(ctx context.Context, members []Member) map[string]Known
}

// lately is what is known of the shards of a directory, if only how it was lately. It is for guesses that an answer does
// not hang on: its time would.
func lately(ctx context.Context, d Directory, members []Member) (known map[string]Known, knows bool) {
	switch d := d.(type) {
	case Rememberer:
		return d.Lately(ctx, members), true
	case Knower:
		return d.Known(ctx, members), true
	}
	return nil, false
}

// Bounds are two times in milliseconds, both inclusive.
type Bounds struct{ Min, Max int64 }

// Estimation asks how many series match each of some selectors between two times in milliseconds.
type Estimation struct {
	Min, Max  int64
	Selectors [][]*labels.Matcher
	// Bounds has two times for each selector; nil: Min and Max hold for all.
	Bounds []Bounds
}

// of are the times for the selector of a number.
func (e Estimation) of(i int) Bounds {
	if i < len(e.Bounds) {
		return e.Bounds[i]
	}
	return Bounds{e.Min, e.Max}
}

// Estimator is a Shard that counts series by its index.
type Estimator interface {
	Estimate(ctx context.Context, e Estimation) ([]engine.Estimate, error)
}

var _ Estimator = Local{}

// Estimate asks the store. One that cannot tell counts nothing.
func (l Local) Estimate(ctx context.Context, e Estimation) ([]engine.Estimate, error) {
	all := make([]engine.Estimate, len(e.Selectors))
	estimator, can := l.Store.(engine.Estimator)
	if !can {
		return all, nil
	}
	for i, matchers := range e.Selectors {
		_, stored, err := query.TakeChoice(matchers)
		if err != nil {
			return nil, &RefusedError{err}
		}
		times := e.of(i)
		one, err := estimator.Estimate(ctx, times.Min, times.Max, stored...)
		if err != nil {
			return nil, err
		}
		all[i] = one
	}
	return all, nil
}
