package block

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/novacron/novacron/tsdb/engine"
)

// Options are for opening a block.
type Options struct {
	// Times is a cache to share with other blocks; nil makes a small one.
	Times *TimesCache
}

// Block is an open block. All methods may be called at the same time. Files stay mapped until it is closed and the
// last reader has gone.
type Block struct {
	dir        string
	meta       Meta
	segments   [][]byte
	index      *mappedIndex
	times      *TimesCache
	serial     uint64 // names the block in the cache
	quarantine quarantine
	sound      soundness

	deleting   sync.Mutex // held while tombstones are written
	tombstones atomic.Pointer[tombstones]
	hidden     hiddenMemo

	mu     sync.Mutex
	refs   int // readers, and one for the owner until Close
	closed bool
}

// timesKept is the size of the cache of a block that is not given one.
const timesKept = 512

// Open maps the files of a block. Files that are missing, cut short or of another version are an error.
func Open(dir string, options Options) (*Block, error) {
	meta, err := ReadMeta(dir)
	if err != nil {
		return nil, err
	}
	b := &Block{dir: dir, meta: meta, times: options.Times, refs: 1}
	if b.times == nil {
		b.times = NewTimesCache(timesKept)
	}
	b.serial = b.times.blocks.Add(1)
	if err := b.mapFiles(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening block %s: %w", dir, err), b.release())
	}
	return b, nil
}

// mapFiles opens what the meta lists, and the tombstones.
func (b *Block) mapFiles() error {
	stones, err := readTombstones(filepath.Join(b.dir, tombstonesName))
	if err != nil {
		return err
	}
	b.tombstones.Store(stones)
	var paths []string
	var sizes []int64
	for _, file := range b.meta.Files {
		switch {
		case file.Name == indexName && b.index == nil:
			if b.index, err = openIndex(filepath.Join(b.dir, file.Name), file.Size); err != nil {
				return err
			}
		case file.Name == segmentName(len(paths)):
			paths, sizes = append(paths, filepath.Join(b.dir, file.Name)), append(sizes, file.Size)
		default:
			return fmt.Errorf("%s lists a file %q that is not expected there", metaName, strings.ToValidUTF8(file.Name, "?"))
		}
	}
	if b.index == nil {
		return fmt.Errorf("%s lists no %s", metaName, indexName)
	}
	if n := uint64(b.index.Len()); n != b.meta.Series {
		return fmt.Errorf("the index has %d series, %s says %d", n, metaName, b.meta.Series)
	}
	b.segments, err = mapSegments(paths, sizes)
	return err
}

// Meta says what is in the block. Its slices are not to be changed.
func (b *Block) Meta() Meta { return b.meta }

// Dir is the folder of the block.
func (b *Block) Dir() string { return b.dir }

// Acquire keeps the block mapped until Release; false when it is closed.
func (b *Block) Acquire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.refs++
	return true
}

// Release ends what Acquire began.
func (b *Block) Release() error {
	b.mu.Lock()
	b.refs--
	last := b.refs == 0
	b.mu.Unlock()
	if last {
		return b.release()
	}
	return nil
}

// Close lets nobody acquire the block any more; who holds it reads on. The files are unmapped now, or when the last reader has gone.
func (b *Block) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	return b.Release()
}

// release unmaps everything.
func (b *Block) release() (err error) {
	if b.index != nil {
		err = b.index.close()
	}
	return errors.Join(err, unmap(b.segments))
}

// enter is Acquire for a reader who may hold the block already, which lets it in after Close; the error says why not.
func (b *Block) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refs == 0 {
		return fmt.Errorf("block %s: %w", b.meta.ID, engine.ErrClosed)
	}
	b.refs++
	return nil
}
