package durable

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
)

// writing is a batch, or a part of one: what of it is taken, as a log record and for the head.
type writing struct {
	store   *Store
	segment uint64
	record  []byte
	// undefined are the series that the log's segment does not know yet.
	undefined  []uint32
	samples    []loggedSample
	starts     []loggedStart // of samples
	histograms []loggedHistogram
	exemplars  []loggedExemplar
	refused    []engine.Refusal
	minT, maxT int64 // the times that are taken
}

// begin decides what of a batch is taken and encodes it for a segment of the log, which a record before this one will
// tell of the series in defined; that may be nil.
func (w *writing) begin(s *Store, p part, segment uint64, defined *roaring.Bitmap) {
	w.store, w.segment = s, segment
	w.record, w.undefined, w.samples, w.refused = w.record[:0], w.undefined[:0], w.samples[:0], nil
	w.histograms, w.exemplars, w.starts = w.histograms[:0], w.exemplars[:0], w.starts[:0]
	w.minT, w.maxT = s.accepted()
	w.takeSamples(p)
	for i := range p.Histograms {
		w.takeHistogram(p.from.histograms+i, &p.Histograms[i])
	}
	for i := range p.Exemplars {
		w.takeExemplar(p.from.exemplars+i, &p.Exemplars[i])
	}
	if defined != nil {
		w.undefined = slices.DeleteFunc(w.undefined, defined.Contains)
	}
	w.encode()
}

func (w *writing) len() int { return len(w.samples) + len(w.histograms) + len(w.exemplars) }

// takeSamples fills samples. Neighbours of a batch are mostly neighbours in the head, so a page stays locked while it
// can be used.
func (w *writing) takeSamples(p part) {
	var locked *page
	number := uint32(math.MaxUint32)
	segment := uint32(w.segment)
	starts := p.Starts
	for i := range p.Samples {
		sample := &p.Samples[i]
		if sample.T < w.minT || sample.T > w.maxT {
			w.refuseTime(p.from.samples+i, sample.T)
			continue
		}
		id, generation := splitRef(uint64(sample.Ref))
		if id/pageSize != number {
			if locked != nil {
				locked.mu.RUnlock()
			}
			number = id / pageSize
			if locked = w.store.head.pages.get(id); locked != nil {
				locked.mu.RLock()
			}
		}
		if locked == nil || locked.generation[id%pageSize] != generation || sample.Ref == 0 {
			w.refuseSeries(p.from.samples + i)
			continue
		}
		if locked.segment[id%pageSize] != segment {
			w.undefined = append(w.undefined, id)
		}
		if len(starts) > 0 {
			starts = w.takeStart(starts, p.from.samples+i)
		}
		w.samples = append(w.samples, loggedSample{id, sample.T, sample.V})
	}
	if locked != nil {
		locked.mu.RUnlock()
	}
}

// takeStart notes the start of the sample that is about to be taken, and returns the starts of those behind it.
func (w *writing) takeStart(starts []engine.Start, i int) []engine.Start {
	for len(starts) > 0 && starts[0].Index < i {
		starts = starts[1:] // of a sample that was refused
	}
	if len(starts) == 0 || starts[0].Index > i {
		return starts
	}
	if start := starts[0].ST; start != 0 {
		w.starts = append(w.starts, loggedStart{len(w.samples), start})
	}
	return starts[1:]
}

// known finds the id of a reference, and notes it for the log where the segment does not define it yet.
func (w *writing) known(ref engine.Ref) (uint32, bool) {
	p, id, ok := w.store.head.locked(ref)
	if !ok {
		return 0, false
	}
	defer p.mu.RUnlock()
	if p.segment[id%pageSize] != uint32(w.segment) {
		w.undefined = append(w.undefined, id)
	}
	return id, true
}

func (w *writing) takeHistogram(i int, h *engine.HistogramSample) {
	if h.T < w.minT || h.T > w.maxT {
		w.refuseTime(i, h.T)
		return
	}
	if err := validHistogram(h); err != nil {
		w.refuse(engine.ReasonBadHistogram, i, err.Error())
		return
	}
	id, ok := w.known(h.Ref)
	if !ok {
		w.refuseSeries(i)
		return
	}
	p := histogramPoint{t: h.T, start: h.ST}
	if h.Int != nil {
		p.whole = h.Int.Copy()
	} else {
		p.float = h.Float.Copy()
	}
	w.histograms = append(w.histograms, loggedHistogram{id, p})
}

func validHistogram(h *engine.HistogramSample) error {
	switch {
	case (h.Int == nil) == (h.Float == nil):
		return fmt.Errorf("a histogram sample has either whole counts or floats, this one has both or neither")
	case h.Int != nil:
		return h.Int.Validate()
	}
	return h.Float.Validate()
}

func (w *writing) takeExemplar(i int, e *engine.ExemplarSample) {
	if e.HasTs && e.Ts > w.maxT {
		w.refuseTime(i, e.Ts)
		return
	}
	if id, ok := w.known(e.Ref); ok {
		w.exemplars = append(w.exemplars, loggedExemplar{id, e.Exemplar})
		return
	}
	w.refuseSeries(i)
}

func (w *writing) refuse(reason engine.Reason, i int, detail string) {
	w.refused = append(w.refused, engine.Refusal{Reason: reason, Index: i, Detail: detail})
}

func (w *writing) refuseSeries(i int) {
	w.refuse(engine.ReasonUnknownSeries, i, fmt.Sprintf("sample %d names a series that is not known (any more): ask for its reference by its labels again", i))
}

func (w *writing) refuseTime(i int, t int64) {
	if t < w.minT {
		w.refuse(engine.ReasonTooOld, i, fmt.Sprintf("sample %d is of %s, what is before %s is sealed: import older samples as blocks", i, stamp(t), stamp(w.minT)))
		return
	}
	w.refuse(engine.ReasonTooFarAhead, i, fmt.Sprintf("sample %d is of %s, the latest that is taken now is %s: set the clock of the host that it came from", i, stamp(t), stamp(w.maxT)))
}

// encode makes the log record.
func (w *writing) encode() {
	if w.len() == 0 {
		return
	}
	if len(w.undefined) > 0 {
		w.record = w.store.appendDefinitions(w.record, w.undefined)
		w.store.defined.Add(int64(len(w.record)))
	}
	if len(w.starts) > 0 {
		w.record = appendStarts(w.record, w.starts)
	}
	if len(w.samples) > 0 {
		w.record = appendSamples(w.record, w.samples)
	}
	if len(w.histograms) > 0 {
		w.record = appendHistograms(w.record, w.histograms)
	}
	if len(w.exemplars) > 0 {
		w.record = appendExemplars(w.record, w.exemplars)
	}
}

// appendDefinitions says which labels ids mean.
func (s *Store) appendDefinitions(dst []byte, ids []uint32) []byte {
	dst = append(dst, sectionSeries)
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		lset, _ := s.index.Labels(id)
		dst = binary.AppendUvarint(dst, uint64(id))
		dst = appendLabels(dst, lset)
	}
	return dst
}

// markDefined notes that the log's segment knows the series that were undefined. It must not be done earlier: another
// batch could be logged in front of the definition.
func (w *writing) markDefined() {
	for _, id := range w.undefined {
		p := w.store.head.pages.get(id)
		p.mu.Lock()
		p.segment[id%pageSize] = uint32(w.segment)
		p.mu.Unlock()
	}
}

// apply puts into the head what the log has.
func (w *writing) apply() error {
	err := w.store.head.addSamples(w.samples, w.starts)
	for i := range w.histograms {
		w.store.head.addHistogram(w.histograms[i])
	}
	for i := range w.exemplars {
		w.store.exemplars.add(w.exemplars[i])
	}
	return err
}

// addSamples adds samples of series that exist, with their starts, holding the lock of a page while it can be used.
func (h *head) addSamples(samples []loggedSample, starts []loggedStart) (err error) {
	if len(samples) == 0 {
		return nil
	}
	var locked *page
	number := uint32(math.MaxUint32)
	minT, maxT := samples[0].t, samples[0].t
	for i := range samples {
		sample := &samples[i]
		minT, maxT = min(minT, sample.t), max(maxT, sample.t)
		if sample.id/pageSize != number {
			if locked != nil {
				locked.mu.Unlock()
			}
			number = sample.id / pageSize
			locked = h.pages.get(sample.id)
			locked.mu.Lock()
		}
		start := int64(0)
		if len(starts) > 0 && starts[0].at == i {
			start, starts = starts[0].start, starts[1:]
		}
		if err = h.add(&locked.series[sample.id%pageSize], sample.id, sample.t, sample.v, start); err != nil {
			break
		}
	}
	locked.mu.Unlock()
	h.times.widen(minT, maxT)
	return err
}

// addHistogram adds a histogram; the floats of the same time give way to it.
func (h *head) addHistogram(sample loggedHistogram) {
	p := h.pages.get(sample.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.series[sample.id%pageSize]
	s.marks |= histograms
	h.spanAt(sample.point.t) // a span is there for all that has to be sealed
	lastFloat := int64(math.MinInt64)
	if s.has(alive) {
		lastFloat, _ = s.open.Last()
	}
	h.histograms.add(sample.id, sample.point, lastFloat)
	h.times.widen(sample.point.t, sample.point.t)
}

// loggedHistogram is a histogram with its series's id.
type loggedHistogram struct {
	id    uint32
	point histogramPoint
}

func appendHistograms(dst []byte, samples []loggedHistogram) []byte {
	dst = append(dst, sectionHistograms)
	dst = binary.AppendUvarint(dst, uint64(len(samples)))
	var body []byte
	for i := range samples {
		p := &samples[i].point
		dst = binary.AppendUvarint(dst, uint64(samples[i].id))
		dst = binary.AppendVarint(dst, p.t)
		kind := byte(0)
		if p.whole != nil {
			body = chunk.AppendHistograms(body[:0], []*histogram.Histogram{p.whole})
		} else {
			kind = 1
			body = chunk.AppendFloatHistograms(body[:0], []*histogram.FloatHistogram{p.float})
		}
		if p.start != 0 {
			dst = binary.AppendVarint(append(dst, kind+2), p.start)
		} else {
			dst = append(dst, kind)
		}
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
	}
	return dst
}

func (r *recordReader) histograms() []loggedHistogram {
	var samples []loggedHistogram
	for range r.Count(4) {
		h := loggedHistogram{id: r.ID(), point: histogramPoint{t: r.Varint()}}
		kind := r.Octet()
		if kind > 3 {
			r.Fail("the kind of a histogram")
		}
		if kind > 1 {
			h.point.start = r.Varint()
		}
		body := r.Bytes()
		if r.Err != nil {
			return samples
		}
		if r.Err = h.point.decode(kind&1, body); r.Err != nil {
			return samples
		}
		samples = append(samples, h)
	}
	return samples
}

func (p *histogramPoint) decode(kind byte, body []byte) error {
	if kind == 0 {
		got, err := chunk.DecodeHistograms(nil, body, 1)
		if err == nil {
			p.whole = got[0]
		}
		return err
	}
	got, err := chunk.DecodeFloatHistograms(nil, body, 1)
	if err == nil {
		p.float = got[0]
	}
	return err
}
