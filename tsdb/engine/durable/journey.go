package durable

import (
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/novacron/novacron/tsdb/log"
)

// recordSamples is the most samples that one log record holds; a larger batch becomes several, which the log keeps all
// or none of.
const recordSamples = 20_000

// journey is the way of one batch into the log: mostly one record, several where it is large.
type journey struct {
	store   *Store
	segment uint64
	parts   []*writing
	// several holds the records where there is more than one, defined the series that those before define.
	several *log.Batch
	defined *roaring.Bitmap
}

var writings = sync.Pool{New: func() any { return new(writing) }}

// write brings what is taken of a batch into the log.
func (j *journey) write(p part) error {
	for {
		j.end()
		j.segment, _ = j.store.log.Segment()
		if err := j.encode(p); err != nil {
			return err
		}
		segment, err := j.append()
		if err != nil {
			return j.store.logFailed(err)
		}
		if segment == j.segment {
			for _, w := range j.parts {
				w.markDefined()
			}
			return nil
		}
		// The log went on to a segment that does not know our series: write it all again.
	}
}

// encode makes the records of a part, of halves of it where it is too large for one: its samples are many, or its labels
// or histograms long.
func (j *journey) encode(p part) error {
	if p.len() <= recordSamples {
		w := writings.Get().(*writing)
		w.begin(j.store, p, j.segment, j.defined)
		if len(w.record) <= log.MaxRecord || p.len() < 2 {
			j.parts = append(j.parts, w)
			return j.add(w)
		}
		writings.Put(w)
	}
	j.split()
	first, second := p.halves()
	if err := j.encode(first); err != nil {
		return err
	}
	return j.encode(second)
}

func (j *journey) split() {
	if j.several == nil {
		j.several, j.defined = &log.Batch{}, roaring.New()
	}
}

// add packs a record that is one of several.
func (j *journey) add(w *writing) error {
	if j.several == nil || len(w.record) == 0 {
		return nil
	}
	j.defined.AddMany(w.undefined)
	return j.several.Add(w.record)
}

func (j *journey) append() (segment uint64, err error) {
	switch {
	case j.several == nil && len(j.parts[0].record) > 0:
		return j.store.log.Append(j.parts[0].record)
	case j.several != nil && j.several.Len() > 0:
		return j.store.log.AppendBatch(j.several)
	}
	return j.segment, nil // all of it was refused
}

// end gives back what the journey took.
func (j *journey) end() {
	for _, w := range j.parts {
		writings.Put(w)
	}
	j.parts, j.several, j.defined = j.parts[:0], nil, nil
}
