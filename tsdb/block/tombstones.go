package block

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/merge"
)

// tombstonesHeader begins the file: a name and the version.
const tombstonesHeader = "NCTS\x01\x00\x00\x00"

// tombstones are what was deleted from a block. They are never changed, but replaced.
type tombstones struct{ stones []stone }

// stone is a span of time and the series whose samples in it are deleted.
type stone struct {
	merge.Interval
	series *roaring.Bitmap
}

// of appends the spans that are deleted from a series, joined.
func (t *tombstones) of(dst []merge.Interval, series uint32) []merge.Interval {
	dst = dst[:0]
	for i := range t.stones {
		if t.stones[i].series.Contains(series) {
			dst = append(dst, t.stones[i].Interval)
		}
	}
	if len(dst) > 1 {
		dst = merge.Join(dst)
	}
	return dst
}

// with returns tombstones that also have one more.
func (t *tombstones) with(more stone) *tombstones {
	next := &tombstones{}
	for _, old := range t.stones {
		switch {
		case old.Interval == more.Interval:
			more.series = roaring.Or(old.series, more.series)
		case more.Contains(old.Interval):
			if left := roaring.AndNot(old.series, more.series); !left.IsEmpty() {
				next.stones = append(next.stones, stone{old.Interval, left})
			}
		default:
			next.stones = append(next.stones, old)
		}
	}
	next.stones = append(next.stones, more)
	return next
}

func (t *tombstones) encode() ([]byte, error) {
	text := []byte(tombstonesHeader)
	text = binary.AppendUvarint(text, uint64(len(t.stones)))
	for _, s := range t.stones {
		text = binary.AppendVarint(text, s.Min)
		text = binary.AppendUvarint(text, uint64(s.Max-s.Min))
		bitmap, err := s.series.ToBytes()
		if err != nil {
			return nil, err
		}
		text = binary.AppendUvarint(text, uint64(len(bitmap)))
		text = append(text, bitmap...)
	}
	return binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli)), nil
}

var errTombstones = errors.New("the file does not agree with its checksum: restore it; removing it brings back what was deleted")

func decodeTombstones(text []byte) (*tombstones, error) {
	n := len(text) - sumSize
	if n < len(tombstonesHeader) || crc32.Checksum(text[:n], castagnoli) != binary.LittleEndian.Uint32(text[n:]) {
		return nil, errTombstones
	}
	if string(text[:len(tombstonesHeader)]) != tombstonesHeader {
		return nil, fmt.Errorf("the file begins with %q, tombstones of this version with %q", text[:len(tombstonesHeader)], tombstonesHeader)
	}
	in := reader{b: text[len(tombstonesHeader):n]}
	t := &tombstones{}
	for left := in.uvarint(); left > 0 && !in.bad; left-- {
		var s stone
		s.Min = in.varint()
		s.Max = s.Min + int64(in.uvarint())
		size := in.uvarint()
		if in.bad || size > uint64(len(in.b)) {
			return nil, errTombstones
		}
		s.series = roaring.New()
		if err := s.series.UnmarshalBinary(in.b[:size]); err != nil {
			return nil, fmt.Errorf("a set of series: %w", err)
		}
		in.b = in.b[size:]
		t.stones = append(t.stones, s)
	}
	if in.bad || len(in.b) > 0 {
		return nil, errTombstones
	}
	return t, nil
}

// readTombstones reads the file, which is only there when something was deleted.
func readTombstones(path string) (*tombstones, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &tombstones{}, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := decodeTombstones(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Delete hides the samples between two times, both inclusive, of the series that match, from all reads that begin when
// it has returned; with an error, nothing is deleted. Their space is freed by the next merge.
func (b *Block) Delete(minT, maxT int64, matchers ...*labels.Matcher) (err error) {
	span := merge.Interval{Min: max(minT, b.meta.MinTime), Max: min(maxT, b.meta.MaxTime)}
	if span.Min > span.Max {
		return nil
	}
	if err := b.enter(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Release()) }()
	found, _, err := b.find(context.Background(), matchers)
	if err != nil || found.IsEmpty() {
		return err
	}
	b.deleting.Lock()
	defer b.deleting.Unlock()
	return b.replaceTombstones(b.tombstones.Load().with(stone{span, found}))
}

// Deleted returns the joined spans of time that are deleted from a series, in dst.
func (b *Block) Deleted(dst []merge.Interval, series uint32) []merge.Interval {
	return b.tombstones.Load().of(dst, series)
}

// Tombstones is the number of series from which something is deleted.
func (b *Block) Tombstones() uint64 {
	all := roaring.New()
	for _, s := range b.tombstones.Load().stones {
		all.Or(s.series)
	}
	return all.GetCardinality()
}
