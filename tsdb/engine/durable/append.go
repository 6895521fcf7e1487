package durable

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/log"
)

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

// Append stores a batch: first in the log, then in the head. After an error nothing of it is stored.
func (s *Store) Append(ctx context.Context, batch engine.Batch) (engine.Appended, error) {
	if s.options.ReadOnly {
		return engine.Appended{}, engine.ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return engine.Appended{}, err
	}
	all, err := s.appendBatch(part{Batch: batch})
	if err != nil {
		return engine.Appended{}, err
	}
	if s.segmentFull() {
		if err := s.nextSegment(); err != nil {
			s.options.Log.Warn("the log could not go on to a new segment and stays with the old one", "error", err)
		}
	}
	return all, nil
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

// freshSegment goes on to a new segment of the log unless nothing is in this one. The caller holds life for writing.
func (s *Store) freshSegment() error {
	if _, size := s.log.Segment(); size == 0 {
		return nil
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

func (s *Store) appendBatch(p part) (all engine.Appended, err error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return all, engine.ErrClosed
	}
	j := journey{store: s}
	defer j.end()
	if err := j.write(p); err != nil {
		return all, err
	}
	for _, w := range j.parts {
		err := w.apply()
		s.noteLate(w)
		if err != nil {
			return all, err
		}
		all.Stored += w.len()
		all.Refused = append(all.Refused, w.refused...)
		s.counters.add(w)
	}
	return all, nil
}

func (s *Store) logFailed(err error) error {
	s.counters.logFailures.Add(1)
	if errors.Is(err, log.ErrFull) {
		return fmt.Errorf("%w: %w", engine.ErrDiskFull, err)
	}
	return err
}
