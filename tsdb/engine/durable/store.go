package durable

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/log"
)

// Store is the durable engine on a folder:
//
//	LOCK        held by the process that has it open
//	log/        segments of the log
//	blocks/     one folder for each block
//	head.image      the head as it was when the store was closed
//	unrolled.json   imported blocks whose windows are still to be made, where there are any
//	sealed.json     how far samples are sealed, where the block that told it was dropped
type Store struct {
	dir     string
	options Options
	lock    *os.File

	index     *index.Mem
	head      *head
	log       *log.Log
	blocks    *blockSet
	exemplars *exemplarRing
	segments  segmentTimes
	counters  counters
	revision  *revision
	// defined counts the bytes of the definitions of series in the current segment of the log, before packing.
	defined atomic.Int64
	// unrolled are imported blocks; upkeep guards it.
	unrolled unrolled
	// mark tells of blocks that are gone; upkeep guards it.
	mark sealedMark

	// life is held for reading by everyone who appends, from the first check to the last sample in the head, and for
	// writing for the moments in which what they rely on changes: the sealed time, the log's segment, the ids.
	life   sync.RWMutex
	closed bool
	// sealed is the time, in milliseconds, before which everything lies in blocks; older samples are refused.
	sealed int64

	// deleted is the last deletion that has come to its end; upkeep guards changes.
	deleted atomic.Pointer[deletion]
	// gone says that series may have nothing in the head any more.
	gone atomic.Bool
	// answers counts the answers that are still read: Close waits for them.
	answers sync.WaitGroup
	// upkeep is held by whoever seals, merges and drops.
	upkeep sync.Mutex
	stop   context.CancelFunc
	idle   sync.WaitGroup
}

var _ engine.Engine = (*Store)(nil)

// ErrLocked says that another process has the folder open.
var ErrLocked = errors.New("the folder is in use")

// Open opens the store in a folder, which it makes where it is missing. It reads the log, and goes on with what is
// whole where something is damaged: what that was, Options.Log is told and Stats counts.
func Open(dir string, options Options) (*Store, error) {
	s := &Store{dir: dir, options: options.withDefaults(), sealed: math.MinInt64, revision: newRevision()}
	s.deleted.Store(&deletion{})
	if err := s.open(); err != nil {
		s.unlock()
		return nil, fmt.Errorf("opening the samples in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if err := s.lockFolder(); err != nil {
		return err
	}
	s.index = index.New(index.Limits{}, s.options.Clock)
	s.head = newHead(s.options.Span.Milliseconds())
	s.exemplars = newExemplarRing(s.options.Exemplars)
	if s.blocks, err = openBlocks(s.path("blocks"), s.options); err != nil {
		return err
	}
	if err := s.readSealed(); err != nil {
		return err
	}
	if err := s.readUnrolled(); err != nil {
		return err
	}
	if err := s.replay(); err != nil {
		return err
	}
	// What was acknowledged has no limit: the log holds series that were forgotten before others came, all at once.
	s.index.Limit(s.options.Limits)
	if s.options.ReadOnly {
		return nil
	}
	if s.log, err = log.Open(s.path("log"), log.Options{Sync: s.options.Sync, Synced: s.counters.synced}); err != nil {
		return err
	}
	s.segments.next, _ = s.log.Segment()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.options.Maintain > 0 {
		s.idle.Go(func() { s.maintainNowAndThen(ctx) })
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// lockFolder makes sure that no other process has the folder open; readers share it.
func (s *Store) lockFolder() (err error) {
	how := unix.LOCK_EX
	if s.options.ReadOnly {
		how = unix.LOCK_SH
	} else if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	if s.lock, err = os.OpenFile(s.path("LOCK"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(s.lock.Fd()), how|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w by another process (%s is locked): stop it, or work on a snapshot", ErrLocked, s.lock.Name())
	}
	return nil
}

func (s *Store) unlock() {
	if s.lock != nil {
		_ = s.lock.Close() // a closed file holds no lock
	}
}

// accepted are the bounds of time of samples that are taken now; the caller holds life.
func (s *Store) accepted() (minT, maxT int64) {
	now := s.options.Clock()
	minT, maxT = s.sealed, now.Add(s.options.Ahead).UnixMilli()
	if s.options.Ahead < 0 {
		maxT = math.MaxInt64
	}
	if !s.options.AnyAge {
		minT = max(minT, s.sealable(now))
	}
	return max(minT, -latest), min(maxT, latest)
}

// latest bounds the times that are taken at all, in milliseconds on both sides of 1970: the ends of spans and windows
// around a sample have to be numbers, too.
const latest = 1 << 62

// working takes the right to seal, merge, drop and delete, and returns what ends it; an error when the store is closed.
func (s *Store) working() (done func(), err error) {
	s.upkeep.Lock()
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		s.upkeep.Unlock()
		return nil, engine.ErrClosed
	}
	return s.upkeep.Unlock, nil
}

// sealable is the time before which the head may be sealed: what ends earlier is older than the window.
func (s *Store) sealable(now time.Time) int64 {
	return s.head.align(now.Add(-s.options.Window).UnixMilli())
}

// Bounds are the times of the oldest and newest sample.
func (s *Store) Bounds() (minT, maxT int64, ok bool) {
	minT, maxT = s.blocks.bounds()
	headMin, headMax := s.head.bounds()
	minT, maxT = min(minT, headMin), max(maxT, headMax)
	return minT, maxT, minT <= maxT
}

// Cardinality tells what the live series are made of.
func (s *Store) Cardinality(top int) engine.Cardinality { return s.index.Cardinality(top) }

// Close waits for the answers that are still read, writes what the log holds to stable storage, and closes the folder.
func (s *Store) Close() error {
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return nil
	}
	s.closed = true
	s.life.Unlock()
	if s.stop != nil {
		s.stop()
	}
	s.idle.Wait()
	s.upkeep.Lock() // nobody seals, merges or deletes any more
	defer s.upkeep.Unlock()
	s.answers.Wait()
	var err error
	if s.log != nil {
		if err = s.log.Close(); err == nil {
			s.closeImage()
		}
	}
	err = errors.Join(err, s.blocks.close())
	s.head.close()
	s.unlock()
	return err
}

// counters count what the store did, for its own metrics.
type counters struct {
	stored, logFailures, damaged   atomic.Int64
	syncs, syncNanos, syncFailures atomic.Int64

	mu      sync.Mutex
	refused map[engine.Reason]int64
}

func (c *counters) add(w *writing) {
	c.stored.Add(int64(w.len()))
	if len(w.refused) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[engine.Reason]int64{}
	}
	for _, refusal := range w.refused {
		c.refused[refusal.Reason]++
	}
}

func (c *counters) synced(took time.Duration, err error) {
	if err != nil {
		c.syncFailures.Add(1)
	}
	c.syncs.Add(1)
	c.syncNanos.Add(took.Nanoseconds())
}

// stamp shows a time in milliseconds to people.
func stamp(t int64) string { return time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.000Z") }
