package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/novacron/novacron/tsdb/merge"
)

var (
	errChecksum = errors.New("the bytes do not agree with their checksum")
	errOutside  = errors.New("the index points outside of the file")
)

// bytesAt are the bytes of a record with their checksum behind them.
func (b *Block) bytesAt(place, size uint64) ([]byte, error) {
	segment, offset := segmentOf(place), uint64(offsetOf(place))
	if segment >= len(b.segments) || size > maxSegment || offset+size+sumSize > uint64(len(b.segments[segment])) {
		return nil, errOutside
	}
	return b.segments[segment][offset : offset+size : offset+size+sumSize], nil
}

// checkSum compares the bytes of a record with the checksum behind them.
func checkSum(record []byte) error {
	sum := record[len(record) : len(record)+sumSize]
	if crc32.Checksum(record, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return errChecksum
	}
	return nil
}

// readColumn reads the time column at a place.
func (b *Block) readColumn(place uint64) (*column, error) {
	segment, offset := segmentOf(place), offsetOf(place)
	if segment >= len(b.segments) || offset >= int64(len(b.segments[segment])) {
		return nil, errOutside
	}
	size, n := binary.Uvarint(b.segments[segment][offset:])
	if n <= 0 || size > maxSegment {
		return nil, errColumn
	}
	record, err := b.bytesAt(place, uint64(n)+size)
	if err != nil {
		return nil, err
	}
	if err := checkSum(record); err != nil {
		return nil, err
	}
	head, times, err := readColumn(record[n:])
	return &column{columnHead: head, raw: times, size: uint64(len(record)) + sumSize}, err
}

func (b *Block) column(place uint64) (*column, error) {
	return b.times.find(b.serial, place, b.readColumn)
}

// chunkAt makes a chunk of what an entry says.
func (b *Block) chunkAt(series uint32, i item) (merge.Chunk, error) {
	c := merge.Chunk{
		Kind: i.kind, Min: i.min, Max: i.max, Count: i.count,
		Origin: b, TimesAt: i.column, ValuesAt: i.values, Series: series,
	}
	var err error
	c.Values, err = b.bytesAt(i.values, i.size)
	return c, err
}

func (b *Block) appendChunks(dst []Chunk, series uint32, entry []byte, span merge.Interval, skip merge.Skip) ([]Chunk, error) {
	m, err := b.mark(series, entry)
	if err != nil {
		return dst, err
	}
	return b.AppendFrom(dst, series, m, span, skip)
}

// mark is the beginning of an entry's list of chunks.
func (b *Block) mark(series uint32, entry []byte) (Mark, error) {
	in, n, err := openEntry(entry)
	if err != nil {
		return Mark{}, b.damagedEntry(series, err)
	}
	return Mark{in: in, left: n}, nil
}

// AppendFrom appends the chunks of a series that overlap a span of time, from a mark on that a Set has told. A damaged
// entry is a *DamageError, and chunks whose time columns are damaged are told to skip: nil goes on without such a chunk,
// and so does no skip with the error at the end. The block must be kept open meanwhile, and while the chunks are used.
func (b *Block) AppendFrom(dst []Chunk, series uint32, m Mark, span merge.Interval, skip merge.Skip) ([]Chunk, error) {
	for {
		i, found, err := b.nextChunk(&m, nil, series, span, skip, nil)
		if err != nil || !found {
			return dst, err
		}
		c, err := b.chunkAt(series, i)
		if err != nil {
			if err = b.skipOr(skip, b.damaged(series, i.values, err)); err != nil {
				return dst, err
			}
			continue
		}
		dst = append(dst, c)
	}
}

// nextChunk goes behind the next chunk that overlaps a span, false where there is none, and leaves a mark before it.
// Chunks are in order of time, so what comes behind the span is not looked at. Mark and memo may be nil.
func (b *Block) nextChunk(m, before *Mark, series uint32, span merge.Interval, skip merge.Skip, heads *headsMemo) (item, bool, error) {
	for ; m.left > 0; m.left-- {
		if before != nil {
			*before = *m
		}
		i := m.state.next(&m.in)
		if m.in.bad {
			return i, false, b.damagedEntry(series, errEntryShort)
		}
		if err := b.bounds(&i, &m.state, heads); err != nil {
			if err = b.skipOr(skip, b.damaged(series, i.column, err)); err != nil {
				return i, false, err
			}
			continue
		}
		if i.min > span.Max {
			break
		}
		if i.max >= span.Min {
			m.left--
			return i, true, nil
		}
	}
	return item{}, false, nil
}

func (b *Block) skipOr(skip merge.Skip, damage error) error {
	if skip == nil {
		return damage
	}
	return skip(damage)
}

// bounds completes a dense chunk with what its time column says, which the memo may know.
func (b *Block) bounds(i *item, state *entryState, heads *headsMemo) error {
	if !i.kind.IsDense() {
		return nil
	}
	head, known := heads.find(b.serial, i.column)
	if !known {
		column, err := b.column(i.column)
		if err != nil {
			return err
		}
		head = column.columnHead
		heads.keep(b.serial, i.column, head)
	}
	i.min, i.max, i.count = head.min, head.max, head.count
	state.max = head.max
	return nil
}

var _ merge.Origin = (*Block)(nil)

// Check satisfies merge.Origin.
func (b *Block) Check(c *Chunk) error {
	if err := checkSum(c.Values); err != nil {
		return b.damaged(c.Series, c.ValuesAt, err)
	}
	return nil
}

// Times satisfies merge.Origin.
func (b *Block) Times(c *Chunk, buf []int64) ([]int64, error) {
	column, err := b.column(c.TimesAt)
	if err != nil {
		return nil, err
	}
	return column.times(buf)
}

// load checks the bytes of a chunk and completes it with those of its time column.
func (b *Block) load(c *Chunk) error {
	if err := b.Check(c); err != nil || !c.Kind.IsDense() {
		return err
	}
	column, err := b.column(c.TimesAt)
	if err != nil {
		return b.damaged(c.Series, c.TimesAt, err)
	}
	c.Times = column.raw
	return nil
}

// Damaged satisfies merge.Origin.
func (b *Block) Damaged(c *Chunk, why error) error {
	var known *DamageError
	if errors.As(why, &known) {
		return why
	}
	return b.damaged(c.Series, c.ValuesAt, fmt.Errorf("a chunk of kind %d: %w", c.Kind, why))
}
