// Package federate asks many shards one question in PromQL. What can be computed where the samples lie is pushed down to
// the shards and merged; for the rest their raw series are read. The answer is that of one store with all the series.
package federate

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// Shard answers for the series of one store. All methods may be called at the same time.
type Shard interface {
	// Evaluate computes expressions over the shard's series.
	Evaluate(ctx context.Context, e Evaluation) (Partial, error)
	// Select reads raw series, in the order of their labels. At most Limit are read where it is above 0.
	Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error)
	// LabelNames, LabelValues and Exemplars are those of engine.Engine.
	LabelNames(ctx context.Context, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error)
	LabelValues(ctx context.Context, name string, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error)
	Exemplars(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) ([]engine.SeriesExemplars, error)
}

// Member is a shard with the name of its host.
type Member struct {
	Name  string
	Shard Shard
}

// Directory knows the shards of the cluster.
type Directory interface {
	// Members are all shards that there should be, also those that cannot be reached: they are missing in answers.
	Members() []Member
}

// Evaluation is a question for one shard: expressions, at the same times for all. Times are milliseconds.
type Evaluation struct {
	Exprs []string
	// Start to End by Step; Step 0 is the one time Start.
	Start, End, Step int64
	// Lookback is how old the value of an instant selector may be.
	Lookback time.Duration
	// MaxCells bounds the values that the answer may have, missing ones included; 0 is no bound.
	MaxCells int
	// Ranks has a place for each expression, or none: where it is not nil, values by group are asked for in place of rows. A
	// shard that does not know of it answers with rows.
	Ranks []*Ranks
	// Sample is how many series of a selector are to be read at most, spread over all; 0 reads all. A shard that does not
	// know of it reads all.
	Sample int
}

// ranks are those of an expression; nil where it has none.
func (e Evaluation) ranks(expr int) *Ranks {
	if expr < len(e.Ranks) {
		return e.Ranks[expr]
	}
	return nil
}

// Steps is how many times the evaluation has.
func (e Evaluation) Steps() int {
	if e.Step <= 0 {
		return 1
	}
	return int((e.End-e.Start)/e.Step) + 1
}

// last is the last of the times.
func (e Evaluation) last() int64 { return e.Start + int64(e.Steps()-1)*e.Step }

// Partial is what an evaluation came to on one shard.
type Partial struct {
	// Rows are the resulting series, by expression.
	Rows [][]Row
	// Ranked are the values by group of the expressions that were asked for so, by expression; none where nothing was.
	Ranked [][]Ranked
	// Infos and Warnings are PromQL's, without positions.
	Infos, Warnings []string
	// Shared are hashes of the labels of those series that were read and that another shard may have too, since their
	// labels do not name this shard's host. SharedUnknown says that they were too many to list.
	Shared        []uint64
	SharedUnknown bool
	// Samples were read, of Series or, where a sample of them was asked for, of some of Series.
	Samples, Series int64
	// Bytes is what the answer took on its way; 0 where it had none.
	Bytes int64
}

// of are the rows and ranked values of some expressions.
func (p Partial) of(from, end int) (rows [][]Row, ranked [][]Ranked, err error) {
	if end > len(p.Rows) {
		return nil, nil, errors.New("a shard answers fewer expressions than it was asked for")
	}
	if len(p.Ranked) >= end {
		ranked = p.Ranked[from:end]
	}
	return p.Rows[from:end], ranked, nil
}

// Row is one series of values by step.
type Row struct {
	Labels labels.Labels
	// Values has a value for each step; a stale marker where there is none, or a histogram.
	Values []float64
	// Histograms is nil, or has one for each step; nil where there is none.
	Histograms []*histogram.FloatHistogram
}
