package durable

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
)

func folderOf(dir string, meta block.Meta) string { return filepath.Join(dir, meta.ID.String()) }

// maintainNowAndThen does what is due until the store is closed.
func (s *Store) maintainNowAndThen(ctx context.Context) {
	ticker := time.NewTicker(s.options.Maintain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.Maintain(ctx); err != nil && ctx.Err() == nil {
				s.options.Log.Error("upkeep of the samples failed; it is tried again", "error", err, "again_in", s.options.Maintain)
			}
		}
	}
}

// Maintain seals what is old enough by the clock, merges blocks, makes the windows of the tiers, and drops what its
// retention no longer covers. Where one of these fails the others are done all the same.
func (s *Store) Maintain(ctx context.Context) error {
	if s.options.ReadOnly {
		return engine.ErrReadOnly
	}
	done, err := s.working()
	if err != nil {
		return err
	}
	defer done()
	now := s.options.Clock()
	err = s.seal(ctx, s.sealable(now))
	s.forget()
	return errors.Join(err, s.removeSegments(), s.roll(ctx, now), s.mergeBlocks(ctx, now), s.expire(ctx, now))
}

// Flush seals everything that the head has, whatever its age: a folder that is opened next has an empty log. Samples
// older than the newest are refused from then on.
func (s *Store) Flush(ctx context.Context) error {
	if s.options.ReadOnly {
		return engine.ErrReadOnly
	}
	done, err := s.working()
	if err != nil {
		return err
	}
	defer done()
	err = s.seal(ctx, math.MaxInt64)
	s.forget()
	return err
}

// policy is what block's planner goes by.
func (s *Store) policy(now time.Time) block.Policy {
	span := s.head.spanLength
	ranges := block.DefaultRanges()
	ranges[engine.TierRaw] = []int64{span, 3 * span, 12 * span}
	r := s.options.Retention
	return block.Policy{
		Ranges: ranges, Rolled: s.rolledAll(now), Settle: s.options.Window.Milliseconds(),
		Retention: map[engine.Tier]int64{
			engine.TierRaw:         r.longest(engine.TierRaw).Milliseconds(),
			engine.TierFiveMinutes: r.longest(engine.TierFiveMinutes).Milliseconds(),
			engine.TierHour:        r.longest(engine.TierHour).Milliseconds(),
		},
		Budget: uint64(max(r.Bytes, 0)), Young: 2 * span,
	}
}

// mergeBlocks does the merges that are due, one after the other.
func (s *Store) mergeBlocks(ctx context.Context, now time.Time) error {
	if len(s.unrolled.blocks) > 0 {
		return nil // it must be known which samples were imported until their windows are made
	}
	for {
		job, due := block.NextMerge(s.blocks.metas(), now.UnixMilli(), s.policy(now))
		if !due {
			return nil
		}
		if err := s.merge(ctx, job); err != nil {
			return fmt.Errorf("merging %d blocks from %s on: %w", len(job.Blocks), stamp(job.Blocks[0].MinTime), err)
		}
	}
}

// merge makes the blocks of a job and puts them in the place of those they were made of.
func (s *Store) merge(ctx context.Context, job block.Job) error {
	var old []*block.Block
	for i := range job.Blocks {
		old = append(old, s.blocks.find(job.Blocks[i].ID))
	}
	made, err := s.mergeRanges(ctx, job, old)
	if err == nil && len(made) == 0 { // all was deleted
		err = s.outliveAll(job.Blocks)
	}
	if err == nil {
		err = s.blocks.replace(made, old)
	}
	return err
}

// mergeRanges makes a block for every range of a job that has samples; after an error there is none.
func (s *Store) mergeRanges(ctx context.Context, job block.Job, old []*block.Block) (made []string, err error) {
	for _, r := range job.Ranges {
		meta, err := block.Merge(ctx, s.blocks.dir, old, block.MergeOptions{Range: &r, Level: job.Level, OnDamage: s.damaged})
		if errors.Is(err, block.ErrEmpty) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, removeDirs(made))
		}
		made = append(made, folderOf(s.blocks.dir, meta))
	}
	return made, nil
}

// expire drops the blocks that the retention no longer covers, and says which and why.
func (s *Store) expire(ctx context.Context, now time.Time) error {
	var errs []error
	for _, d := range block.Deletions(s.blocks.metas(), now.UnixMilli(), s.policy(now)) {
		if s.unrolled.has(d.Block.ID) {
			continue
		}
		if d.Cause == block.CauseBudget {
			s.options.Log.Warn("samples are dropped before their retention ends: the blocks exceed the disk budget",
				"tier", d.Block.Tier, "from", stamp(d.Block.MinTime), "to", stamp(d.Block.MaxTime), "bytes", d.Block.Bytes, "budget", s.options.Retention.Bytes)
		}
		errs = append(errs, s.drop(d.Block))
	}
	return errors.Join(append(errs, s.expireByRules(ctx, now))...)
}

// drop removes a block.
func (s *Store) drop(m block.Meta) error {
	defer s.revision.changed()
	if m.Tier == engine.TierRaw && s.tells(m) {
		if err := s.outlive(m); err != nil {
			return err
		}
	}
	return s.blocks.remove(s.blocks.find(m.ID))
}
