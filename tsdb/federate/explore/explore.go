// Package explore tells where the series of a cluster come from: how many there are by metric, label, value, host or job,
// now and before, and how many would be left without a label. Shards count; their counts are united exactly, or within
// about 1 % where they are too many to send.
package explore

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// What series can be grouped by. ByValues groups by the values of the label Question.Of.
const (
	ByMetric = "metric"
	ByLabel  = "label"
	ByPair   = "pair"
	ByValues = "values"
)

const (
	nameLabel = "__name__"
	hostLabel = "host"
)

// Bounds of one question on one shard.
const (
	// maxHashes is how many hashes are held at one time, at about 16 bytes each; what is beyond is estimated, but for small
	// counts, and no group is begun any more. Twice as many are an error.
	maxHashes = 6_000_000
	// maxGroups is how many groups are counted, maxGroupsSent how many are told, the largest first.
	maxGroups     = 200_000
	maxGroupsSent = 5_000
	// maxSent is how many hashes of one count are told, maxAllSent those of all counts; what is beyond is estimated, but for
	// small counts. With maxBeyond more, for sketches and small counts, no further groups are told.
	maxSent    = 50_000
	maxAllSent = 200_000
	maxBeyond  = 1_000_000
	// MaxReportBytes bounds the hashes and sketches of a report: those of one group more are told than fit.
	MaxReportBytes = 8 * (maxAllSent + maxBeyond + 6*maxSent)
)

// Span is a time in milliseconds, both ends inclusive.
type Span struct{ Min, Max int64 }

// Question is for one shard.
type Question struct {
	Matchers []*labels.Matcher
	// Now are the series that are counted, Before those that they are compared with; none where Max is below Min.
	Now, Before Span
	// By is what to group by, Of the label of ByValues, Drop the label to count the groups without.
	By       []string
	Of, Drop string
}

// Counts is what a group has in one span.
type Counts struct {
	// Series are its series, Values the different values of the label (ByLabel), Left the series that are left without
	// the label (ByLabel) or without Question.Drop.
	Series, Values, Left Distinct
}

// Group is a group of series.
type Group struct {
	By, Name    string
	Now, Before Counts
}

// Report is the answer of one shard.
type Report struct {
	Groups []Group
	// Now and Before count the series of all groups.
	Now, Before Distinct
	// Cut is how many groups are not told, by By.
	Cut map[string]uint64
	// Oldest and Newest are times of samples, both 0 where there is none.
	Oldest, Newest int64
	// Bytes are those of the values in the index, by label.
	Bytes map[string]uint64
}

// Store is what is counted.
type Store interface {
	Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error)
	Bounds() (minT, maxT int64, ok bool)
	Cardinality(top int) engine.Cardinality
}

// maxLabelBytes bounds the labels whose bytes are told.
const maxLabelBytes = 1000

// Count answers for a store. Series with the label host of the given value are of no other store.
func Count(ctx context.Context, store Store, host string, q Question) (Report, error) {
	c := &count{Question: q, host: host, budget: &budget{maxHashes}, groups: map[groupKey]*group{}, cut: map[string]uint64{}}
	for at, span := range []Span{q.Now, q.Before} {
		if err := c.walk(ctx, store, span, at); err != nil {
			return Report{}, err
		}
	}
	r := c.report()
	if minT, maxT, ok := store.Bounds(); ok {
		r.Oldest, r.Newest = minT, maxT
	}
	r.Bytes = map[string]uint64{}
	for _, label := range store.Cardinality(maxLabelBytes).BytesByLabel {
		r.Bytes[label.Name] = label.Count
	}
	return r, nil
}

// stride is how many series are counted between two looks at the context.
const stride = 256

// walk counts the series of a span.
func (c *count) walk(ctx context.Context, store Store, span Span, at int) error {
	if span.Max < span.Min {
		return nil
	}
	set, err := store.Select(ctx, engine.Selection{Min: span.Min, Max: span.Max, Matchers: c.Matchers})
	if err != nil {
		return err
	}
	for n := 0; err == nil && set.Next(); n++ {
		if c.add(set.At().Labels(), at); n%stride == 0 {
			err = ctx.Err()
		}
		if err == nil {
			err = c.budget.check()
		}
	}
	if err == nil {
		err = set.Err()
	}
	if closed := set.Close(); err == nil {
		err = closed
	}
	return err
}
