package state

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// feedLimit bounds the changes kept for watchers that fall behind or come back.
const feedLimit = 16384

// Change is one record before and after a command. A created record has no Before, a deleted one no After.
type Change struct {
	Revision uint64
	Before   proto.Message
	After    proto.Message
}

// Record is the state after the change or, for a deletion, the last one.
func (c Change) Record() proto.Message {
	if c.After != nil {
		return c.After
	}
	return c.Before
}

// feed keeps the latest changes in order and wakes up who waits for more.
type feed struct {
	limit   int
	changes []Change
	// floor is the highest revision whose changes are not all kept.
	floor uint64
	head  uint64
	wake  chan struct{}
}

func newFeed(limit int) feed { return feed{limit: limit, wake: make(chan struct{})} }

func (f *feed) publish(revision uint64, changes []Change) {
	f.changes = append(f.changes, changes...)
	f.head = revision
	if len(f.changes) > 2*f.limit { // trimmed in halves, so that each change is moved at most once
		cut := len(f.changes) - f.limit
		f.floor = f.changes[cut-1].Revision
		f.changes = append([]Change(nil), f.changes[cut:]...)
	}
	close(f.wake)
	f.wake = make(chan struct{})
}

// reset forgets everything up to revision, as after a restore.
func (f *feed) reset(revision uint64) {
	f.changes, f.floor, f.head = nil, revision, revision
	close(f.wake)
	f.wake = make(chan struct{})
}

// since returns the changes after revision.
func (f *feed) since(revision uint64) ([]Change, error) {
	if revision < f.floor {
		return nil, fmt.Errorf("%w: changes after revision %d are gone, the oldest kept follows %d: list again, then watch", ErrCompacted, revision, f.floor)
	}
	low, high := 0, len(f.changes)
	for low < high {
		if middle := (low + high) / 2; f.changes[middle].Revision > revision {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return f.changes[low:len(f.changes):len(f.changes)], nil
}

// Cursor is a place in the stream of changes.
type Cursor struct {
	revision uint64
	// restores tells apart the streams before and after the tables were replaced.
	restores uint64
}

// Revision is the last revision that was seen.
func (c Cursor) Revision() uint64 { return c.revision }

// CursorAt continues a stream that had been read up to revision.
func (s *Store) CursorAt(revision uint64) Cursor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Cursor{revision: revision, restores: s.restores}
}

// Next returns the changes after the cursor, waiting until there are some, and the cursor to continue from.
// A cursor that cannot be continued from is ErrCompacted.
func (s *Store) Next(ctx context.Context, from Cursor) ([]Change, Cursor, error) {
	for {
		changes, next, wake, err := s.poll(from)
		if err != nil || len(changes) > 0 {
			return changes, next, err
		}
		select {
		case <-ctx.Done():
			return nil, from, ctx.Err()
		case <-wake:
		}
	}
}

func (s *Store) poll(from Cursor) ([]Change, Cursor, <-chan struct{}, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if from.restores != s.restores {
		return nil, from, nil, fmt.Errorf("%w: the state was restored from a snapshot: list again, then watch", ErrCompacted)
	}
	changes, err := s.feed.since(from.revision)
	return changes, Cursor{revision: max(s.feed.head, from.revision), restores: s.restores}, s.feed.wake, err
}

// Await returns once a command has been applied after the given revision, whatever it changed.
func (s *Store) Await(ctx context.Context, revision uint64) error {
	for {
		s.mu.RLock()
		head, wake := s.feed.head, s.feed.wake
		s.mu.RUnlock()
		if head > revision {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}
