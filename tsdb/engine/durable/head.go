package durable

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/novacron/novacron/tsdb/engine"
)

// chunkSamples is the most samples of a chunk in the head: a reader of the last minutes decodes no more than that.
const chunkSamples = 120

// head holds what is too young for a block. Every sample in it is in the log too.
type head struct {
	spanLength int64 // milliseconds
	slabs      *slabs
	buffers    [len(bufferSizes)]*buffers
	resumes    *buffers
	pages      pages
	lates      *lates
	histograms *histogramStore
	starts     *startStore
	times      times

	mu sync.RWMutex
	// spans are in order of time; numbers only grow.
	spans   []*span
	numbers uint32
	// leaving are the spans that blocks have replaced and that readers still hold.
	leaving map[*span]bool
}

func newHead(spanLength int64) *head {
	h := &head{spanLength: spanLength, slabs: &slabs{}, lates: newLates(), histograms: newHistogramStore(), starts: newStartStore(), leaving: map[*span]bool{}, times: times{min: math.MaxInt64, max: math.MinInt64}}
	for class, size := range bufferSizes {
		h.buffers[class] = newBuffers(h.slabs, size)
	}
	h.resumes = newBuffers(h.slabs, resumesOfPage)
	return h
}

// align is the start of the span that a time lies in.
func (h *head) align(t int64) int64 {
	start := t - t%h.spanLength
	if t < start {
		start -= h.spanLength
	}
	return start
}

// spanAt finds or makes the span of a time.
func (h *head) spanAt(t int64) *span {
	h.mu.RLock()
	for _, sp := range h.spans {
		if sp.start <= t && t < sp.end {
			h.mu.RUnlock()
			return sp
		}
	}
	h.mu.RUnlock()
	return h.makeSpan(t)
}

func (h *head) makeSpan(t int64) *span {
	h.mu.Lock()
	defer h.mu.Unlock()
	start := h.align(t)
	at := 0
	for at < len(h.spans) && h.spans[at].start < start {
		at++
	}
	if at < len(h.spans) && h.spans[at].start == start {
		return h.spans[at]
	}
	h.numbers++
	sp := newSpan(h.slabs, h.numbers, start, start+h.spanLength)
	spans := make([]*span, 0, len(h.spans)+1)
	spans = append(append(append(spans, h.spans[:at]...), sp), h.spans[at:]...)
	h.spans = spans
	return sp
}

// add stores a sample of a series, whose page the caller has locked, and since when it counts; 0 is not known. A
// histogram of the same time gives way to it.
func (h *head) add(s *series, id uint32, t int64, v float64, start int64) error {
	if s.has(histograms) {
		h.histograms.interrupt(id, t)
	}
	if start != 0 || s.has(started) {
		h.setStart(s, id, t, start)
	}
	return h.put(s, id, t, v)
}

// put stores a sample of a series beside its histograms, of which one of the same time hides it.
func (h *head) put(s *series, id uint32, t int64, v float64) error {
	lastT, lastV := s.open.Last()
	if s.has(alive) && t <= lastT {
		if t == lastT && lastV == math.Float64bits(v) && !s.has(late) {
			return nil
		}
		s.marks |= late
		h.spanAt(t) // a span is there for all that has to be sealed
		h.lates.add(id, point{t, v})
		return nil
	}
	if n := s.open.Len(); n > 0 && (n >= chunkSamples || t >= s.until) {
		if err := h.end(s); err != nil {
			return err
		}
	}
	if !s.open.Repeat(bufferSizes[s.class], t, v) { // else it is alive: it has samples
		if err := h.extend(s, t, v); err != nil {
			return err
		}
		s.marks |= alive
	}
	if s.open.Len()%resumeEvery == 0 {
		h.markResume(s, id)
	}
	return nil
}

// extend appends to the growing chunk; where its buffer is full it moves to a larger one, or ends.
func (h *head) extend(s *series, t int64, v float64) error {
	if s.open.Len() == 0 {
		number, _, err := h.buffers[0].take()
		if err != nil {
			return err
		}
		s.buffer, s.class, s.until, s.resumes = number, 0, h.spanAt(t).end, 0
	}
	for !s.open.Append(h.buffers[s.class].at(s.buffer), t, v) {
		if int(s.class) == len(bufferSizes)-1 {
			if err := h.end(s); err != nil {
				return err
			}
			return h.extend(s, t, v)
		}
		if err := h.enlarge(s); err != nil {
			return err
		}
	}
	return nil
}

func (h *head) enlarge(s *series) error {
	number, larger, err := h.buffers[s.class+1].take()
	if err != nil {
		return err
	}
	copy(larger, h.buffers[s.class].at(s.buffer))
	h.buffers[s.class].give(s.buffer)
	s.buffer, s.class = number, s.class+1
	return nil
}

// end moves the growing chunk, which has samples, to its span.
func (h *head) end(s *series) error {
	last, _ := s.open.Last()
	var space [maxGrowing]byte
	done, err := h.spanAt(s.until-1).put(s.done, h.first(s), last, h.growing(s, space[:0]))
	if err != nil {
		return err
	}
	s.done = done
	h.buffers[s.class].give(s.buffer)
	s.buffer = 0
	s.open.Reset()
	return nil
}

// maxGrowing is the most bytes of a growing chunk.
const maxGrowing = 512

// growing appends the growing chunk's bytes to dst.
func (h *head) growing(s *series, dst []byte) []byte {
	return s.open.AppendTo(dst, h.buffers[s.class].at(s.buffer))
}

// first is the time of the growing chunk's first sample, which its buffer begins with.
func (h *head) first(s *series) int64 {
	return int64(binary.BigEndian.Uint64(h.buffers[s.class].at(s.buffer)))
}

// endBefore ends all chunks that grow in spans before a time.
func (h *head) endBefore(t int64) error {
	for _, p := range h.pages.list() {
		p.mu.Lock()
		for i := range p.series {
			s := &p.series[i]
			if s.open.Len() > 0 && s.until <= t {
				if err := h.end(s); err != nil {
					p.mu.Unlock()
					return err
				}
			}
		}
		p.mu.Unlock()
	}
	return nil
}

// locked returns the id that a reference names and its page, which it has locked for reading; false where no series
// has that reference.
func (h *head) locked(ref engine.Ref) (*page, uint32, bool) {
	id, generation := splitRef(uint64(ref))
	p := h.pages.get(id)
	if ref == 0 || p == nil {
		return nil, 0, false
	}
	p.mu.RLock()
	if p.generation[id%pageSize] != generation {
		p.mu.RUnlock()
		return nil, 0, false
	}
	return p, id, true
}

// acquire takes hold of all spans that end after a time: what lies in them stays readable until release. There are
// none where all begin after maxT.
func (h *head) acquire(minT, maxT int64) held {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var spans held
	if len(h.spans) > 0 && h.spans[0].start > maxT {
		return nil
	}
	for _, sp := range h.spans {
		if sp.end > minT {
			sp.acquire()
			spans = append(spans, sp)
		}
	}
	return spans
}

// held are spans that a reader keeps from being freed.
type held []*span

// ended returns the ended chunk at a place, false where its span is older than those held. A series's chunks get older
// along the chain, so none behind that one is held either.
func (h *head) ended(spans held, p place) (ended, bool) {
	if p == 0 || len(spans) == 0 {
		return ended{}, false
	}
	newest := uint32(0)
	for _, sp := range spans {
		if sp.number == p.span() {
			return sp.get(p), true
		}
		newest = max(newest, sp.number)
	}
	if p.span() < newest {
		return ended{}, false
	}
	return h.endedSince(spans[0], p)
}

// endedSince is ended for spans that were made after others were taken hold of: the chain leads through them to what is
// held. They stay as long as the oldest one held does.
func (h *head) endedSince(oldest *span, p place) (ended, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, sp := range h.spans {
		if sp.number == p.span() && sp.start > oldest.start {
			return sp.get(p), true
		}
	}
	for sp := range h.leaving {
		if sp.number == p.span() && sp.start > oldest.start {
			return sp.get(p), true
		}
	}
	return ended{}, false
}

func (spans held) release() {
	for _, sp := range spans {
		sp.release()
	}
}

// oldest is the first span there is, or nil.
func (h *head) oldest() *span {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.spans) == 0 {
		return nil
	}
	return h.spans[0]
}

// oldestRead is the start of the oldest span that is not sealed yet, or that readers may still read although it is.
func (h *head) oldestRead() int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	start := int64(math.MaxInt64)
	if len(h.spans) > 0 {
		start = h.spans[0].start
	}
	for sp := range h.leaving {
		start = min(start, sp.start)
	}
	return start
}

// drop takes the spans that end at or before a time out of the head. What they hold goes with their last reader, of
// which released is told.
func (h *head) drop(end int64, released func()) {
	h.mu.Lock()
	n := 0
	for n < len(h.spans) && h.spans[n].end <= end {
		h.leaving[h.spans[n]] = true
		n++
	}
	dropped := h.spans[:n]
	h.spans = h.spans[n:]
	h.mu.Unlock()
	for _, sp := range dropped {
		sp.released = func() { h.left(); released() }
		sp.release()
	}
}

// left frees the spans that nobody reads any more, and forgets what is kept beside them. The oldest goes first: readers
// of an older span come to it through newer ones.
func (h *head) left() {
	h.mu.Lock()
	defer h.mu.Unlock()
	leaving := slices.SortedFunc(maps.Keys(h.leaving), func(a, b *span) int { return cmp.Compare(a.start, b.start) })
	for _, sp := range leaving {
		if sp.users.Load() > 0 {
			break
		}
		h.lates.drop(-1, sp.start, sp.end-1)
		h.histograms.drop(nil, sp.start, sp.end-1)
		sp.free()
		delete(h.leaving, sp)
	}
	h.starts.prune(h.oldestReadable())
}

// oldestReadable is the start of the oldest span that somebody reads or may read. The head is locked.
func (h *head) oldestReadable() int64 {
	start := int64(math.MaxInt64)
	if len(h.spans) > 0 {
		start = h.spans[0].start
	}
	for sp := range h.leaving {
		start = min(start, sp.start)
	}
	return start
}

// close frees the memory; nobody reads or writes any more.
func (h *head) close() {
	h.drop(math.MaxInt64, func() {})
	for _, b := range h.buffers {
		b.close()
	}
	h.resumes.close()
	h.slabs.close()
}
