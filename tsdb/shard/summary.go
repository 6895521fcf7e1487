package shard

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
)

const (
	// summaryFor is how long a summary is told again before it is made anew: a query may miss a series that is younger.
	summaryFor = 5 * time.Second
	// summaryValues bounds the values of a label that a summary lists.
	summaryValues = 2000
	// summaryNames bounds the names of labels; with more there is no summary.
	summaryNames = 1000
)

// summaries keeps the summary of a shard.
type summaries struct {
	mu   sync.Mutex
	last federate.Summary
	at   time.Time
}

// Summary tells which labels the shard's series have; one without a version tells nothing.
func (s *Shard) Summary(ctx context.Context) (federate.Summary, error) {
	s.summaries.mu.Lock()
	defer s.summaries.mu.Unlock()
	now := s.options.Clock()
	known := s.known() // before the labels that it is told with
	if s.summaries.last.Version == 0 || now.Sub(s.summaries.at) >= summaryFor {
		next, err := s.summarize(ctx)
		if err != nil {
			return federate.Summary{}, err
		}
		s.summaries.last, s.summaries.at = next, now
	}
	told := s.summaries.last
	told.Known = known
	return told, nil
}

// known is the state of the past, and how many series there are.
func (s *Shard) known() (known federate.Known) {
	if revised, can := s.engine.(engine.Revised); can {
		known.Revision = revised.Revision()
	}
	if estimator, can := s.engine.(engine.Estimator); can {
		known.Series = estimator.MostSeries()
	}
	return known
}

func (s *Shard) summarize(ctx context.Context) (federate.Summary, error) {
	names, err := s.engine.LabelNames(ctx, math.MinInt64, math.MaxInt64, summaryNames+1)
	if err != nil || len(names) > summaryNames {
		return federate.Summary{}, err
	}
	values := make(map[string][]string, len(names))
	for _, name := range names {
		if values[name], err = s.engine.LabelValues(ctx, name, math.MinInt64, math.MaxInt64, summaryValues+1); err != nil {
			return federate.Summary{}, err
		}
	}
	return federate.Summarize(values, summaryValues), nil
}
