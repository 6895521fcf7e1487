package block

import (
	"sync"
	"sync/atomic"

	"github.com/novacron/novacron/tsdb/chunk"
)

// TimesCache keeps decoded time columns for the readers of all blocks that it is given to: series of one scrape share
// their column. It may be used by many goroutines.
type TimesCache struct {
	slots  []atomic.Pointer[column]
	blocks atomic.Uint64
	heads  sync.Pool // of *headsMemo
}

// NewTimesCache makes a cache for at least so many columns, each of some KiB at most.
func NewTimesCache(columns int) *TimesCache {
	n := 1
	for n < columns {
		n *= 2
	}
	return &TimesCache{slots: make([]atomic.Pointer[column], n), heads: sync.Pool{New: func() any { return new(headsMemo) }}}
}

// column is a time column of a block, checked.
type column struct {
	columnHead
	block, place uint64
	raw          []byte // lies in the mapped file
	size         uint64 // of the record
	uses         atomic.Uint32
	decoded      atomic.Pointer[[]int64]
}

// slot is where a column is, when it is there.
func (c *TimesCache) slot(block, place uint64) *atomic.Pointer[column] {
	hash := (place + block<<40) * 0x9e3779b97f4a7c15
	return &c.slots[hash>>32&uint64(len(c.slots)-1)]
}

// find returns a column that the cache has, or reads it.
func (c *TimesCache) find(block, place uint64, read func(place uint64) (*column, error)) (*column, error) {
	slot := c.slot(block, place)
	if found := slot.Load(); found != nil && found.place == place && found.block == block {
		return found, nil
	}
	found, err := read(place)
	if err != nil {
		return nil, err
	}
	found.block, found.place = block, place
	slot.Store(found)
	return found, nil
}

// times decodes the column: into buf for its first user, and for the next ones into memory that they share.
func (c *column) times(buf []int64) ([]int64, error) {
	if shared := c.decoded.Load(); shared != nil {
		return *shared, nil
	}
	if c.uses.Add(1) == 1 {
		return chunk.DecodeTimes(buf, c.raw, c.count)
	}
	shared, err := chunk.DecodeTimes(make([]int64, 0, c.count), c.raw, c.count)
	if err == nil {
		c.decoded.Store(&shared)
	}
	return shared, err
}
