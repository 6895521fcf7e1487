package durable_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/engine"
)

// operation is one call of a writer: a batch of samples, or a deletion.
type operation struct {
	Writer  int
	Samples []written
	// Series of the slot, whatever their epoch, lose what lies in [Min, Max].
	Delete        bool
	Slot          int
	Min, Max, Now int64
}

// written is a sample as the workload writes it: of a float the bits, of a histogram its number.
type written struct {
	Name  string
	Slot  int
	T     int64
	Value stored
}

// stored is what a place in a series holds. Kind 0 is nothing.
type stored struct {
	Kind byte // 'f' a float, 'h' a histogram of whole counts, 'g' one of floats
	Bits uint64
}

// numbered is the histogram with a number.
func numbered(n uint64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.001, ZeroCount: 1, Count: 3*n + 1, Sum: float64(n), CounterResetHint: histogram.GaugeType,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{int64(n), int64(n)},
	}
}

// ledger knows what may be found in a store: of each series and time the values that are possible there. After an
// acknowledged write that is one; after one that a crash cut off, the old or the new.
type ledger struct {
	series map[string]map[int64][]stored
	slots  map[string][2]int // writer and slot by name
}

func newLedger() *ledger {
	return &ledger{series: map[string]map[int64][]stored{}, slots: map[string][2]int{}}
}

// apply takes an operation into account; sure is false where nobody knows whether it happened.
func (l *ledger) apply(op *operation, sure bool) {
	if op.Delete {
		l.delete(op, sure)
		return
	}
	for _, w := range op.Samples {
		cells := l.series[w.Name]
		if cells == nil {
			cells = map[int64][]stored{}
			l.series[w.Name] = cells
			l.slots[w.Name] = [2]int{op.Writer, w.Slot}
		}
		cells[w.T] = possible(cells[w.T], w.Value, sure)
	}
}

func (l *ledger) delete(op *operation, sure bool) {
	for name, cells := range l.series {
		if l.slots[name] != [2]int{op.Writer, op.Slot} {
			continue
		}
		for t := range cells {
			if op.Min <= t && t <= op.Max {
				cells[t] = possible(cells[t], stored{}, sure)
			}
		}
	}
}

func possible(before []stored, value stored, sure bool) []stored {
	if sure {
		return []stored{value}
	}
	if len(before) == 0 {
		before = []stored{{}}
	}
	return append(slices.Clone(before), value)
}

// check reads a store from a time on, holds it against the ledger, and takes what it saw for what is so from now on.
func (l *ledger) check(e engine.Engine, from int64) error {
	found, err := readEverything(e, from)
	if err != nil {
		return err
	}
	for name, cells := range l.series {
		have := found[name]
		delete(found, name)
		for t, want := range cells {
			if t < from {
				continue
			}
			got := have[t]
			if !slices.Contains(want, got) {
				return fmt.Errorf("%s at %d (%s) holds %v, possible is %v", name, t, stampOf(t), got, want)
			}
			cells[t] = []stored{got}
			delete(have, t)
		}
		for t, got := range have {
			return fmt.Errorf("%s at %d (%s) holds %v, which nobody wrote", name, t, stampOf(t), got)
		}
	}
	for name, have := range found {
		if len(have) > 0 { // a series without samples may be named
			return fmt.Errorf("series %s was never written", name)
		}
	}
	return nil
}

// forget drops what is older than a time.
func (l *ledger) forget(before int64) {
	for name, cells := range l.series {
		maps.DeleteFunc(cells, func(t int64, _ []stored) bool { return t < before })
		if len(cells) == 0 {
			delete(l.series, name)
			delete(l.slots, name)
		}
	}
}

// size is the number of samples that the ledger is sure of.
func (l *ledger) size() (n int) {
	for _, cells := range l.series {
		for _, c := range cells {
			if len(c) == 1 && c[0].Kind != 0 {
				n++
			}
		}
	}
	return n
}

func stampOf(t int64) string {
	return start.UTC().Format("15:04") + fmt.Sprintf("%+dms", t-start.UnixMilli())
}

// readEverything reads all series from a time on: no series twice, and all times ascending.
func readEverything(e engine.Engine, from int64, matchers ...*labels.Matcher) (map[string]map[int64]stored, error) {
	set, err := e.Select(context.Background(), engine.Selection{Min: from, Max: math.MaxInt64, Matchers: matchers})
	if err != nil {
		return nil, err
	}
	defer set.Close()
	return readSet(set)
}

func readSet(set engine.SeriesSet) (map[string]map[int64]stored, error) {
	all := map[string]map[int64]stored{}
	var it chunkenc.Iterator
	for set.Next() {
		name := set.At().Labels().Get("__name__")
		if all[name] != nil {
			return nil, fmt.Errorf("series %s comes twice", name)
		}
		it = set.At().Iterator(it)
		cells, err := readCells(it)
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", name, err)
		}
		all[name] = cells
	}
	return all, set.Err()
}

func readCells(it chunkenc.Iterator) (map[int64]stored, error) {
	cells := map[int64]stored{}
	last := int64(math.MinInt64)
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		t := it.AtT()
		if t <= last {
			return nil, fmt.Errorf("time %d comes after %d", t, last)
		}
		last = t
		cell, err := readCell(it, kind)
		if err != nil {
			return nil, fmt.Errorf("at %d: %w", t, err)
		}
		cells[t] = cell
	}
	return cells, it.Err()
}

func readCell(it chunkenc.Iterator, kind chunkenc.ValueType) (stored, error) {
	switch kind {
	case chunkenc.ValFloat:
		_, v := it.At()
		return stored{'f', math.Float64bits(v)}, nil
	case chunkenc.ValHistogram:
		_, h := it.AtHistogram(nil)
		if n := uint64(h.Sum); !h.Equals(numbered(n)) {
			return stored{}, fmt.Errorf("histogram %s, written was %s", h, numbered(n))
		}
		return stored{'h', uint64(h.Sum)}, nil
	}
	_, h := it.AtFloatHistogram(nil)
	if n := uint64(h.Sum); !h.Equals(numbered(n).ToFloat(nil)) {
		return stored{}, fmt.Errorf("histogram %s, written was %s", h, numbered(n))
	}
	return stored{'g', uint64(h.Sum)}, nil
}
