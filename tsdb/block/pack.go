package block

import (
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// packer turns what several blocks have of a series into dense chunks, one series after another.
type packer struct {
	tier engine.Tier
	span merge.Interval
	skip merge.Skip
	it   merge.Iterator

	out     []Chunk
	group   []merge.Source
	times   timesMemo
	buffers [][]byte
	used    int

	// pending are samples of one type and one cell.
	pending merge.Columns
	windows chunk.Windows
	cell    int64
}

func newPacker(tier engine.Tier, span merge.Interval, skip merge.Skip) *packer {
	p := &packer{tier: tier, span: span, skip: skip}
	p.it.OnDamage(skip)
	return p
}

// pack returns the chunks of a series, which hold until the next call. It changes the sources.
func (p *packer) pack(sources []merge.Source) ([]Chunk, error) {
	p.out, p.used = p.out[:0], 0
	for {
		group := p.nextGroup(sources)
		if len(group) == 0 {
			return p.out, nil
		}
		var err error
		if p.copies(group) {
			err = p.take(group[0].Chunks)
		} else {
			err = p.encode(group)
		}
		if err != nil {
			return nil, err
		}
	}
}

// nextGroup takes the chunks off the sources that lie in the earliest cells and have cells in common, directly or
// through one another. All other chunks begin in later cells.
func (p *packer) nextGroup(sources []merge.Source) []merge.Source {
	first := int64(0)
	found := false
	for _, s := range sources {
		if len(s.Chunks) > 0 && (!found || s.Chunks[0].Min < first) {
			first, found = s.Chunks[0].Min, true
		}
	}
	if !found {
		return nil
	}
	p.group = append(p.group[:0], sources...)
	end := cellEnd(p.tier, cellOf(p.tier, first))
	for grown := true; grown; {
		grown = false
		for i := range sources {
			for len(sources[i].Chunks) > 0 && sources[i].Chunks[0].Min <= end {
				end = max(end, cellEnd(p.tier, cellOf(p.tier, sources[i].Chunks[0].Max)))
				sources[i].Chunks = sources[i].Chunks[1:]
				grown = true
			}
		}
	}
	for i := range p.group {
		p.group[i].Chunks = p.group[i].Chunks[:len(p.group[i].Chunks)-len(sources[i].Chunks)]
	}
	p.group = slices.DeleteFunc(p.group, func(s merge.Source) bool { return len(s.Chunks) == 0 })
	return p.group
}

// copies tells whether a group can be taken as it is: one block's, dense, nothing in it left out. When all its chunks
// keep within cells they are of a single one, and there should be one of them when their samples fit into one.
func (p *packer) copies(group []merge.Source) bool {
	if len(group) != 1 {
		return false
	}
	chunks, samples := group[0].Chunks, 0
	for _, c := range chunks {
		span := merge.Interval{Min: c.Min, Max: c.Max}
		whole := cellOf(p.tier, c.Min) == cellOf(p.tier, c.Max) && p.span.Contains(span)
		if c.Kind == chunk.KindXOR || !whole || slices.ContainsFunc(group[0].Deleted, span.Overlaps) {
			return false
		}
		samples += c.Count
	}
	return len(chunks) == 1 || samples > targetOf(chunks[0].Kind)
}

func targetOf(kind chunk.Kind) int {
	switch kind {
	case chunk.KindHistogram, chunk.KindFloatHistogram, chunk.KindHistogramStarts, chunk.KindFloatHistogramStarts:
		return histogramTarget
	case chunk.KindWindows:
		return windowTarget
	case chunk.KindXOR, chunk.KindDense, chunk.KindDenseStarts:
	}
	return chunkTarget
}

// take adds chunks as they are, after checking their bytes.
func (p *packer) take(chunks []Chunk) error {
	for i := range chunks {
		c := chunks[i]
		err := c.Origin.(*Block).load(&c)
		if err != nil && p.skip != nil {
			if err = p.skip(err); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		p.out = append(p.out, c)
	}
	return nil
}

// encode adds what is left of a group when it is merged.
func (p *packer) encode(group []merge.Source) error {
	p.it.ResetWindows(p.span.Min, p.span.Max, chunk.AllColumns, group...)
	for run, ok := p.it.NextRun(); ok; run, ok = p.it.NextRun() {
		if err := p.add(run); err != nil {
			return err
		}
	}
	if err := p.it.Err(); err != nil {
		return err
	}
	return p.flush()
}

// add puts the samples of a run into their cells.
func (p *packer) add(run *merge.Run) error {
	for from, n := 0, len(run.Times); from < n; {
		cell := cellOf(p.tier, run.Times[from])
		if len(p.pending.Times) > 0 && (cell != p.cell || p.differs(run)) {
			if err := p.flush(); err != nil {
				return err
			}
		}
		to := n
		if end := cellEnd(p.tier, cell); run.Times[n-1] > end {
			at, found := slices.BinarySearch(run.Times, end)
			if to = at; found {
				to++
			}
		}
		p.cell = cell
		p.collect(run, from, to)
		from = to
	}
	return nil
}

// differs tells whether a run is of another type than what is pending.
func (p *packer) differs(run *merge.Run) bool {
	return run.Type != p.pending.Type || (run.Windows != nil) != (p.pending.Windows != nil)
}

// collect copies the part [from, to) of a run.
func (p *packer) collect(run *merge.Run, from, to int) {
	p.pending.Type = run.Type
	p.pending.Starts = merge.JoinStarts(p.pending.Starts, len(p.pending.Times), part(run.Starts, from, to), to-from)
	p.pending.Times = append(p.pending.Times, run.Times[from:to]...)
	switch run.Type {
	case chunkenc.ValFloat:
		p.pending.Values = append(p.pending.Values, run.Values[from:to]...)
	case chunkenc.ValHistogram:
		p.pending.Histograms = append(p.pending.Histograms, run.Histograms[from:to]...)
	case chunkenc.ValFloatHistogram:
		p.pending.Floats = append(p.pending.Floats, run.Floats[from:to]...)
	case chunkenc.ValNone:
		p.pending.Windows = &p.windows
		merge.AppendRows(&p.windows, run.Windows, run.From+from, run.From+to)
	}
}

// part is [from, to) of start times, nil where none is known.
func part(starts []int64, from, to int) []int64 {
	if len(starts) == 0 {
		return nil
	}
	return starts[from:to]
}

// flush encodes what is pending.
func (p *packer) flush() error {
	most := chunkTarget
	switch p.pending.Type {
	case chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
		most = histogramTarget
	case chunkenc.ValNone:
		most = windowTarget
	case chunkenc.ValFloat:
	}
	err := cut(p.pending.Times, 0, cellEnd(p.tier, p.cell), cellLength(p.tier), most, p.emit)
	clear(p.pending.Histograms)
	clear(p.pending.Floats)
	p.pending = merge.Columns{
		Times: p.pending.Times[:0], Values: p.pending.Values[:0],
		Histograms: p.pending.Histograms[:0], Floats: p.pending.Floats[:0], Starts: p.pending.Starts[:0],
	}
	merge.Truncate(&p.windows)
	return err
}

// emit encodes a part of what is pending into a chunk.
func (p *packer) emit(from, to int) error {
	times, starts := p.pending.Times[from:to], part(p.pending.Starts, from, to)
	switch p.pending.Type {
	case chunkenc.ValFloat:
		p.out = append(p.out, merge.WithStarts(Chunk{
			Kind: chunk.KindDense, Min: times[0], Max: times[len(times)-1], Count: len(times),
			Times: p.times.encode(times), Values: p.encodeValues(p.pending.Values[from:to]),
		}, starts))
	case chunkenc.ValHistogram:
		p.out = append(p.out, merge.WithStarts(merge.NewHistograms(times, p.pending.Histograms[from:to]), starts))
	case chunkenc.ValFloatHistogram:
		p.out = append(p.out, merge.WithStarts(merge.NewFloatHistograms(times, p.pending.Floats[from:to]), starts))
	case chunkenc.ValNone:
		var part chunk.Windows
		merge.AppendRows(&part, &p.windows, from, to)
		p.out = append(p.out, merge.NewWindows(&part))
	}
	return nil
}

// encodeValues encodes into a buffer that is free again for the next series.
func (p *packer) encodeValues(values []float64) []byte {
	if p.used == len(p.buffers) {
		p.buffers = append(p.buffers, nil)
	}
	buf := &p.buffers[p.used]
	p.used++
	*buf = chunk.AppendValues((*buf)[:0], values)
	return *buf
}
