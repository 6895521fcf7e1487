package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The layout of an index file; FORMAT.md describes it byte by byte.
const (
	magic       = "NCIX"
	version     = 1
	headerSize  = 8
	footerSize  = 152
	nameSize    = 20
	valueSize   = 10
	numberSize  = 5       // of the numbers in tables: up to a tebibyte
	maxNumber   = 1 << 40 // all of them are below
	alignment   = 8
	maxEntry    = 64 << 10
	listPosting = 0
	mapPosting  = 1
)

// section is one of the parts of a file, in their order.
type section int

const (
	sectionTexts section = iota
	sectionPostings
	sectionNames
	sectionValues
	sectionSeries
	sectionOffsets
	sections
)

func (s section) String() string {
	return [...]string{"texts", "postings", "names", "values", "series", "offsets"}[s]
}

// ErrCorrupt is wrapped by every error about an index file that is not as its writer left it.
var ErrCorrupt = errors.New("the index file is damaged: restore the block from a snapshot or another copy, or delete it")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// extent is where a section lies and what its bytes add up to.
type extent struct {
	offset, size uint64
	crc          uint32
}

// footer is the end of a file, from which all else is found.
type footer struct {
	extents               [sections]extent
	names, values, series uint32
}

// append adds the footer's bytes.
func (f footer) append(dst []byte) []byte {
	start := len(dst)
	le := binary.LittleEndian
	for _, e := range f.extents {
		dst = le.AppendUint64(dst, e.offset)
		dst = le.AppendUint64(dst, e.size)
		dst = le.AppendUint32(dst, e.crc)
	}
	for _, n := range []uint32{f.names, f.values, f.series} {
		dst = le.AppendUint32(dst, n)
	}
	dst = append(dst, make([]byte, 8)...)
	dst = le.AppendUint32(dst, version)
	dst = le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, magic...)
}

// readFooter reads and checks the last bytes of a file. A file of another version is told before its checksum, which
// may lie elsewhere in it.
func readFooter(file []byte) (footer, error) {
	var f footer
	if len(file) < headerSize+footerSize {
		return f, corrupt("%d bytes, an index has at least %d", len(file), headerSize+footerSize)
	}
	le := binary.LittleEndian
	b := file[len(file)-footerSize:]
	if string(b[footerSize-4:]) != magic || string(file[:4]) != magic {
		return f, corrupt("it does not begin and end with %q", magic)
	}
	for _, v := range []uint32{le.Uint32(file[4:]), le.Uint32(b[footerSize-12:])} {
		if v != version {
			return f, fmt.Errorf("an index file of version %d, this program reads version %d: upgrade it", v, version)
		}
	}
	if want, got := le.Uint32(b[footerSize-8:]), crc32.Checksum(b[:footerSize-8], castagnoli); want != got {
		return f, corrupt("footer: checksum %08x, expected %08x", got, want)
	}
	for i := range f.extents {
		e := b[20*i:]
		f.extents[i] = extent{le.Uint64(e), le.Uint64(e[8:]), le.Uint32(e[16:])}
	}
	counts := b[20*sections:]
	f.names, f.values, f.series = le.Uint32(counts), le.Uint32(counts[4:]), le.Uint32(counts[8:])
	return f, f.check(uint64(len(file)))
}

// check compares the sizes with each other.
func (f footer) check(size uint64) error {
	at := uint64(headerSize)
	for s, e := range f.extents {
		if e.offset < at || e.offset-at >= alignment || e.size > size || e.offset+e.size > size-footerSize {
			return corrupt("section %v lies at %d with %d bytes, after %d and in %d bytes", section(s), e.offset, e.size, at, size)
		}
		at = e.offset + e.size
	}
	if at != size-footerSize {
		return corrupt("the sections end at %d, the footer begins at %d", at, size-footerSize)
	}
	for _, table := range []struct {
		section section
		want    uint64
	}{
		{sectionNames, nameSize * uint64(f.names)},
		{sectionValues, valueSize * uint64(f.values)},
		{sectionOffsets, numberSize * (uint64(f.series) + 1)},
	} {
		if got := f.extents[table.section].size; got != table.want {
			return corrupt("section %v has %d bytes, expected %d", table.section, got, table.want)
		}
	}
	return nil
}

// appendNumber adds a number of a table.
func appendNumber(dst []byte, v uint64) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(v)), byte(v>>32))
}

func number(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) | uint64(b[4])<<32 }
