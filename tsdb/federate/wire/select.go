package wire

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
)

// pieceSamples is the most samples of one piece.
const pieceSamples = 4096

// packer reads series into pieces; its slices are used again.
type packer struct {
	iterator         chunkenc.Iterator
	times, histTimes []int64
	starts           []int64
	values           []float64
	histograms       []*histogram.FloatHistogram
}

// pack reads a series and hands over its pieces, each as a RawSeries with the labels.
func (p *packer) pack(s engine.Series, give func(*agentv1.RawSeries) error) error {
	names := labelsTo(s.Labels())
	p.iterator = s.Iterator(p.iterator)
	p.reset()
	for kind := p.iterator.Next(); kind != chunkenc.ValNone; kind = p.iterator.Next() {
		p.read(kind)
		if len(p.times)+len(p.histTimes) < pieceSamples {
			continue
		}
		if err := give(p.piece(names)); err != nil {
			return err
		}
		p.reset()
	}
	if err := p.iterator.Err(); err != nil {
		return err
	}
	if len(p.times)+len(p.histTimes) > 0 {
		return give(p.piece(names))
	}
	return nil
}

func (p *packer) reset() {
	p.times, p.histTimes, p.values, p.starts, p.histograms = p.times[:0], p.histTimes[:0], p.values[:0], p.starts[:0], p.histograms[:0]
}

func (p *packer) read(kind chunkenc.ValueType) {
	if kind == chunkenc.ValFloat {
		t, v := p.iterator.At()
		p.times, p.values, p.starts = append(p.times, t), append(p.values, v), append(p.starts, p.iterator.AtST())
		return
	}
	t, h := p.iterator.AtFloatHistogram(nil)
	p.histTimes, p.histograms = append(p.histTimes, t), append(p.histograms, h)
}

func (p *packer) piece(names []string) *agentv1.RawSeries {
	s := &agentv1.RawSeries{Labels: names}
	if len(p.times) > 0 {
		s.Floats = &agentv1.SamplePiece{Count: uint32(len(p.times)), Times: chunk.AppendTimes(nil, p.times), Values: chunk.AppendValues(nil, p.values)}
		if anySet(p.starts) {
			s.Floats.Starts = chunk.AppendTimes(nil, p.starts)
		}
	}
	if len(p.histTimes) > 0 {
		s.Histograms = &agentv1.SamplePiece{Count: uint32(len(p.histTimes)), Times: chunk.AppendTimes(nil, p.histTimes), Values: chunk.AppendFloatHistograms(nil, p.histograms)}
	}
	return s
}

func anySet(starts []int64) bool {
	for _, st := range starts {
		if st != 0 {
			return true
		}
	}
	return false
}

func rawBytes(s *agentv1.RawSeries) int {
	n := 16
	for _, text := range s.GetLabels() {
		n += len(text) + 2
	}
	for _, p := range []*agentv1.SamplePiece{s.GetFloats(), s.GetHistograms()} {
		n += len(p.GetTimes()) + len(p.GetValues()) + len(p.GetStarts())
	}
	return n
}

// received is the series that came of one shard, packed as they came.
type received struct {
	series []packedSeries
	bytes  int64
	at     int
}

type packedSeries struct {
	lset   labels.Labels
	pieces []*agentv1.RawSeries
}

var _ engine.SeriesSet = (*received)(nil)

// checkHistograms unpacks the histograms of a piece as they arrive: later their fault would be that of the query, not of
// the shard that sent them.
func checkHistograms(s *agentv1.RawSeries) error {
	h := s.GetHistograms()
	if h == nil {
		return nil
	}
	all, err := chunk.DecodeFloatHistograms(nil, h.GetValues(), int(h.GetCount()))
	if err == nil {
		err = checkShapes(all)
	}
	if err != nil {
		return fmt.Errorf("histograms of a series: %w", err)
	}
	return nil
}

// add takes the series of a message; one with the labels of the last goes on with it.
func (r *received) add(builder *labels.ScratchBuilder, m *agentv1.SelectResponse) error {
	for _, s := range m.GetSeries() {
		lset, err := labelsFrom(builder, s.GetLabels())
		if err != nil {
			return err
		}
		if err := checkHistograms(s); err != nil {
			return err
		}
		r.bytes += int64(rawBytes(s))
		if last := len(r.series) - 1; last >= 0 && labels.Equal(r.series[last].lset, lset) {
			r.series[last].pieces = append(r.series[last].pieces, s)
		} else {
			r.series = append(r.series, packedSeries{lset, []*agentv1.RawSeries{s}})
		}
	}
	return nil
}

// Size is what is held, in bytes.
func (r *received) Size() int64 { return r.bytes }

func (r *received) Next() bool {
	r.at++
	return r.at <= len(r.series)
}

func (r *received) At() engine.Series { return r.series[r.at-1] }
func (r *received) Err() error        { return nil }
func (r *received) Close() error      { return nil }

func (s packedSeries) Labels() labels.Labels { return s.lset }

func (s packedSeries) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	it, ours := old.(*pieceIterator)
	if !ours {
		it = &pieceIterator{}
	}
	it.reset(s.pieces)
	return it
}

// pieceIterator unpacks one piece after the other.
type pieceIterator struct {
	pieces           []*agentv1.RawSeries
	times, histTimes []int64
	starts           []int64
	values           []float64
	histograms       []*histogram.FloatHistogram
	// float and hist are the next places; kind is that of the sample that the iterator is at.
	float, hist int
	kind        chunkenc.ValueType
	err         error
}

func (it *pieceIterator) reset(pieces []*agentv1.RawSeries) {
	it.pieces, it.float, it.hist, it.kind, it.err = pieces, 0, 0, chunkenc.ValNone, nil
	it.times, it.histTimes = it.times[:0], it.histTimes[:0]
}

func (it *pieceIterator) Next() chunkenc.ValueType {
	it.kind = chunkenc.ValNone
	if it.err != nil {
		return it.kind
	}
	for it.float == len(it.times) && it.hist == len(it.histTimes) {
		if len(it.pieces) == 0 {
			return it.kind
		}
		if it.err = it.unpack(it.pieces[0]); it.err != nil {
			return it.kind
		}
		it.pieces = it.pieces[1:]
	}
	if it.hist == len(it.histTimes) || it.float < len(it.times) && it.times[it.float] < it.histTimes[it.hist] {
		it.float++
		it.kind = chunkenc.ValFloat
	} else {
		it.hist++
		it.kind = chunkenc.ValFloatHistogram
	}
	return it.kind
}

func (it *pieceIterator) unpack(s *agentv1.RawSeries) (err error) {
	it.float, it.hist = 0, 0
	it.times, it.histTimes, it.starts = it.times[:0], it.histTimes[:0], it.starts[:0]
	if f := s.GetFloats(); f != nil {
		n := int(f.GetCount())
		if it.times, err = chunk.DecodeTimes(it.times, f.GetTimes(), n); err != nil {
			return fmt.Errorf("times of a series: %w", err)
		}
		if it.values, err = chunk.DecodeValues(it.values[:0], f.GetValues(), n); err != nil {
			return fmt.Errorf("values of a series: %w", err)
		}
		if len(f.GetStarts()) > 0 {
			if it.starts, err = chunk.DecodeTimes(it.starts, f.GetStarts(), n); err != nil {
				return fmt.Errorf("starts of a series: %w", err)
			}
		}
	}
	if h := s.GetHistograms(); h != nil {
		n := int(h.GetCount())
		if it.histTimes, err = chunk.DecodeTimes(it.histTimes, h.GetTimes(), n); err != nil {
			return fmt.Errorf("times of a series: %w", err)
		}
		if it.histograms, err = chunk.DecodeFloatHistograms(it.histograms[:0], h.GetValues(), n); err != nil {
			return fmt.Errorf("histograms of a series: %w", err)
		}
	}
	return nil
}

func (it *pieceIterator) Seek(t int64) chunkenc.ValueType {
	for it.kind == chunkenc.ValNone || it.AtT() < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return it.kind
}

func (it *pieceIterator) At() (int64, float64) { return it.AtT(), it.values[it.float-1] }

func (it *pieceIterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	panic("histograms come as floats") // PromQL asks by the kind that Next returned
}

func (it *pieceIterator) AtFloatHistogram(into *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	h := it.histograms[it.hist-1]
	if into == nil {
		return it.AtT(), h.Copy()
	}
	h.CopyTo(into)
	return it.AtT(), into
}

func (it *pieceIterator) AtT() int64 {
	if it.kind == chunkenc.ValFloat {
		return it.times[it.float-1]
	}
	return it.histTimes[it.hist-1]
}

func (it *pieceIterator) AtST() int64 {
	if it.kind == chunkenc.ValFloat && len(it.starts) > 0 {
		return it.starts[it.float-1]
	}
	return 0
}

func (it *pieceIterator) Err() error { return it.err }
