package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// cachedTimes is how many decoded time columns all blocks together keep.
const cachedTimes = 1024

// blockSet is the open blocks of a folder.
type blockSet struct {
	dir  string
	open block.Options
	log  *slog.Logger

	mu  sync.RWMutex
	all []*block.Block
	// unreadable are the folders that could not be opened, with the reason.
	unreadable map[string]error
}

// openBlocks opens the blocks in a folder. One that cannot be read is told and left where it is.
func openBlocks(dir string, options Options) (*blockSet, error) {
	set := &blockSet{dir: dir, log: options.Log, unreadable: map[string]error{}, open: block.Options{Times: block.NewTimesCache(cachedTimes)}}
	if !options.ReadOnly {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
		if err := block.Clean(dir); err != nil {
			return nil, err
		}
	}
	folders, err := block.List(dir)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if err := set.add(folder); err != nil {
			set.unreadable[folder] = err
			options.Log.Error("a block cannot be read and is left out; check it with verify", "block", folder, "error", err)
		}
	}
	return set, set.removeReplaced(options.ReadOnly)
}

func (set *blockSet) add(folder string) error {
	b, err := block.Open(folder, set.open)
	if err != nil {
		return err
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	set.all = append(set.all, b)
	return nil
}

// removeReplaced takes out the blocks that a merge has replaced: a crash came before they were removed.
func (set *blockSet) removeReplaced(keep bool) error {
	var gone []*block.Block
	for _, d := range block.Deletions(set.metas(), 0, block.Policy{}) {
		gone = append(gone, set.find(d.Block.ID))
	}
	if keep {
		return set.forget(gone)
	}
	return set.remove(gone...)
}

func (set *blockSet) metas() []block.Meta {
	var metas []block.Meta
	for _, b := range set.list() {
		metas = append(metas, b.Meta())
	}
	return metas
}

// find returns the block with an id, or nil.
func (set *blockSet) find(id uuid.UUID) *block.Block {
	for _, b := range set.list() {
		if m := b.Meta(); m.ID == id {
			return b
		}
	}
	return nil
}

// list returns the blocks there are.
func (set *blockSet) list() []*block.Block {
	set.mu.RLock()
	defer set.mu.RUnlock()
	return slices.Clone(set.all)
}

// acquire keeps the blocks of a tier that reach into the bounds open; the caller releases each. It also tells through
// what time the tier's blocks go at that moment.
func (set *blockSet) acquire(tier engine.Tier, minT, maxT int64) (held []*block.Block, through int64) {
	set.mu.RLock()
	defer set.mu.RUnlock()
	for _, b := range set.all {
		if m := b.Meta(); m.Tier == tier && m.MinTime <= maxT && m.MaxTime >= minT && b.Acquire() {
			held = append(held, b)
		}
	}
	return held, rolledThrough(set.all, tier)
}

// replace puts new blocks in the place of old ones, in one step for all readers. Where a new one cannot be opened, all
// stays as it was and the new ones go.
func (set *blockSet) replace(folders []string, old []*block.Block) error {
	var opened []*block.Block
	for _, folder := range folders {
		b, err := block.Open(folder, set.open)
		if err != nil {
			return errors.Join(err, closeAll(opened), removeDirs(folders))
		}
		opened = append(opened, b)
	}
	set.mu.Lock()
	set.all = append(slices.DeleteFunc(slices.Clone(set.all), func(b *block.Block) bool { return slices.Contains(old, b) }), opened...)
	set.mu.Unlock()
	return removeAll(old)
}

// remove takes blocks out of the set and off the disk.
func (set *blockSet) remove(gone ...*block.Block) error {
	if err := set.forget(gone); err != nil {
		return err
	}
	return removeFolders(gone)
}

func (set *blockSet) forget(gone []*block.Block) error {
	set.mu.Lock()
	set.all = slices.DeleteFunc(slices.Clone(set.all), func(b *block.Block) bool { return slices.Contains(gone, b) })
	set.mu.Unlock()
	return closeAll(gone)
}

func removeAll(blocks []*block.Block) error {
	return errors.Join(closeAll(blocks), removeFolders(blocks))
}

func removeFolders(blocks []*block.Block) error {
	var dirs []string
	for _, b := range blocks {
		dirs = append(dirs, b.Dir())
	}
	return removeDirs(dirs)
}

func removeDirs(dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, block.Remove(dir))
	}
	return errors.Join(errs...)
}

func closeAll(blocks []*block.Block) error {
	var errs []error
	for _, b := range blocks {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

func (set *blockSet) close() error {
	set.mu.Lock()
	defer set.mu.Unlock()
	all := set.all
	set.all = nil
	return closeAll(all)
}

// sealedThrough is the time before which the head has nothing that the blocks do not have.
func (set *blockSet) sealedThrough() int64 {
	through := int64(math.MinInt64)
	for _, b := range set.list() {
		if m := b.Meta(); m.SealedUntil != nil {
			through = max(through, *m.SealedUntil)
		}
	}
	return through
}

// nextSequence is a generation above those of all blocks.
func (set *blockSet) nextSequence() uint64 {
	next := uint64(1)
	for _, b := range set.list() {
		m := b.Meta()
		next = max(next, m.Sequence+1)
	}
	return next
}

// bounds are the times of the oldest and the newest sample. Windows count for what is older than all raw samples: the
// last one ends later than its samples.
func (set *blockSet) bounds() (minT, maxT int64) {
	minT, maxT = math.MaxInt64, math.MinInt64
	lastEnd := int64(math.MinInt64)
	for _, b := range set.list() {
		m := b.Meta()
		minT = min(minT, m.MinTime)
		if m.Tier == engine.TierRaw {
			maxT = max(maxT, m.MaxTime)
		} else {
			lastEnd = max(lastEnd, m.MaxTime)
		}
	}
	if maxT == math.MinInt64 {
		maxT = lastEnd
	}
	return minT, maxT
}

// blockStream yields the series of a block.
type blockStream struct {
	block    *block.Block
	sequence uint64
	set      *block.Set
	skip     merge.Skip
}

func newBlockStream(ctx context.Context, b *block.Block, sel engine.Selection, skip merge.Skip) (*blockStream, error) {
	set, err := b.Select(ctx, sel.Matchers, sel.Min, sel.Max)
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", b.Meta().ID, err)
	}
	set.OnDamage(skip)
	set.MarkOnly()
	m := b.Meta()
	return &blockStream{b, m.Sequence, set, skip}, nil
}

func (st *blockStream) next() bool { return st.set.Next() }
func (st *blockStream) series() (labels.Labels, locus) {
	return st.set.Labels(), locus{uint64(st.set.Ordinal()), st.set.Mark()}
}
func (st *blockStream) err() error { return st.set.Err() }

func (st *blockStream) sources(dst *parts, at locus, minT, maxT int64) (err error) {
	series, n := uint32(at.number), len(dst.chunks)
	dst.chunks, err = st.block.AppendFrom(dst.chunks, series, at.mark, merge.Interval{Min: minT, Max: maxT}, st.skip)
	if err != nil {
		if err = st.skip(err); err != nil {
			return err
		}
	}
	dst.addChunks(n, st.sequence, st.block.Deleted(nil, series))
	return nil
}
