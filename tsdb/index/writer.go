package index

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Writer makes an index file. It keeps labels and postings in memory, about a hundred bytes a series, and the series
// with their entries in a scratch file once they are many.
type Writer struct {
	dict  *dictionary
	spill spill
	// before and pairs are the pairs of the last series and of the one that is added.
	before, pairs []uint32
	record        []byte
	series        uint32
	failed        error
}

// NewWriter makes a writer that puts its scratch file into a folder.
func NewWriter(scratch string) *Writer {
	return &Writer{dict: newDictionary(), spill: spill{folder: scratch}}
}

// Add adds a series with what the caller keeps about it, at most 64 KiB. Series come in the order of labels.Compare;
// the first one has ordinal 0. After an error nothing more can be added or written.
func (w *Writer) Add(lset labels.Labels, entry []byte) error {
	if w.failed == nil {
		w.failed = w.add(lset, entry)
	}
	return w.failed
}

func (w *Writer) add(lset labels.Labels, entry []byte) error {
	if refusal := (Limits{}).check(lset); refusal != nil {
		return refusal
	}
	switch {
	case len(entry) > maxEntry:
		return fmt.Errorf("series %s: its entry has %d bytes, at most %d are allowed", shown(lset), len(entry), maxEntry)
	case !w.dict.room(lset.Len()) || w.series == 1<<32-2:
		return fmt.Errorf("series %s: the index is full after %d series: write more blocks of fewer series", shown(lset), w.series)
	}
	w.before, w.pairs = w.pairs, w.before[:0]
	empty := ""
	lset.Range(func(label labels.Label) {
		if label.Value == "" {
			empty = label.Name
			return
		}
		w.pairs = append(w.pairs, w.dict.add(label.Name, label.Value))
	})
	if empty != "" {
		return fmt.Errorf("series %s: the label %q has no value: leave it out", shown(lset), empty)
	}
	if w.series > 0 && w.dict.compare(w.before, w.pairs) >= 0 {
		return fmt.Errorf("series %s: it does not come after the one before: add series in the order of their labels", shown(lset))
	}
	w.post()
	return w.put(entry)
}

// compare orders series by their pairs as labels.Compare does by their labels.
func (d *dictionary) compare(a, b []uint32) int {
	for i := range min(len(a), len(b)) {
		if p, q := a[i], b[i]; p != q {
			return cmp.Or(strings.Compare(d.name(p), d.name(q)), strings.Compare(d.value(p), d.value(q)))
		}
	}
	return cmp.Compare(len(a), len(b))
}

// post adds the series to the postings of its pairs.
func (w *Writer) post() {
	for _, p := range w.pairs {
		at := w.dict.pairs.at(p)
		w.dict.put(at, w.series)
		w.dict.byID.get(at.name).series.Add(w.series)
	}
	w.series++
}

// put keeps the record of the series, with the writer's own numbers of the pairs.
func (w *Writer) put(entry []byte) error {
	record := binary.AppendUvarint(w.record[:0], uint64(len(w.pairs)))
	for _, p := range w.pairs {
		record = binary.AppendUvarint(record, uint64(p))
	}
	record = binary.AppendUvarint(record, uint64(len(entry)))
	w.record = append(record, entry...)
	return w.spill.write(w.record)
}

// Close frees the scratch file. The writer cannot be used after it.
func (w *Writer) Close() error {
	if w.failed == nil {
		w.failed = errors.New("the writer of the index is closed")
	}
	return w.spill.close()
}
