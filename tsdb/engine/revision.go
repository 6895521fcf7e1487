package engine

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// SettledAfter is how old samples are that a Revision speaks of. Younger ones come and change all the time.
const SettledAfter = 20 * time.Minute

// Revision names the state of what a store has of times longer ago than SettledAfter, by its clock: while it stays the
// same, so do all answers about such times. It changes just after what it tells of.
type Revision struct {
	// Epoch is drawn when the store is opened; 0 is that of no revision.
	Epoch uint64
	// Changes counts old samples that came late, imports, deletions and what retention dropped.
	Changes uint64
	// Since is how far back each tier goes, in milliseconds since 1970: queries choose tiers by it.
	Since [3]int64
}

// Revised is an Engine that tells its Revision.
type Revised interface{ Revision() Revision }

// Estimate is how many series there are about. Both count each series of the index once.
type Estimate struct {
	// Least have samples in the bounds of time for sure, unless they were deleted; Likely may have.
	Least, Likely int64
}

// Estimator is an Engine that counts series by its index, without reading samples.
type Estimator interface {
	// Estimate counts the series that match between two times in milliseconds, both inclusive.
	Estimate(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) (Estimate, error)
	// MostSeries is more than Estimate counts for any selector, about.
	MostSeries() int64
}
