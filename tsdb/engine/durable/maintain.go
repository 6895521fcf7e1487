package durable

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/novacron/novacron/tsdb/block"
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
// retention no longer covers.
func (s *Store) Maintain(ctx context.Context) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	err := s.seal(ctx, s.sealable(s.options.Clock()))
	s.forget()
	return errors.Join(err)
}

// Flush seals everything that the head has, whatever its age: a folder that is opened next has an empty log. Samples
// older than the newest are refused from then on.
func (s *Store) Flush(ctx context.Context) error {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	_, newest := s.head.bounds()
	err := s.seal(ctx, s.head.align(newest)+s.head.spanLength)
	s.forget()
	return err
}
