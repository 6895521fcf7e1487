package durable

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// A log record is a row of sections, each led by one of these bytes. Ids are those of the process that wrote the
// segment; a segment defines every id before its first sample.
const (
	// sectionSeries: uvarint series; of each uvarint id, uvarint labels, and for each label name and value as uvarint
	// length and bytes.
	sectionSeries = 'L'
	// sectionSamples: uvarint samples; then the ids as varint differences, the times as varint differences, and the
	// values as 8 bytes each, little endian.
	sectionSamples = 'S'
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

// appendSamples adds a section of samples; there is at least one.
func appendSamples(dst []byte, samples []loggedSample) []byte {
	dst = append(dst, sectionSamples)
	dst = binary.AppendUvarint(dst, uint64(len(samples)))
	before := int64(0)
	for i := range samples {
		dst = binary.AppendVarint(dst, int64(samples[i].id)-before)
		before = int64(samples[i].id)
	}
	before = 0
	for i := range samples {
		dst = binary.AppendVarint(dst, samples[i].t-before)
		before = samples[i].t
	}
	for i := range samples {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(samples[i].v))
	}
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

// recordReader takes a record apart. After the first failure it yields zeros and keeps the error.
type recordReader struct {
	src []byte
	err error
}

func (r *recordReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("log record: %s is cut short or wrong, %d bytes before its end", what, len(r.src))
	}
	r.src = nil
}

func (r *recordReader) more() bool { return r.err == nil && len(r.src) > 0 }

func (r *recordReader) octet() byte {
	if len(r.src) == 0 {
		r.fail("a byte")
		return 0
	}
	b := r.src[0]
	r.src = r.src[1:]
	return b
}

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 {
		r.fail("a number")
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *recordReader) varint() int64 {
	v, n := binary.Varint(r.src)
	if n <= 0 {
		r.fail("a number")
		return 0
	}
	r.src = r.src[n:]
	return v
}

// count reads how many of something follow, each of which takes at least size bytes.
func (r *recordReader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.src)/size) {
		r.fail("a count")
		return 0
	}
	return int(n)
}

func (r *recordReader) id() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.fail("an id")
		return 0
	}
	return uint32(v)
}

func (r *recordReader) bytes() []byte {
	n := r.count(1)
	b := r.src[:n]
	r.src = r.src[n:]
	return b
}

func (r *recordReader) float() float64 {
	if len(r.src) < 8 {
		r.fail("a value")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.src))
	r.src = r.src[8:]
	return v
}

func (r *recordReader) labels(b *labels.ScratchBuilder) labels.Labels {
	b.Reset()
	for range r.count(2) {
		name, value := r.bytes(), r.bytes()
		b.Add(string(name), string(value))
	}
	return b.Labels()
}

// samples reads a section of samples into buf.
func (r *recordReader) samples(buf []loggedSample) []loggedSample {
	n := r.count(10)
	buf = buf[:0]
	id, t := int64(0), int64(0)
	for range n {
		id += r.varint()
		if id < 0 || id > math.MaxUint32 {
			r.fail("an id")
			return nil
		}
		buf = append(buf, loggedSample{id: uint32(id)})
	}
	for i := range buf {
		t += r.varint()
		buf[i].t = t
	}
	for i := range buf {
		buf[i].v = r.float()
	}
	return buf
}

// starts reads a section of starts into buf.
func (r *recordReader) starts(buf []loggedStart) []loggedStart {
	n := r.count(2)
	buf = buf[:0]
	var next loggedStart
	for range n {
		gap := r.uvarint()
		if gap > math.MaxInt32 {
			r.fail("the place of a start")
			return nil
		}
		next.at += int(gap)
		next.start += r.varint()
		buf = append(buf, next)
	}
	return buf
}
