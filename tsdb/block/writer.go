package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/merge"
)

// Chunk is a run of samples of one series. A Writer looks at its kind, bounds, count and bytes alone.
type Chunk = merge.Chunk

// Writer makes a block. Its memory does not grow with the samples; with the series grows only what the index needs.
// It must be ended with Commit or Abort, and is not for concurrent use.
type Writer struct {
	parent, dir string
	meta        Meta
	segments    segments
	columns     *columns
	index       *index.Writer
	last        labels.Labels
	entry, head []byte
	text        []byte
	failed      error
	ended       bool
	// step is told before each step of Commit; an error there stops everything as a power cut would.
	step func(name string) error
}

// Create begins a block in a folder of blocks. Of the meta, times, counts and files are found out while writing, and
// the id when it is the nil one.
func Create(parent string, meta Meta) (*Writer, error) {
	return create(parent, meta, maxSegment)
}

func create(parent string, meta Meta, segment int64) (w *Writer, err error) {
	if meta.ID == uuid.Nil {
		if meta.ID, err = uuid.NewV7(); err != nil {
			return nil, err
		}
	}
	meta.MinTime, meta.MaxTime = math.MaxInt64, math.MinInt64
	meta.Series, meta.Chunks, meta.Samples, meta.Bytes, meta.Files = 0, 0, 0, 0, nil
	meta.Version = versionFirst
	w = &Writer{parent: parent, dir: filepath.Join(parent, meta.ID.String()+unfinished), meta: meta, columns: newColumns(columnsKept)}
	w.segments = segments{dir: w.dir, limit: segment}
	w.step = func(string) error { return nil }
	if err = os.Mkdir(w.dir, 0o750); err != nil {
		return nil, err
	}
	w.index = index.NewWriter(w.dir)
	return w, nil
}

// Add writes a series, after those with lesser labels. Its chunks are in order of time and do not overlap; the writer
// keeps none of their bytes. After an error the writer can only be aborted.
func (w *Writer) Add(lset labels.Labels, chunks []Chunk) error {
	if w.failed == nil && !w.ended {
		w.failed = w.add(lset, chunks)
	}
	if w.ended {
		return errors.New("the block is finished: nothing can be added")
	}
	return w.failed
}

func (w *Writer) add(lset labels.Labels, chunks []Chunk) error {
	if len(chunks) == 0 {
		return fmt.Errorf("series %s has no chunk: leave it out", lset)
	}
	if w.meta.Series > 0 && labels.Compare(w.last, lset) >= 0 {
		return fmt.Errorf("series %s comes after %s: add them in the order of their labels, each once", lset, w.last)
	}
	if w.meta.Series == math.MaxUint32 {
		return fmt.Errorf("series %s: a block takes %d series", lset, uint32(math.MaxUint32))
	}
	var state entryState
	w.entry = binary.AppendUvarint(w.entry[:0], uint64(len(chunks)))
	for i := range chunks {
		c := chunks[i]
		if err := checkChunk(&c, chunks[:i]); err != nil {
			return fmt.Errorf("series %s, chunk %d: %w", lset, i, err)
		}
		if err := w.put(&c); err != nil {
			return fmt.Errorf("series %s, chunk %d: %w", lset, i, err)
		}
		w.entry = state.appendChunk(w.entry, &c)
		w.meta.Samples += uint64(c.Count)
		w.meta.Version = max(w.meta.Version, versionOf(&c))
	}
	w.entry, w.text = sealEntry(w.entry, lset, w.text)
	w.meta.MinTime = min(w.meta.MinTime, chunks[0].Min)
	w.meta.MaxTime = max(w.meta.MaxTime, chunks[len(chunks)-1].Max)
	w.meta.Chunks += uint64(len(chunks))
	w.meta.Series++
	w.last = lset
	return w.index.Add(lset, w.entry)
}

// checkChunk holds a chunk against its promises; before are those already written.
func checkChunk(c *Chunk, before []Chunk) error {
	switch {
	case c.Raw != nil || c.Kind < chunk.KindXOR || c.Kind > chunk.LastKind:
		return fmt.Errorf("kind %d cannot be stored: encode it as one of the kinds %d to %d", c.Kind, chunk.KindXOR, chunk.LastKind)
	case c.Count < 1 || c.Count > chunk.MaxSamples:
		return fmt.Errorf("%d samples: a chunk has 1 to %d", c.Count, chunk.MaxSamples)
	case c.Min > c.Max || len(c.Values) == 0:
		return fmt.Errorf("times %d to %d (milliseconds) in %d bytes make no sense", c.Min, c.Max, len(c.Values))
	case c.Kind.IsDense() != (len(c.Times) > 0):
		return fmt.Errorf("kind %d with a time column of %d bytes: dense chunks have one, others have none", c.Kind, len(c.Times))
	case len(before) > 0 && before[len(before)-1].Max >= c.Min:
		return fmt.Errorf("begins at %d, the chunk before ends at %d: chunks of a series come in order of time and do not overlap", c.Min, before[len(before)-1].Max)
	}
	return nil
}

// put writes the columns of a chunk and notes their places in it.
func (w *Writer) put(c *Chunk) (err error) {
	if c.Kind.IsDense() {
		if c.TimesAt, err = w.putColumn(columnHead{c.Min, c.Max, c.Count}, c.Times); err != nil {
			return err
		}
	}
	c.ValuesAt, err = w.segments.put(c.Values)
	return err
}

func (w *Writer) putColumn(head columnHead, times []byte) (uint64, error) {
	place, key, ok := w.columns.find(head, times)
	if ok {
		return place, nil
	}
	w.head = head.append(w.head[:0])
	length := binary.AppendUvarint(nil, uint64(len(w.head)+len(times)))
	place, err := w.segments.put(length, w.head, times)
	if err == nil {
		w.columns.keep(key, head, times, place)
	}
	return place, err
}

// Commit makes the block durable and visible, and tells what is in it. With no series it is ErrEmpty. After an error
// there is no block.
func (w *Writer) Commit() (Meta, error) {
	err := w.failed
	switch {
	case w.ended:
		return Meta{}, errors.New("the block is finished already")
	case err == nil && w.meta.Series == 0:
		err = ErrEmpty
	}
	if err == nil {
		err = w.commit()
	}
	if err != nil && !w.ended {
		err = errors.Join(err, w.Abort())
	}
	return w.meta, err
}

// commit is the steps of Commit. Whatever happens between two of them, a block is there as a whole or not at all.
func (w *Writer) commit() error {
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"chunks", w.segments.finish},
		{"index", func() error { return writeIndex(w.index, filepath.Join(w.dir, indexName)) }},
		{"sizes", w.measure},
		{"meta", w.writeMeta},
		{"folder", func() error { return syncDir(w.dir) }},
		{"rename", func() error { return os.Rename(w.dir, w.final()) }},
		{"parent", func() error { return syncDir(w.parent) }},
	} {
		if err := w.step(s.name); err != nil {
			w.ended = true
			return err
		}
		if err := s.do(); err != nil {
			return fmt.Errorf("writing block %s, step %q: %w", w.meta.ID, s.name, err)
		}
	}
	w.ended = true
	return nil
}

func (w *Writer) final() string { return filepath.Join(w.parent, w.meta.ID.String()) }

// measure notes the sizes of all files.
func (w *Writer) measure() error {
	info, err := os.Stat(filepath.Join(w.dir, indexName))
	if err != nil {
		return err
	}
	w.meta.Files = append([]File{{indexName, info.Size()}}, w.segments.done...)
	for _, file := range w.meta.Files {
		w.meta.Bytes += uint64(file.Size)
	}
	return nil
}

func (w *Writer) writeMeta() error {
	text, err := w.meta.encode()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(w.dir, metaName), text)
}

// Abort gives the block up and removes what was written.
func (w *Writer) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	w.segments.abandon()
	return errors.Join(w.index.Close(), os.RemoveAll(w.dir), os.RemoveAll(w.final()))
}
