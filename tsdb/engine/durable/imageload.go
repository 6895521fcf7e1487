package durable

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/novacron/novacron/tsdb/chunk"
)

func (r *imageReader) readPair(in *recordReader) error {
	name, value, series := in.Bytes(), in.Bytes(), in.ID()
	if in.Err != nil {
		return nil
	}
	// Each series names it by a byte at least.
	if r.named += int64(series); r.named > r.left {
		return r.wrong("labels of %d series, with %d bytes left for them", r.named, r.left)
	}
	pair, err := r.restorer.Pair(string(name), string(value), series)
	if err != nil {
		return r.wrong("%v", err)
	}
	r.pairs = append(r.pairs, pair)
	return nil
}

// readSeries makes a series in the index and in the head.
func (r *imageReader) readSeries(in *recordReader) error {
	var room [16]uint32
	pairs := room[:0]
	for range in.Count(1) {
		at := in.Uvarint()
		if at >= uint64(len(r.pairs)) {
			return r.wrong("a series has pair %d of %d", at, len(r.pairs))
		}
		pairs = append(pairs, r.pairs[at])
	}
	id, err := r.restorer.Series(pairs)
	if err != nil {
		return r.wrong("%v", err)
	}
	r.series = id + 1
	p := r.head.pages.grow(id)
	p.generation[id%pageSize] = 1
	return r.readState(in, &p.series[id%pageSize], id)
}

// readState reads what appendSeries has written.
func (r *imageReader) readState(in *recordReader, s *series, id uint32) error {
	// What is beside the chunks comes later and brings its mark: that of a series may be left over from what is gone.
	s.marks = marks(in.Octet()) & alive
	if err := s.open.LoadState(in.fixed(chunk.StateSize)); err != nil {
		return r.wrong("series %d: %v", id, err)
	}
	if place := in.fixed(8); place != nil {
		s.done = place64(place)
	}
	if s.open.Len() == 0 {
		if s.has(alive) && s.done == 0 {
			return r.wrong("series %d has samples and no chunk", id)
		}
		r.note(id, s, 0)
		return nil
	}
	until, class, words := in.Varint(), in.Octet(), in.Octet()
	data := in.fixed(int(words) * 8)
	if in.Err != nil || int(class) >= len(bufferSizes) || len(data) != s.open.Flushed() || len(data) > bufferSizes[class] || !s.has(alive) {
		s.open = chunk.XOR{}
		return r.wrong("series %d: its growing chunk does not fit together", id)
	}
	number, buf, err := r.head.buffers[class].take()
	if err != nil {
		return err
	}
	copy(buf, data)
	s.until, s.class, s.buffer = until, class, number
	r.note(id, s, until)
	return nil
}

func place64(b []byte) place { return place(binary.LittleEndian.Uint64(b)) }

// note keeps in mind what of a series is to be checked once the spans are known.
func (r *imageReader) note(id uint32, s *series, until int64) {
	if s.done != 0 || until != 0 {
		r.loaded = append(r.loaded, loadedSeries{id, until})
	}
}

// readSpan makes a span and fills its memory from the sections that follow.
func (r *imageReader) readSpan(in *recordReader) error {
	number, start, slabs := in.ID(), in.Varint(), in.Uvarint()
	if in.Err != nil || in.More() {
		return r.wrong("a span cannot be read")
	}
	known := slices.ContainsFunc(r.spans, func(sp *span) bool { return sp.number == number || sp.start >= start })
	if known || number == 0 || number > r.at.numbers || start < -latest || start > latest || r.head.align(start) != start {
		return r.wrong("a span %d from %d on cannot be beside the others", number, start)
	}
	sp := newSpan(r.head.slabs, number, start, start+r.head.spanLength)
	r.spans = append(r.spans, sp)
	r.head.spans = r.spans
	r.chunks.begin(sp)
	for i := range slabs {
		if err := r.readSlab(sp, i == slabs-1); err != nil {
			return err
		}
	}
	return nil
}

// readSlab reads memory of a span straight to where it belongs, and finds the chunks in it.
func (r *imageReader) readSlab(sp *span, last bool) error {
	frame := make([]byte, imageFrame)
	if err := r.take(frame); err != nil {
		return err
	}
	size := int(binary.LittleEndian.Uint32(frame[1:]))
	if frame[0] != imageMemory || size > slabSize || size%8 != 0 || !last && size != slabSize {
		return r.wrong("a span's memory of %d bytes, letter %q", size, frame[0])
	}
	slab, err := r.head.slabs.take()
	if err != nil {
		return err
	}
	held := append(*sp.held.Load(), slab)
	sp.held.Store(&held)
	sp.used = size
	if err := r.fill(frame, slab[:size]); err != nil {
		return err
	}
	if err := r.chunks.find(sp, slab[:size]); err != nil {
		return r.wrong("%v", err)
	}
	return nil
}

// checkSeries makes sure that what series name is there, and what chunks name was there before them.
func (r *imageReader) checkSeries() error {
	for _, sp := range r.spans {
		if r.chunks.missing[sp.number] {
			return r.wrong("a chunk comes before one of span %d that it names", sp.number)
		}
	}
	for _, l := range r.loaded {
		s := &r.head.pages.get(l.id).series[l.id%pageSize]
		if l.until != 0 && !slices.ContainsFunc(r.spans, func(sp *span) bool { return sp.end == l.until }) {
			return r.wrong("series %d grows until %d, where no span ends", l.id, l.until)
		}
		if r.chunks.dangling(s.done) {
			return r.wrong("series %d has no chunk at %#x", l.id, uint64(s.done))
		}
	}
	return nil
}

// known reads the place of a series and marks it; the series's marks and what is kept beside it go together.
func (r *imageReader) known(in *recordReader, m marks) (uint32, error) {
	id := in.ID()
	if in.Err == nil && id >= r.series {
		return 0, r.wrong("series %d of %d", id, r.series)
	}
	if in.Err == nil {
		r.head.pages.get(id).series[id%pageSize].marks |= m
	}
	return id, nil
}

func (r *imageReader) readLate(in *recordReader) error {
	id, err := r.known(in, late)
	if err != nil {
		return err
	}
	s := &lateSeries{sorted: true}
	for range in.Count(9) {
		p := point{in.Varint(), in.Float()}
		if n := len(s.points); n > 0 && s.points[n-1].t >= p.t {
			return r.wrong("late samples of series %d are not in order", id)
		}
		s.points = append(s.points, p)
	}
	if in.Err == nil {
		r.head.lates.series[id] = s
	}
	return nil
}

func (r *imageReader) readStarts(in *recordReader) error {
	id, err := r.known(in, started)
	if err != nil {
		return err
	}
	s := &startSeries{newest: in.Varint()}
	for range in.Count(2) {
		next := step{in.Varint(), in.Varint()}
		if n := len(s.steps); n > 0 && s.steps[n-1].t >= next.t {
			return r.wrong("starts of series %d are not in order", id)
		}
		s.steps = append(s.steps, next)
	}
	if in.Err == nil {
		r.head.starts.series[id] = s
	}
	return nil
}

func (r *imageReader) readHistograms(in *recordReader) error {
	if in.Octet() != sectionHistograms {
		in.Fail("histograms")
	}
	for _, h := range in.histograms() {
		if h.id >= r.series {
			return r.wrong("series %d of %d", h.id, r.series)
		}
		points := r.head.histograms.series[h.id]
		if n := len(points); n > 0 && points[n-1].t >= h.point.t {
			return r.wrong("histograms of series %d are not in order", h.id)
		}
		r.head.histograms.series[h.id] = append(points, h.point)
		r.head.pages.get(h.id).series[h.id%pageSize].marks |= histograms
	}
	return nil
}

func (r *imageReader) readExemplars(in *recordReader) error {
	if in.Octet() != sectionExemplars {
		in.Fail("exemplars")
	}
	for _, e := range in.exemplars() {
		if e.id >= r.series {
			return r.wrong("series %d of %d", e.id, r.series)
		}
		r.exemplars.add(e)
	}
	return nil
}

// fixed takes n bytes.
func (r *recordReader) fixed(n int) []byte {
	if len(r.Src) < n {
		r.Fail(fmt.Sprint(n, " bytes"))
		return nil
	}
	b := r.Src[:n]
	r.Src = r.Src[n:]
	return b
}

// chunkPlaces knows where chunks begin in the memory of spans, so that no place that an image names leads astray.
type chunkPlaces struct {
	numbers []uint32   // of spans
	begins  [][]uint64 // a bit for each 8 bytes of a span's memory
	// missing are the numbers of spans that chunks before lie in and that were not there when they were found.
	missing map[uint32]bool
}

func (c *chunkPlaces) begin(sp *span) {
	c.numbers, c.begins = append(c.numbers, sp.number), append(c.begins, nil)
}

// dangling tells whether a place lies in a span that is there, but not where a chunk begins. A place in an older span is
// the end of what is kept of a series.
func (c *chunkPlaces) dangling(p place) bool {
	at := slices.Index(c.numbers, p.span())
	if p == 0 || at < 0 {
		return false
	}
	unit := uint32(p)
	return int(unit/64) >= len(c.begins[at]) || c.begins[at][unit/64]>>(unit%64)&1 == 0
}

// before checks the place of the chunk before another one.
func (c *chunkPlaces) before(p place) error {
	if c.dangling(p) {
		return fmt.Errorf("no chunk before it is at %#x", uint64(p))
	}
	if p != 0 && !slices.Contains(c.numbers, p.span()) {
		if c.missing == nil {
			c.missing = map[uint32]bool{}
		}
		c.missing[p.span()] = true
	}
	return nil
}

// find walks over the chunks of a span's newest slab. Each may only have one before it that was found earlier, so that
// no chain of them has a ring.
func (c *chunkPlaces) find(sp *span, slab []byte) error {
	last := len(c.begins) - 1
	c.begins[last] = append(c.begins[last], make([]uint64, slabSize/8/64)...)
	first := (len(*sp.held.Load()) - 1) * slabSize
	from := 0
	if first == 0 {
		from = 8
	}
	for at := from; at+endedHeader <= len(slab); {
		size := int(binary.LittleEndian.Uint32(slab[at+24:]))
		if size == 0 {
			break
		}
		if size > len(slab)-at-endedHeader {
			return fmt.Errorf("a chunk of %d bytes at %d of %d", size, at, len(slab))
		}
		if err := c.before(place64(slab[at:])); err != nil {
			return fmt.Errorf("the chunk at %d: %w", at, err)
		}
		unit := (first + at) / 8
		c.begins[last][unit/64] |= 1 << (unit % 64)
		at += (endedHeader + size + 7) &^ 7
	}
	return nil
}
