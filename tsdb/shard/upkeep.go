package shard

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb"
)

// Maintain does what is due: a shard with a folder seals, merges, rolls up and drops, one in memory drops what rules
// end earlier than the default.
func (s *Shard) Maintain(ctx context.Context) error {
	if s.durable != nil {
		return s.durable.Maintain(ctx)
	}
	return s.expireMemory(ctx, s.options.Clock())
}

func (s *Shard) maintainNowAndThen(ctx context.Context) {
	ticker := time.NewTicker(s.options.Maintain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.Maintain(ctx); err != nil && ctx.Err() == nil {
				s.options.Logger.Error("upkeep of the metric shard failed; it is tried again", "error", err)
			}
		}
	}
}

// expireMemory deletes the samples that the rule of their series no longer covers. The engine itself keeps samples as
// long as the longest rule.
func (s *Shard) expireMemory(ctx context.Context, now time.Time) error {
	retention, _ := s.Policies()
	if len(retention.Rules) == 0 {
		return nil
	}
	rules, err := compileRules(retention)
	if err != nil {
		return err
	}
	return s.memory.Expire(ctx, func(lset labels.Labels) int64 {
		for _, r := range rules {
			if matches(r.matchers, lset) {
				return r.since(now)
			}
		}
		return math.MinInt64
	})
}

// rule is a retention rule made ready.
type rule struct {
	matchers []*labels.Matcher
	keep     time.Duration
}

// compileRules makes the default the last rule.
func compileRules(r tsdb.RetentionPolicy) ([]rule, error) {
	var rules []rule
	for _, from := range r.Rules {
		matchers, err := tsdb.Matchers(from.Match)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule{matchers, time.Duration(from.Keep.Raw)})
	}
	return append(rules, rule{nil, time.Duration(r.Default.Raw)}), nil
}

// since is the time in milliseconds from which samples are kept.
func (r rule) since(now time.Time) int64 {
	if r.keep == 0 {
		return math.MinInt64
	}
	return now.Add(-r.keep).UnixMilli()
}

func matches(matchers []*labels.Matcher, lset labels.Labels) bool {
	for _, m := range matchers {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}
