package durable

import (
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
)

// Options are the choices of a store. Zero fields take the defaults that their comments name.
type Options struct {
	// Sync is the longest that an acknowledged sample may stay out of stable storage; 0, the default, acknowledges a
	// sample once it is there.
	Sync time.Duration
	// Window is how old a sample may be at least, by the clock, and still be taken; 30 minutes.
	Window time.Duration
	// Ahead is how far a sample's time may lie ahead of the clock; 10 minutes. Negative: without limit.
	Ahead time.Duration
	// AnyAge takes samples of any age that the blocks do not hold yet, for back-fill and tests.
	AnyAge bool
	// Span is the length of a block that comes from the head; 2 hours. Merged ones hold 3 and 12 times as much.
	Span time.Duration
	// Limits bound what new series may be made.
	Limits index.Limits
	// Exemplars is how many exemplars are kept; 10,000.
	Exemplars int
	// Maintain is how often what is due is sealed, merged, rolled up and dropped; 1 minute. Negative: only when
	// Maintain is called.
	Maintain time.Duration
	// Retention says how long what is kept, and how much of it.
	Retention Retention
	// Tiers are the windows to make; nil makes all of them as soon as samples are sealed.
	Tiers []TierWindows
	// ReadOnly opens a folder without changing anything in it; the log is read into memory.
	ReadOnly bool
	// Clock tells the time; time.Now.
	Clock func() time.Time
	// Log is told what an operator should know; slog.Default().
	Log *slog.Logger
}

// Retention says how long what is kept, by its own time.
type Retention struct {
	// Keep is for the series that match no rule.
	Keep
	// Rules are for series of their own, longer or shorter; the first one that matches counts.
	Rules []Rule
	// Bytes is the most disk that blocks may take: the oldest of the finest tier goes first. 0 is no limit.
	Bytes int64
}

// Keep is how long the samples of each tier are kept. Zero keeps them for ever.
type Keep struct{ Raw, FiveMinutes, Hour time.Duration }

func (k Keep) of(tier engine.Tier) time.Duration {
	return [...]time.Duration{k.Raw, k.FiveMinutes, k.Hour}[tier]
}

// Rule is how long the series are kept that all matchers match.
type Rule struct {
	Matchers []*labels.Matcher
	Keep     Keep
}

// longest is how long a tier's samples are kept of any series, 0 for ever.
func (r Retention) longest(tier engine.Tier) time.Duration {
	longest := r.of(tier)
	for _, rule := range r.Rules {
		keep := rule.Keep.of(tier)
		if keep == 0 || longest == 0 {
			return 0
		}
		longest = max(longest, keep)
	}
	return longest
}

// TierWindows says from which age of samples on the windows of a tier are made.
type TierWindows struct {
	Tier  engine.Tier
	After time.Duration
}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	or(&o.Window, 30*time.Minute)
	or(&o.Ahead, 10*time.Minute)
	or(&o.Span, 2*time.Hour)
	or(&o.Maintain, time.Minute)
	if o.Exemplars == 0 {
		o.Exemplars = 10_000
	}
	if o.Tiers == nil {
		o.Tiers = []TierWindows{{Tier: engine.TierFiveMinutes}, {Tier: engine.TierHour}}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}
