package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// rewriteShare is the part of a block's samples, one in so many, that has to be deleted for it to be written anew.
const rewriteShare = 10

// Configure replaces what is kept for how long and which windows are made. It holds from the next upkeep on.
func (s *Store) Configure(retention Retention, tiers []TierWindows) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	s.options.Retention, s.options.Tiers = retention, tiers
}

// expireByRules deletes from blocks what the rule of its series no longer covers, and writes blocks anew of which
// much is deleted. Blocks stay as long as the longest rule needs them.
func (s *Store) expireByRules(ctx context.Context, now time.Time) error {
	var errs []error
	for _, b := range s.blocks.list() {
		if len(s.options.Retention.Rules) > 0 {
			if err := s.hideExpired(ctx, b, now); err != nil {
				errs = append(errs, fmt.Errorf("expiring samples by rules in block %s: %w", b.Meta().ID, err))
			}
		}
		if err := s.rewrite(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("writing block %s anew without what is deleted: %w", b.Meta().ID, err))
		}
	}
	return errors.Join(errs...)
}

// hideExpired deletes from one block. The default is a last rule that matches all series.
func (s *Store) hideExpired(ctx context.Context, b *block.Block, now time.Time) error {
	m, r := b.Meta(), s.options.Retention
	if s.keptSince(m.Tier, r.shortest(m.Tier), now) <= m.MinTime {
		return nil
	}
	decided := roaring.New() // series whose rule was found
	for _, rule := range append(r.Rules[:len(r.Rules):len(r.Rules)], Rule{Keep: r.Keep}) {
		found, err := b.Match(ctx, rule.Matchers...)
		if err != nil {
			return err
		}
		found.AndNot(decided)
		decided.Or(found)
		if since := s.keptSince(m.Tier, rule.Keep.of(m.Tier), now); since > m.MinTime {
			hidden, err := b.Hide(found, merge.Interval{Min: m.MinTime, Max: since - 1})
			if err != nil {
				return err
			}
			if hidden {
				s.revision.changed()
			}
		}
	}
	return nil
}

// shortest is how long a tier's samples are kept at least, 0 for ever.
func (r Retention) shortest(tier engine.Tier) time.Duration {
	shortest := r.of(tier)
	for _, rule := range r.Rules {
		if keep := rule.Keep.of(tier); keep > 0 && (shortest == 0 || keep < shortest) {
			shortest = keep
		}
	}
	return shortest
}

// keptSince is the first time that samples are kept from. It goes on in steps of a merged block, so that tombstones
// are not written anew at every upkeep, and waits for the windows of raw samples.
func (s *Store) keptSince(tier engine.Tier, keep time.Duration, now time.Time) int64 {
	if keep == 0 {
		return merge.All.Min
	}
	step, at := block.DefaultRanges()[tier][0], now.Add(-keep).UnixMilli()
	if tier == engine.TierRaw {
		step, at = 3*s.head.spanLength, min(at, s.rolledAll(now))
	}
	if at < 0 {
		return merge.All.Min // nothing is rolled up yet
	}
	return at - at%step
}

// rewrite writes a block anew where a tenth of its samples is deleted. What tells how far samples are sealed and
// windows made stays: without it they would be read from the log, or made, again.
func (s *Store) rewrite(ctx context.Context, b *block.Block) error {
	m := b.Meta()
	if b.Tombstones() == 0 || s.tells(m) || s.unrolled.has(m.ID) {
		return nil
	}
	hidden, err := b.Hidden(ctx)
	if err != nil || hidden*rewriteShare < m.Samples {
		return err
	}
	return s.merge(ctx, block.Job{Blocks: []block.Meta{m}, Ranges: []merge.Interval{m.Interval()}, Level: m.Level})
}

func (s *Store) tells(m block.Meta) bool {
	if m.Tier != engine.TierRaw {
		return m.MaxTime == s.blocks.rolledThrough(m.Tier)
	}
	return m.SealedUntil != nil && *m.SealedUntil == s.sealedThrough() && *m.SealedUntil > s.mark.until
}
