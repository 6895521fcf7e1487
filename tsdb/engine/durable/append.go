package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/log"
)

// recordSamples is the most samples that one log record holds; larger batches become several.
const recordSamples = 20_000

// Ref finds the series with these labels or makes it.
func (s *Store) Ref(lset labels.Labels) (engine.Ref, error) {
	if s.options.ReadOnly {
		return 0, engine.ErrReadOnly
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return 0, engine.ErrClosed
	}
	return s.ref(lset)
}

// ref is Ref for a caller that holds life.
func (s *Store) ref(lset labels.Labels) (engine.Ref, error) {
	id, _, err := s.index.GetOrCreate(lset)
	if err != nil {
		return 0, err
	}
	generation := s.index.Generation(id)
	s.head.pages.grow(id).enter(id, generation)
	return engine.Ref(makeRef(id, generation)), nil
}

// Append stores a batch: first in the log, then in the head.
func (s *Store) Append(ctx context.Context, batch engine.Batch) (engine.Appended, error) {
	if s.options.ReadOnly {
		return engine.Appended{}, engine.ErrReadOnly
	}
	var all engine.Appended
	err := s.appendParts(ctx, part{Batch: batch}, &all)
	return all, err
}

// part is a piece of a batch; from are the places of its first sample, histogram and exemplar in the batch.
type part struct {
	engine.Batch
	from struct{ samples, histograms, exemplars int }
}

func (p part) len() int { return len(p.Samples) + len(p.Histograms) + len(p.Exemplars) }

// halves cuts a part in two, which keeps the order of the samples of each series.
func (p part) halves() (first, second part) {
	samples, histograms, exemplars := (len(p.Samples)+1)/2, (len(p.Histograms)+1)/2, (len(p.Exemplars)+1)/2
	first, second = p, p
	first.Samples, second.Samples = p.Samples[:samples], p.Samples[samples:]
	first.Histograms, second.Histograms = p.Histograms[:histograms], p.Histograms[histograms:]
	first.Exemplars, second.Exemplars = p.Exemplars[:exemplars], p.Exemplars[exemplars:]
	second.from.samples += samples
	second.from.histograms += histograms
	second.from.exemplars += exemplars
	return first, second
}

// appendParts stores a part, in pieces where it is too large for one record.
func (s *Store) appendParts(ctx context.Context, p part, all *engine.Appended) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.len() <= recordSamples {
		err := s.appendPart(p, all)
		if !errors.Is(err, errRecordTooLarge) || p.len() < 2 {
			return err
		}
	}
	first, second := p.halves()
	if err := s.appendParts(ctx, first, all); err != nil {
		return err
	}
	return s.appendParts(ctx, second, all)
}

// errRecordTooLarge is a part whose record the log would refuse: its labels or histograms are long.
var errRecordTooLarge = fmt.Errorf("a log record of more than %d bytes", log.MaxRecord)

func (s *Store) appendPart(p part, all *engine.Appended) error {
	if err := s.appendRecord(p, all); err != nil {
		return err
	}
	if s.segmentFull() {
		if err := s.nextSegment(); err != nil {
			s.options.Log.Warn("the log could not go on to a new segment and stays with the old one", "error", err)
		}
	}
	return nil
}

// segmentBytes is the size at which the log goes on to a new segment, so that old ones can be dropped. Every segment
// defines its series anew: one of many series may be larger, so that this stays a small part of it.
const segmentBytes, definitionShare = 128 << 20, 16

func (s *Store) segmentFull() bool {
	_, size := s.log.Segment()
	return size >= max(segmentBytes, definitionShare*s.defined.Load())
}

func (s *Store) nextSegment() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed || !s.segmentFull() {
		return nil // another writer was here
	}
	return s.rotateLog()
}

// rotateLog goes on to a new segment of the log. The caller holds life for writing.
func (s *Store) rotateLog() error {
	old, _ := s.log.Segment()
	if _, err := s.log.Rotate(); err != nil {
		return s.logFailed(err)
	}
	_, newest := s.head.bounds()
	s.segments.end(old, newest)
	s.defined.Store(0)
	return nil
}

func (s *Store) appendRecord(p part, all *engine.Appended) error {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return engine.ErrClosed
	}
	w := writings.Get().(*writing)
	defer writings.Put(w)
	if err := w.write(s, p); err != nil {
		return err
	}
	if err := w.apply(); err != nil {
		return err
	}
	all.Stored += w.len()
	all.Refused = append(all.Refused, w.refused...)
	s.counters.add(w)
	return nil
}

// write brings what is taken of a part into the log.
func (w *writing) write(s *Store, p part) error {
	for {
		w.begin(s, p)
		if w.len() == 0 {
			return nil
		}
		if len(w.record) > log.MaxRecord {
			return errRecordTooLarge
		}
		segment, err := s.log.Append(w.record)
		if err != nil {
			return s.logFailed(err)
		}
		if segment == w.segment {
			w.markDefined()
			return nil
		}
		// The log went on to a segment that does not know our series: write it all again.
	}
}

func (s *Store) logFailed(err error) error {
	s.counters.logFailures.Add(1)
	if errors.Is(err, log.ErrFull) {
		return fmt.Errorf("%w: %w", engine.ErrDiskFull, err)
	}
	return err
}

var writings = sync.Pool{New: func() any { return new(writing) }}
