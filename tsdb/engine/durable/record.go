package durable

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/log"
)

// A log record is a row of sections, each led by one of these bytes. Ids are those of the process that wrote the
// segment; a segment defines every id before its first sample.
const (
	// sectionSeries: uvarint series; of each uvarint id, uvarint labels, and for each label name and value as uvarint
	// length and bytes.
	sectionSeries = 'L'
	// sectionSamples: uvarint samples; then the ids as varint differences, the times as varint differences, and the
	// values as 8 bytes each, little endian. It is only read.
	sectionSamples = 'S'
	// sectionPacked: uvarint samples; then ids and times, each as runs of equal differences: varint difference, uvarint
	// samples; a half byte for each value, low half first: how many bytes are left of it without the zeros at its end;
	// and these, highest first.
	sectionPacked = 'P'
	// sectionStarts: uvarint starts; of each the place of a sample in the section of samples that follows as a uvarint
	// difference, and since when it counts as a varint difference. Missing where no sample says it.
	sectionStarts = 'T'
	// sectionHistograms: uvarint samples; of each uvarint id, varint time, a byte 0 for whole counts and 1 for floats,
	// with 2 added where since when it counts follows as a varint, uvarint length and the histogram as a chunk of one.
	sectionHistograms = 'H'
	// sectionExemplars: uvarint exemplars; of each uvarint id, varint time, a byte that is 1 where the time was given,
	// 8 bytes of value, and labels as above.
	sectionExemplars = 'E'
	// sectionDeletion: varint oldest and newest time, uvarint series, ids as uvarint differences: the samples that were
	// written before are gone.
	sectionDeletion = 'D'
)

// loggedSample is a sample with its series's id.
type loggedSample struct {
	id uint32
	t  int64
	v  float64
}

func appendLabels(dst []byte, lset labels.Labels) []byte {
	dst = binary.AppendUvarint(dst, uint64(lset.Len()))
	lset.Range(func(l labels.Label) {
		dst = binary.AppendUvarint(dst, uint64(len(l.Name)))
		dst = append(dst, l.Name...)
		dst = binary.AppendUvarint(dst, uint64(len(l.Value)))
		dst = append(dst, l.Value...)
	})
	return dst
}

// loggedStart says since when a sample counts, by its place among the samples.
type loggedStart struct {
	at    int
	start int64
}

// appendStarts adds a section of starts; there is at least one.
func appendStarts(dst []byte, starts []loggedStart) []byte {
	dst = append(dst, sectionStarts)
	dst = binary.AppendUvarint(dst, uint64(len(starts)))
	var before loggedStart
	for _, next := range starts {
		dst = binary.AppendUvarint(dst, uint64(next.at-before.at))
		dst = binary.AppendVarint(dst, next.start-before.start)
		before = next
	}
	return dst
}

// recordReader takes a record apart.
type recordReader struct{ log.Fields }

func newRecordReader(src []byte) recordReader {
	return recordReader{log.Fields{What: "log record", Src: src}}
}

// samples reads a section of samples into buf.
func (r *recordReader) samples(buf []loggedSample) []loggedSample {
	n := r.Count(10)
	buf = buf[:0]
	id, t := int64(0), int64(0)
	for range n {
		id += r.Varint()
		if id < 0 || id > math.MaxUint32 {
			r.Fail("an id")
			return nil
		}
		buf = append(buf, loggedSample{id: uint32(id)})
	}
	for i := range buf {
		t += r.Varint()
		buf[i].t = t
	}
	for i := range buf {
		buf[i].v = r.Float()
	}
	return buf
}

// starts reads a section of starts into buf.
func (r *recordReader) starts(buf []loggedStart) []loggedStart {
	n := r.Count(2)
	buf = buf[:0]
	var next loggedStart
	for range n {
		gap := r.Uvarint()
		if gap > math.MaxInt32 {
			r.Fail("the place of a start")
			return nil
		}
		next.at += int(gap)
		next.start += r.Varint()
		buf = append(buf, next)
	}
	return buf
}
