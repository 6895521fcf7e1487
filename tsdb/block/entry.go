package block

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// The entry of a series in the index is its list of chunks. Numbers are differences to what is expected, so that most
// of them take one byte.

// entryState is what the next chunk of an entry is compared with.
type entryState struct {
	max    int64  // end of the chunk before
	column uint64 // place of the time column before
	values uint64 // place after the values before
}

// appendChunk appends one chunk to an entry.
func (s *entryState) appendChunk(dst []byte, c *merge.Chunk) []byte {
	dst = append(dst, byte(c.Kind))
	if c.Kind.IsDense() {
		dst = binary.AppendVarint(dst, int64(c.TimesAt-s.column))
		s.column = c.TimesAt
	} else {
		dst = binary.AppendVarint(dst, c.Min-s.max)
		dst = binary.AppendUvarint(dst, uint64(c.Max-c.Min))
		dst = binary.AppendUvarint(dst, uint64(c.Count))
	}
	dst = binary.AppendVarint(dst, int64(c.ValuesAt-s.values))
	dst = binary.AppendUvarint(dst, uint64(len(c.Values)))
	s.max, s.values = c.Max, c.ValuesAt+uint64(len(c.Values))+sumSize
	return dst
}

// sumsSize is the length of the two checksums at the end of an entry: of the list, and of the labels.
const sumsSize = 2 * sumSize

// sealEntry appends the checksums, and returns memory to give to the next call.
func sealEntry(entry []byte, lset labels.Labels, text []byte) (sealed, memory []byte) {
	text = labelText(text[:0], lset)
	entry = binary.LittleEndian.AppendUint32(entry, crc32.Checksum(entry, castagnoli))
	return binary.LittleEndian.AppendUint32(entry, crc32.Checksum(text, castagnoli)), text
}

// labelText is the labels as their checksum is made of: names and values, each with a byte that no text has behind it.
func labelText(dst []byte, lset labels.Labels) []byte {
	lset.Range(func(l labels.Label) {
		dst = append(append(dst, l.Name...), 0xff)
		dst = append(append(dst, l.Value...), 0xff)
	})
	return dst
}

// checkLabels compares labels with those that the entry was written with.
func checkLabels(entry []byte, lset labels.Labels, text []byte) (memory []byte, err error) {
	if len(entry) < sumsSize {
		return text, errEntryShort
	}
	text = labelText(text[:0], lset)
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(entry[len(entry)-sumSize:]) {
		return text, errLabels
	}
	return text, nil
}

var (
	errEntrySum   = errors.New("the entry of the series in the index does not agree with its checksum")
	errLabels     = errors.New("the labels of the series in the index do not agree with their checksum")
	errEntryShort = errors.New("the entry of the series in the index is cut short")
)

// openEntry checks the entry and returns its list of chunks.
func openEntry(entry []byte) (reader, int, error) {
	n := len(entry) - sumsSize
	if n < 0 {
		return reader{}, 0, errEntryShort
	}
	if crc32.Checksum(entry[:n], castagnoli) != binary.LittleEndian.Uint32(entry[n:]) {
		return reader{}, 0, errEntrySum
	}
	in := reader{b: entry[:n]}
	count := in.uvarint()
	if in.bad || count > uint64(n) {
		return reader{}, 0, errEntryShort
	}
	return in, int(count), nil
}

// item is a chunk as an entry has it; of a dense one, bounds and count are with its time column.
type item struct {
	kind           chunk.Kind
	min, max       int64
	count          int
	column, values uint64
	size           uint64
}

// next reads one chunk of an entry.
func (s *entryState) next(in *reader) item {
	var c item
	var x, y uint64
	b := in.b
	if len(b) == 0 {
		in.bad = true
		return c
	}
	c.kind, b = chunk.Kind(b[0]), b[1:]
	x, b = take(b)
	if c.kind.IsDense() {
		s.column += uint64(unzigzag(x))
		c.column = s.column
	} else {
		c.min = s.max + unzigzag(x)
		x, b = take(b)
		c.max = c.min + int64(x)
		s.max = c.max
		x, b = take(b)
		c.count = int(x)
		in.bad = in.bad || x == 0 || x > chunk.MaxSamples
	}
	x, b = take(b)
	y, b = take(b)
	c.values, c.size = s.values+uint64(unzigzag(x)), y
	s.values = c.values + c.size + sumSize
	in.b, in.bad = b, in.bad || b == nil
	return c
}

// take takes a uvarint off the front of bytes; nothing is left, not even an empty slice, where there is none.
func take(b []byte) (uint64, []byte) {
	if len(b) > 0 && b[0] < 0x80 { // most are as short
		return uint64(b[0]), b[1:]
	}
	return takeLong(b)
}

func takeLong(b []byte) (uint64, []byte) {
	x, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil
	}
	return x, b[n:]
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// Mark is a place in the list of chunks of a series, from which on it is read while its block is held.
type Mark struct {
	in    reader
	left  int
	state entryState
}

// reader takes numbers off the front of bytes. Once something is missing, bad stays set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) varint() int64 {
	x, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return x
}

// count reads a number of samples.
func (r *reader) count() int {
	n := r.uvarint()
	if n == 0 || n > chunk.MaxSamples {
		r.bad = true
		return 0
	}
	return int(n)
}
