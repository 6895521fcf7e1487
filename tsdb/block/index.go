package block

import (
	"bufio"
	"encoding/binary"
	"errors"
	"os"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// indexWriter writes the index file.
type indexWriter interface {
	Add(lset labels.Labels, entry []byte) error
	// Close makes the file durable.
	Close() error
	Abort()
}

// indexReader reads it.
type indexReader interface {
	Len() int
	Select(matchers ...*labels.Matcher) (*roaring.Bitmap, error)
	Series(ordinal uint32) (labels.Labels, []byte, error)
	LabelNames(of *roaring.Bitmap) ([]string, error)
	LabelValues(name string, of *roaring.Bitmap) ([]string, error)
	// Verify reads all of the file.
	Verify() error
	Close() error
}

type plainWriter struct {
	file *os.File
	out  *bufio.Writer
}

func createIndex(path string) (indexWriter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &plainWriter{file, bufio.NewWriterSize(file, 1<<20)}, nil
}

func (w *plainWriter) Add(lset labels.Labels, entry []byte) error {
	var b []byte
	b = binary.AppendUvarint(b, uint64(lset.Len()))
	lset.Range(func(l labels.Label) {
		for _, s := range []string{l.Name, l.Value} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	})
	b = binary.AppendUvarint(b, uint64(len(entry)))
	_, err := w.out.Write(append(b, entry...))
	return err
}

func (w *plainWriter) Close() error {
	return errors.Join(w.out.Flush(), w.file.Sync(), w.file.Close())
}

func (w *plainWriter) Abort() { w.file.Close() }

type plainReader struct {
	lsets   []labels.Labels
	entries [][]byte
}

func openIndex(path string, size int64) (indexReader, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if int64(len(text)) != size {
		return nil, errors.New("index cut short")
	}
	r := &plainReader{}
	in := reader{b: text}
	take := func() []byte {
		n := in.uvarint()
		if n > uint64(len(in.b)) {
			in.bad = true
			return nil
		}
		b := in.b[:n]
		in.b = in.b[n:]
		return b
	}
	for len(in.b) > 0 {
		var b labels.ScratchBuilder
		for n := in.uvarint(); n > 0 && !in.bad; n-- {
			name := string(take())
			b.Add(name, string(take()))
		}
		r.lsets = append(r.lsets, b.Labels())
		r.entries = append(r.entries, take())
		if in.bad {
			return nil, errors.New("index cut short")
		}
	}
	return r, nil
}

func (r *plainReader) Len() int { return len(r.lsets) }

func (r *plainReader) Select(matchers ...*labels.Matcher) (*roaring.Bitmap, error) {
	found := roaring.New()
	for i, lset := range r.lsets {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			found.Add(uint32(i))
		}
	}
	return found, nil
}

func (r *plainReader) Series(ordinal uint32) (labels.Labels, []byte, error) {
	return r.lsets[ordinal], r.entries[ordinal], nil
}

func (r *plainReader) LabelNames(of *roaring.Bitmap) ([]string, error) {
	var names []string
	for _, i := range of.ToArray() {
		r.lsets[i].Range(func(l labels.Label) { names = append(names, l.Name) })
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (r *plainReader) LabelValues(name string, of *roaring.Bitmap) ([]string, error) {
	var values []string
	for _, i := range of.ToArray() {
		if v := r.lsets[i].Get(name); v != "" {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

func (r *plainReader) Verify() error { return nil }

func (r *plainReader) Close() error { return nil }
