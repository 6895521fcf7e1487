package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/log"
)

// segmentTimes knows the newest sample of each old segment of the log: a segment may go once all its samples lie in
// blocks.
type segmentTimes struct {
	mu     sync.Mutex
	newest map[uint64]int64
	// next is the first segment of this process that is not known yet, 0 where none is.
	next uint64
}

func (st *segmentTimes) set(segment uint64, newest int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.newest == nil {
		st.newest = map[uint64]int64{}
	}
	st.newest[segment] = newest
}

// of is the newest sample of an old segment or of one before it.
func (st *segmentTimes) of(segment uint64) (newest int64, known bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	newest, known = st.newest[segment]
	return newest, known
}

// end notes that the segments up to the current one have ended, among them those that the log has left behind by
// itself after a failure of the disk.
func (st *segmentTimes) end(current uint64, newest int64) {
	for segment := max(st.next, 1); segment <= current; segment++ {
		st.set(segment, newest)
	}
	st.next = current + 1
}

// before lists the segments with no sample at t or later, oldest first.
func (st *segmentTimes) before(t int64) (segments []uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for segment, newest := range st.newest {
		if newest < t {
			segments = append(segments, segment)
		}
	}
	slices.Sort(segments)
	return segments
}

// removed forgets a segment.
func (st *segmentTimes) removed(segment uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.newest, segment)
}

// replay reads the log into the head.
func (s *Store) replay() error {
	segments, err := log.Segments(s.path("log"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(segments) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	first, newest := s.restore(segments)
	for i, segment := range segments {
		if i < first {
			continue
		}
		r := replayer{store: s, newest: newest}
		damages, err := log.Replay(s.path("log"), segment, r.record)
		if err != nil {
			return err
		}
		s.tellDamages(damages, i == len(segments)-1)
		if r.orphans > 0 {
			s.options.Log.Warn("samples in the log whose series is not known were left out", "segment", segment, "samples", r.orphans)
		}
		// No segment goes before an older one does: it may hold deletions of samples that the older one has.
		newest = r.newest
		s.segments.set(segment, newest)
	}
	s.gone.Store(true) // of series whose samples all lie in blocks the head has nothing
	return nil
}

func (s *Store) tellDamages(damages []log.Damage, last bool) {
	for _, d := range damages {
		if d.Tail && last {
			s.options.Log.Info("the last write to the log was cut short by a crash and never acknowledged", "segment", d.Segment, "bytes", d.Length)
			s.cutTail(d)
			continue
		}
		s.counters.damaged.Add(1)
		s.options.Log.Error("the log is damaged; what follows the damage was read", "damage", d.String())
	}
}

// cutTail sets aside what a crash has left of the last write, so that it is told once.
func (s *Store) cutTail(d log.Damage) {
	if s.options.ReadOnly {
		return
	}
	if err := log.CutTail(s.path("log"), d); err != nil {
		s.options.Log.Warn("the end of the log that a crash has torn stays where it is, and will be told as damage", "error", err)
	}
}

// replayer puts the records of one segment into the head.
type replayer struct {
	store   *Store
	ids     renamed
	builder labels.ScratchBuilder
	samples []loggedSample
	starts  []loggedStart // of the samples that come next
	newest  int64
	orphans int
}

// record reads one log record. A record that makes no sense is damage that its checksum does not show: it is told and
// left out.
func (r *replayer) record(record []byte) error {
	in := newRecordReader(record)
	r.starts = r.starts[:0]
	for in.More() {
		switch section := in.Octet(); section {
		case sectionSeries:
			r.define(&in)
		case sectionSamples:
			r.samples = in.samples(r.samples)
			if err := r.addSamples(); err != nil {
				return err
			}
		case sectionPacked:
			r.samples = in.packed(r.samples)
			if err := r.addSamples(); err != nil {
				return err
			}
		case sectionStarts:
			r.starts = in.starts(r.starts)
		case sectionHistograms:
			r.addHistograms(in.histograms())
		case sectionExemplars:
			r.addExemplars(in.exemplars())
		case sectionDeletion:
			r.delete(&in)
		default:
			in.Err = fmt.Errorf("log record with a section %q that this version does not know: open it with the version that wrote it", section)
		}
	}
	if in.Err != nil {
		r.store.counters.damaged.Add(1)
		r.store.options.Log.Error("a log record was left out", "error", in.Err)
	}
	return nil
}

// define learns which series the ids of the segment mean.
func (r *replayer) define(in *recordReader) {
	for range in.Count(2) {
		old, lset := in.ID(), in.Labels(&r.builder)
		if in.Err != nil {
			return
		}
		if old > maxReplayID {
			in.Fail("an id")
			return
		}
		r.ids.set(old, 0) // the series that had the id before is not meant any more
		ref, err := r.store.ref(lset)
		if err != nil {
			r.store.options.Log.Warn("a series of the log was left out", "series", lset.String(), "error", err)
			continue
		}
		id, _ := splitRef(uint64(ref))
		r.ids.set(old, id+1)
	}
}

// renamed says which id the series with an id of the segment's has now, one more than it; 0 is none. It has pages for
// the ids that are defined alone: what a damaged record can ask for is bounded by maxReplayID and its own length.
type renamed struct{ pages []*[pageSize]uint32 }

const maxReplayID = 1 << 28

func (r *renamed) get(old uint32) uint32 {
	if n := int(old / pageSize); n < len(r.pages) && r.pages[n] != nil {
		return r.pages[n][old%pageSize]
	}
	return 0
}

func (r *renamed) set(old, id uint32) {
	n := int(old / pageSize)
	if n >= len(r.pages) {
		r.pages = append(r.pages, make([]*[pageSize]uint32, n+1-len(r.pages))...)
	}
	if r.pages[n] == nil {
		r.pages[n] = new([pageSize]uint32)
	}
	r.pages[n][old%pageSize] = id
}

// id is the present id of a series in the segment.
func (r *replayer) id(old uint32) (uint32, bool) {
	if id := r.ids.get(old); id != 0 {
		return id - 1, true
	}
	r.orphans++
	return 0, false
}

func (r *replayer) addSamples() error {
	kept, starts, keptStarts := r.samples[:0], r.starts, r.starts[:0]
	r.starts = r.starts[:0]
	for i, sample := range r.samples {
		start := int64(0)
		if len(starts) > 0 && starts[0].at == i {
			start, starts = starts[0].start, starts[1:]
		}
		r.newest = max(r.newest, sample.t)
		if sample.t < r.store.sealed {
			continue // it lies in a block
		}
		if id, ok := r.id(sample.id); ok {
			if start != 0 {
				keptStarts = append(keptStarts, loggedStart{len(kept), start})
			}
			sample.id = id
			kept = append(kept, sample)
		}
	}
	return r.store.head.addSamples(kept, keptStarts)
}

func (r *replayer) addHistograms(samples []loggedHistogram) {
	for _, sample := range samples {
		r.newest = max(r.newest, sample.point.t)
		if sample.point.t < r.store.sealed {
			continue
		}
		if id, ok := r.id(sample.id); ok {
			sample.id = id
			r.store.head.addHistogram(sample)
		}
	}
}

func (r *replayer) addExemplars(exemplars []loggedExemplar) {
	for _, e := range exemplars {
		if id, ok := r.id(e.id); ok {
			e.id = id
			r.store.exemplars.add(e)
		}
	}
}

// delete does a deletion again.
func (r *replayer) delete(in *recordReader) {
	minT, maxT := in.Varint(), in.Varint()
	ids := roaring.New()
	old := uint32(0)
	for range in.Count(1) {
		old += in.ID()
		if id := r.ids.get(old); id != 0 {
			ids.Add(id - 1)
		}
	}
	if in.Err == nil {
		if err := r.store.head.delete(ids, minT, maxT); err != nil {
			in.Err = err
		}
	}
}

var _ engine.Engine = (*Store)(nil)
