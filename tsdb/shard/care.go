package shard

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/block"
)

// ErrNoFolder says that a shard in memory has no files.
var ErrNoFolder = errors.New("the shard is in memory alone")

// Snapshot makes a folder that can be opened as a shard and has everything that was stored before the call. It is made
// of hard links: it is quick, costs no space until the shard drops what it links to, and has to be on the same file
// system. The folder must not be there yet.
func (s *Shard) Snapshot(ctx context.Context, dir string) error {
	if s.durable == nil {
		return ErrNoFolder
	}
	if err := s.names.save(); err != nil {
		return err
	}
	return s.durable.Snapshot(ctx, dir, policyFile, namesFile)
}

// Delete forgets the samples between two times in milliseconds, both inclusive, of the series that match.
func (s *Shard) Delete(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) error {
	return s.engine.Delete(ctx, minT, maxT, matchers...)
}

// Check is what a verification found in one block.
type Check struct {
	Folder string
	// Report is what was read; Err says that the block cannot be opened at all.
	Report block.Report
	Err    error
}

// OK tells whether nothing is wrong.
func (c *Check) OK() bool { return c.Err == nil && c.Report.OK() }

// Verify reads every byte of all blocks. What of the log could not be read was found when the shard was opened: it is
// counted as damage.
func (s *Shard) Verify(ctx context.Context) (checks []Check, damage int64, err error) {
	if s.durable == nil {
		return nil, 0, ErrNoFolder
	}
	folders, err := s.durable.BlockFolders()
	if err != nil {
		return nil, 0, fmt.Errorf("verifying %s: %w", s.options.Dir, err)
	}
	for _, folder := range folders {
		if err := ctx.Err(); err != nil {
			return checks, 0, err
		}
		report, err := block.Verify(ctx, folder)
		checks = append(checks, Check{folder, report, err})
	}
	return checks, s.durable.Stats().Damaged, nil
}
