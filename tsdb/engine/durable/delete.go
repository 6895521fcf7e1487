package durable

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/log"
)

// Delete forgets the samples in the bounds of the series that match: in the head at once, in blocks by tombstones.
// A sample of that time that is written later stays.
func (s *Store) Delete(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) error {
	if s.options.ReadOnly {
		return engine.ErrReadOnly
	}
	// Nothing is sealed or merged meanwhile: what is deleted could come back from what was read before.
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	if err := s.deleteInHead(ctx, minT, maxT, matchers); err != nil {
		return err
	}
	for _, b := range s.blocks.list() {
		if err := b.Delete(minT, maxT, matchers...); err != nil {
			return fmt.Errorf("deleting in block %s: %w", b.Meta().ID, err)
		}
	}
	return nil
}

func (s *Store) deleteInHead(ctx context.Context, minT, maxT int64, matchers []*labels.Matcher) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return engine.ErrClosed
	}
	ids, err := s.index.Select(ctx, matchers...)
	if err != nil || ids.IsEmpty() {
		return err
	}
	if err := s.logDeletion(ids.ToArray(), minT, maxT); err != nil {
		return err
	}
	return s.head.delete(ids, minT, maxT)
}

// logDeletion writes a deletion to the log, in several records where one would be too large.
func (s *Store) logDeletion(ids []uint32, minT, maxT int64) error {
	// Every series is defined again: the segment may not know them all.
	record := appendDeletion(s.appendDefinitions(nil, ids), ids, minT, maxT)
	if len(record) > log.MaxRecord && len(ids) > 1 {
		half := len(ids) / 2
		if err := s.logDeletion(ids[:half], minT, maxT); err != nil {
			return err
		}
		return s.logDeletion(ids[half:], minT, maxT)
	}
	if _, err := s.log.Append(record); err != nil {
		return s.logFailed(err)
	}
	return nil
}

func appendDeletion(dst []byte, ids []uint32, minT, maxT int64) []byte {
	dst = append(dst, sectionDeletion)
	dst = binary.AppendVarint(binary.AppendVarint(dst, minT), maxT)
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	before := uint32(0)
	for _, id := range ids {
		dst = binary.AppendUvarint(dst, uint64(id-before))
		before = id
	}
	return dst
}
