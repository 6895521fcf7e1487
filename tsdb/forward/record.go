package forward

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// A record of a queue is the byte recordVersion, a varint of when it was written in milliseconds, and sections, each led
// by one of these bytes. Ids are those of the segment, which defines each before its first sample.
const (
	recordVersion = 1
	// sectionSeries: uvarint series; of each uvarint id, uvarint labels, and of each label name and value as uvarint
	// length and bytes.
	sectionSeries = 'L'
	// sectionSamples: uvarint samples; then the ids as varint differences, the times as varint differences, the starts
	// as varint differences where the next byte is 1, and the values as 8 bytes each, little endian.
	sectionSamples = 'S'
	// sectionHistograms: uvarint samples; of each uvarint id, varint time, varint start, uvarint length and the message
	// as remote write has it, without the start.
	sectionHistograms = 'H'
	// sectionExemplars: uvarint exemplars; of each uvarint id, varint time, 8 bytes of value, and labels as above.
	sectionExemplars = 'E'
)

// sample is a value of a series by its id.
type sample struct {
	id    uint32
	t, st int64
	v     float64
	// message is a histogram as it is sent, nil for a float.
	message []byte
}

// example is an exemplar of a series by its id.
type example struct {
	id   uint32
	t    int64
	v    float64
	lset labels.Labels
}

// definition says which labels an id means.
type definition struct {
	id   uint32
	lset labels.Labels
}

// record is what one write of a queue is made of.
type record struct {
	// written is when, in milliseconds.
	written    int64
	series     []definition
	samples    []sample
	histograms []sample
	exemplars  []example
}

func (r *record) reset() {
	r.series, r.samples, r.histograms, r.exemplars = r.series[:0], r.samples[:0], r.histograms[:0], r.exemplars[:0]
}

// count is how many samples there are; exemplars do not count.
func (r *record) count() int { return len(r.samples) + len(r.histograms) }

func (r *record) empty() bool { return r.count() == 0 && len(r.exemplars) == 0 }

func (r *record) append(dst []byte) []byte {
	dst = binary.AppendVarint(append(dst, recordVersion), r.written)
	if len(r.series) > 0 {
		dst = binary.AppendUvarint(append(dst, sectionSeries), uint64(len(r.series)))
		for _, s := range r.series {
			dst = appendLabels(binary.AppendUvarint(dst, uint64(s.id)), s.lset)
		}
	}
	if len(r.samples) > 0 {
		dst = appendSamples(dst, r.samples)
	}
	if len(r.histograms) > 0 {
		dst = binary.AppendUvarint(append(dst, sectionHistograms), uint64(len(r.histograms)))
		for _, h := range r.histograms {
			dst = binary.AppendVarint(binary.AppendVarint(binary.AppendUvarint(dst, uint64(h.id)), h.t), h.st)
			dst = append(binary.AppendUvarint(dst, uint64(len(h.message))), h.message...)
		}
	}
	if len(r.exemplars) > 0 {
		dst = binary.AppendUvarint(append(dst, sectionExemplars), uint64(len(r.exemplars)))
		for _, e := range r.exemplars {
			dst = binary.AppendVarint(binary.AppendUvarint(dst, uint64(e.id)), e.t)
			dst = appendLabels(binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.v)), e.lset)
		}
	}
	return dst
}

func appendSamples(dst []byte, samples []sample) []byte {
	dst = binary.AppendUvarint(append(dst, sectionSamples), uint64(len(samples)))
	id, t, st, started := int64(0), int64(0), int64(0), byte(0)
	for _, s := range samples {
		dst = binary.AppendVarint(dst, int64(s.id)-id)
		id = int64(s.id)
		if s.st != 0 {
			started = 1
		}
	}
	for _, s := range samples {
		dst = binary.AppendVarint(dst, s.t-t)
		t = s.t
	}
	dst = append(dst, started)
	for i := 0; started != 0 && i < len(samples); i++ {
		dst = binary.AppendVarint(dst, samples[i].st-st)
		st = samples[i].st
	}
	for _, s := range samples {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(s.v))
	}
	return dst
}

func appendLabels(dst []byte, lset labels.Labels) []byte {
	dst = binary.AppendUvarint(dst, uint64(lset.Len()))
	lset.Range(func(l labels.Label) {
		dst = append(binary.AppendUvarint(dst, uint64(len(l.Name))), l.Name...)
		dst = append(binary.AppendUvarint(dst, uint64(len(l.Value))), l.Value...)
	})
	return dst
}

// parse reads a record; what it holds is of its own but for the messages of histograms, which lie in src.
func (r *record) parse(src []byte) error {
	r.reset()
	p := newParser(src)
	if version := p.Octet(); p.Err == nil && version != recordVersion {
		return fmt.Errorf("a record of version %d, known is %d: upgrade this node", version, recordVersion)
	}
	r.written = p.Varint()
	for p.More() {
		switch section := p.Octet(); section {
		case sectionSeries:
			p.series(r)
		case sectionSamples:
			p.samples(r)
		case sectionHistograms:
			p.histograms(r)
		case sectionExemplars:
			p.exemplars(r)
		default:
			return fmt.Errorf("a record with a section %q, which there is not", section)
		}
	}
	return p.Err
}

func (p *parser) series(r *record) {
	for range p.Count(2) {
		r.series = append(r.series, definition{p.ID(), p.Labels(&p.builder)})
	}
}

func (p *parser) samples(r *record) {
	n := p.Count(10)
	from := len(r.samples)
	id, t, st := int64(0), int64(0), int64(0)
	for range n {
		if id += p.Varint(); id < 0 || id > math.MaxUint32 {
			p.Fail("an id")
		}
		r.samples = append(r.samples, sample{id: uint32(id)}) // checked
	}
	all := r.samples[from:]
	for i := range all {
		t += p.Varint()
		all[i].t = t
	}
	started := p.Octet() != 0
	for i := 0; started && i < len(all); i++ {
		st += p.Varint()
		all[i].st = st
	}
	for i := range all {
		all[i].v = p.Float()
	}
}

func (p *parser) histograms(r *record) {
	for range p.Count(4) {
		h := sample{id: p.ID(), t: p.Varint(), st: p.Varint()}
		h.message = p.Bytes()
		r.histograms = append(r.histograms, h)
	}
}

func (p *parser) exemplars(r *record) {
	for range p.Count(11) {
		r.exemplars = append(r.exemplars, example{p.ID(), p.Varint(), p.Float(), p.Labels(&p.builder)})
	}
}
