package durable

import (
	"maps"
	"math"
	"os"
	"time"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/rollup"
)

// Stats say what a store has and did since it was opened.
type Stats struct {
	Series int
	// HeadBytes is the memory of the samples that are too young for a block, free pieces included.
	HeadBytes int64
	// Stored and Refused count samples; new series that were refused are not among them.
	Stored  int64
	Refused map[engine.Reason]int64
	// LogSyncs, LogSyncTime and LogSyncFailures are of bringing the log to stable storage, LogFailures batches that
	// the log did not take, LogBytes the size of its files.
	LogSyncs, LogSyncFailures, LogFailures, LogBytes int64
	LogSyncTime                                      time.Duration
	// Damaged counts damage that was met and left out.
	Damaged int64
	Blocks  []block.Meta
	// Unreadable are the folders of blocks that could not be opened, with the reason.
	Unreadable map[string]error
	// SealedUntil is the time in milliseconds before which no sample is taken; the least number where there is none.
	SealedUntil int64
	// Unrolled is how many imported blocks wait for their windows. It is negative while upkeep is going on.
	Unrolled int
}

// Stats looks at the store.
func (s *Store) Stats() Stats {
	stats := Stats{
		Series: s.index.Len(), HeadBytes: s.head.slabs.bytes(), Stored: s.counters.stored.Load(), Refused: s.counters.refusals(),
		LogSyncs: s.counters.syncs.Load(), LogSyncFailures: s.counters.syncFailures.Load(), LogFailures: s.counters.logFailures.Load(),
		LogSyncTime: time.Duration(s.counters.syncNanos.Load()), LogBytes: s.logBytes(), Damaged: s.counters.damaged.Load(),
		Blocks: s.blocks.metas(), Unreadable: maps.Clone(s.blocks.unreadable), Unrolled: -1,
	}
	s.life.RLock()
	stats.SealedUntil = s.sealed
	s.life.RUnlock()
	if s.upkeep.TryLock() {
		stats.Unrolled = len(s.unrolled.blocks)
		s.upkeep.Unlock()
	}
	return stats
}

func (c *counters) refusals() map[engine.Reason]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.refused)
}

// logBytes is the size of the files of the log, damaged parts that were set aside included.
func (s *Store) logBytes() (bytes int64) {
	entries, err := os.ReadDir(s.path("log"))
	if err != nil {
		return 0
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// BlockFolders are the folders of all blocks, readable or not, for verification and dumps.
func (s *Store) BlockFolders() ([]string, error) { return block.List(s.path("blocks")) }

// Since says from which time on, in milliseconds, each tier has all that the store was told: the least number where
// nothing of it is gone. What is not rolled up yet counts, since it is made while reading.
func (s *Store) Since() (since [3]int64) {
	raw, _ := s.head.bounds()
	oldest := [3]int64{raw, math.MaxInt64, math.MaxInt64}
	for _, b := range s.blocks.list() {
		m := b.Meta()
		oldest[m.Tier] = min(oldest[m.Tier], m.MinTime-m.Tier.Window())
	}
	for tier, t := range oldest {
		if t == math.MaxInt64 {
			oldest[tier] = oldest[engine.TierRaw]
		}
	}
	first := min(oldest[0], oldest[1], oldest[2])
	for tier, t := range oldest {
		// The first window of an hour begins before the first sample.
		if since[tier] = t; t <= rollup.EndOf(first+1, engine.TierHour.Window()) {
			since[tier] = math.MinInt64
		}
	}
	return since
}
