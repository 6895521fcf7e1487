package index

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// WriteTo writes the file and returns its size. It does not close or sync anything.
func (w *Writer) WriteTo(to io.Writer) (int64, error) {
	if w.failed != nil {
		return 0, w.failed
	}
	f := &fileWriter{out: bufio.NewWriterSize(to, 1<<18), dict: w.dict}
	f.write([]byte(magic))
	f.write(binary.LittleEndian.AppendUint32(nil, version))
	f.rank()
	for s, part := range []func() error{f.texts, f.postings, f.nameTable, f.valueTable, func() error { return f.series(w) }, f.offsetTable} {
		f.begin(section(s))
		if err := cmp.Or(part(), f.err); err != nil {
			return f.size, fmt.Errorf("section %v of the index: %w", section(s), err)
		}
		f.end(section(s))
	}
	f.footer.series = w.series
	f.write(f.footer.append(nil))
	return f.size, cmp.Or(f.err, f.out.Flush())
}

// fileWriter is one run of WriteTo.
type fileWriter struct {
	out  *bufio.Writer
	dict *dictionary
	size int64
	crc  uint32
	err  error // the first of a write

	names    []*name  // in order
	nameAt   []uint32 // by a name's id: its place in names
	ranked   []uint32 // pairs in order of names and values
	valueAt  []uint32 // by pair: its place among the values of its name
	firsts   []uint32 // by place of a name: the place of its first pair in ranked
	nameRefs []uint64 // where postings are, by place of a name, and by place of a pair
	pairRefs []uint64
	starts   []uint64 // of the records of the series
	footer   footer
}

func (f *fileWriter) write(b []byte) {
	f.crc = crc32.Update(f.crc, castagnoli, b)
	f.size += int64(len(b))
	if _, err := f.out.Write(b); f.err == nil {
		f.err = err
	}
}

func (f *fileWriter) align() {
	var zeros [alignment]byte
	f.write(zeros[:-f.size&(alignment-1)])
}

func (f *fileWriter) begin(s section) {
	f.align()
	f.footer.extents[s].offset = uint64(f.size)
	f.crc = 0
}

func (f *fileWriter) end(s section) {
	e := &f.footer.extents[s]
	e.size, e.crc = uint64(f.size)-e.offset, f.crc
}

// rank puts names and pairs into their order.
func (f *fileWriter) rank() {
	d := f.dict
	for _, text := range slices.Sorted(maps.Keys(d.names)) {
		f.names = append(f.names, d.names[text])
	}
	f.nameAt = make([]uint32, d.byID.len())
	f.valueAt = make([]uint32, d.pairs.len())
	f.ranked = make([]uint32, 0, d.live)
	for at, n := range f.names {
		f.nameAt[n.id] = uint32(at)
		f.firsts = append(f.firsts, uint32(len(f.ranked)))
		for i, p := range d.byValue(append(slices.Clone(n.sorted), n.recent...)) {
			f.valueAt[p] = uint32(i)
			f.ranked = append(f.ranked, p)
		}
	}
	f.footer.names, f.footer.values = uint32(len(f.names)), uint32(len(f.ranked))
}

func (f *fileWriter) texts() error {
	for _, n := range f.names {
		f.write([]byte(n.text))
	}
	for _, p := range f.ranked {
		f.write([]byte(f.dict.value(p)))
	}
	return nil
}

func (f *fileWriter) postings() error {
	for _, n := range f.names {
		ref, err := f.posting(nil, &n.series)
		if err != nil {
			return err
		}
		f.nameRefs = append(f.nameRefs, ref)
	}
	var one [1]uint32
	for _, p := range f.ranked {
		ref, err := f.posting(f.dict.ids(f.dict.pairs.at(p), &one))
		if err != nil {
			return err
		}
		f.pairRefs = append(f.pairRefs, ref)
	}
	return nil
}

// posting writes a set of ids, given as a list or a bitmap, in the shorter form, and returns the number that leads to
// it. A single id is in that number itself.
func (f *fileWriter) posting(list []uint32, bitmap *roaring.Bitmap) (uint64, error) {
	if len(list) == 1 {
		return uint64(list[0])<<1 | 1, nil
	}
	if bitmap == nil {
		bitmap = roaring.BitmapOf(list...)
	}
	n := bitmap.GetCardinality()
	if n == 1 {
		return uint64(bitmap.Minimum())<<1 | 1, nil
	}
	optimal := bitmap.Clone()
	optimal.RunOptimize()
	f.align()
	ref := uint64(f.size) - f.footer.extents[sectionPostings].offset
	head := binary.LittleEndian.AppendUint32(nil, uint32(n))
	if size := optimal.GetSerializedSizeInBytes(); size < 4*n {
		f.write(binary.LittleEndian.AppendUint32(head, uint32(size)<<1|mapPosting))
		bytes, err := optimal.ToBytes()
		f.write(bytes)
		return ref << 1, err
	}
	head = binary.LittleEndian.AppendUint32(head, uint32(4*n)<<1|listPosting)
	for it := bitmap.Iterator(); it.HasNext(); {
		head = binary.LittleEndian.AppendUint32(head, it.Next())
	}
	f.write(head)
	return ref << 1, nil
}

func (f *fileWriter) nameTable() error {
	end := uint64(0)
	for i, n := range f.names {
		end += uint64(len(n.text))
		b := binary.LittleEndian.AppendUint64(nil, end)
		b = binary.LittleEndian.AppendUint32(b, f.firsts[i])
		f.write(binary.LittleEndian.AppendUint64(b, f.nameRefs[i]))
	}
	return nil
}

var errTooLarge = errors.New("more than a tebibyte: write more blocks of fewer series")

func (f *fileWriter) valueTable() error {
	end := uint64(0)
	for _, n := range f.names {
		end += uint64(len(n.text))
	}
	for i, p := range f.ranked {
		end += uint64(len(f.dict.value(p)))
		if max(end, f.pairRefs[i]) >= maxNumber {
			return errTooLarge
		}
		var room [valueSize]byte
		f.write(appendNumber(appendNumber(room[:0], end), f.pairRefs[i]))
	}
	return nil
}

// series writes the records with the places of names and values in place of the writer's own numbers.
func (f *fileWriter) series(w *Writer) error {
	in, err := w.spill.reader()
	if err != nil {
		return err
	}
	base := uint64(f.size)
	f.starts = make([]uint64, 0, w.series+1)
	var record []byte
	for range w.series {
		f.starts = append(f.starts, uint64(f.size)-base)
		if record, err = f.translate(in, record[:0]); err != nil {
			return fmt.Errorf("read back from the scratch file: %w", err)
		}
		f.write(record)
	}
	f.starts = append(f.starts, uint64(f.size)-base)
	return nil
}

func (f *fileWriter) translate(in *bufio.Reader, record []byte) ([]byte, error) {
	count, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	record = binary.AppendUvarint(record, count)
	next := uint32(0) // the least name that may follow
	for range count {
		p, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		at := f.nameAt[f.dict.pairs.at(uint32(p)).name]
		record = binary.AppendUvarint(record, uint64(at-next))
		record = binary.AppendUvarint(record, uint64(f.valueAt[p]))
		next = at + 1
	}
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	start := len(record)
	record = slices.Grow(record, int(size))[:start+int(size)]
	_, err = io.ReadFull(in, record[start:])
	return record, err
}

func (f *fileWriter) offsetTable() error {
	for _, start := range f.starts {
		if start >= maxNumber {
			return errTooLarge
		}
		var room [numberSize]byte
		f.write(appendNumber(room[:0], start))
	}
	return nil
}
