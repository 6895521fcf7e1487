package memory

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nakabonne/tstorage"

	"github.com/novacron/novacron/tsdb/engine"
)

// width is the length of a window in milliseconds. tstorage makes room for 1,000 points per metric at once: four hours
// hold 960 samples at 15 s.
const width = int64(4 * time.Hour / time.Millisecond)

// firstOffset is added to the times within a window that tstorage sees: it reads 0 as «now» and as «nothing stored
// yet», and 1 is the time of the row that opens the window.
const firstOffset = 2

// split tells the window that a time is in and the time within it.
func split(t int64) (number, offset int64) {
	offset = t % width
	if offset < 0 {
		offset += width
	}
	number = t / width
	if t%width < 0 {
		number--
	}
	return number, offset
}

// join is the inverse of split. It is right at the ends of int64 too, where the product alone overflows.
func join(number, offset int64) int64 { return number*width + offset }

// window holds the samples of four hours.
type window struct {
	number  int64
	storage tstorage.Storage
	parts   map[engine.Ref]*part
	rows    []tstorage.Row // taken by add, not yet in storage
	names   uint64         // the last name given to a part
	stored  int            // rows in storage
	dead    int            // of those, the ones that no part shows any more
	entries int            // entries in the logs of all parts
}

// part is what a window has of a series. It has at least one sample.
type part struct {
	name       string // of the series in the window's storage
	stored     int    // rows that storage has of it, times ascending
	log        entries
	minT, maxT int64
}

func newWindow(number int64) (*window, error) {
	// One partition for ever: all times within a window are below this.
	storage, err := tstorage.NewStorage(tstorage.WithTimestampPrecision(tstorage.Milliseconds), tstorage.WithPartitionDuration(math.MaxInt64))
	if err != nil {
		return nil, fmt.Errorf("open a window in memory: %w", err)
	}
	// A partition takes nothing older than its first batch: this row opens the whole window.
	opening := tstorage.Row{Metric: "opening", DataPoint: tstorage.DataPoint{Timestamp: firstOffset - 1}}
	if err := storage.InsertRows([]tstorage.Row{opening}); err != nil {
		return nil, fmt.Errorf("open a window in memory: %w", err)
	}
	return &window{number: number, storage: storage, parts: map[engine.Ref]*part{}}, nil
}

// add takes a sample of this window. Rows are stored by flush.
func (w *window) add(ref engine.Ref, s entry) {
	p := w.parts[ref]
	if p == nil {
		w.names++
		p = &part{name: strconv.FormatUint(w.names, 36), minT: s.t, maxT: s.t}
		w.parts[ref] = p
	} else if s.t <= p.maxT {
		w.logEntry(p, s)
		return
	}
	if !s.isPlain() {
		w.logEntry(p, s)
		return
	}
	p.maxT = s.t
	p.stored++
	_, offset := split(s.t)
	w.rows = append(w.rows, tstorage.Row{Metric: p.name, DataPoint: tstorage.DataPoint{Timestamp: offset + firstOffset, Value: s.v}})
}

func (w *window) logEntry(p *part, s entry) {
	before := len(p.log.all)
	p.log.add(s)
	w.entries += len(p.log.all) - before
	p.minT, p.maxT = min(p.minT, s.t), max(p.maxT, s.t)
}

// flush stores the rows that add took.
func (w *window) flush() error {
	if len(w.rows) == 0 {
		return nil
	}
	err := w.storage.InsertRows(w.rows)
	w.stored += len(w.rows)
	clear(w.rows)
	w.rows = w.rows[:0]
	if err != nil {
		return fmt.Errorf("store in memory: %w", err)
	}
	return nil
}

// points are the rows that storage has of a part with offsets in the bounds, both inclusive. They stay as they are.
func (w *window) points(p *part, lo, hi int64) ([]*tstorage.DataPoint, error) {
	if p.stored == 0 || lo > hi {
		return nil, nil
	}
	points, err := w.storage.Select(p.name, nil, lo+firstOffset, hi+firstOffset+1)
	if errors.Is(err, tstorage.ErrNoDataPoints) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read from memory: %w", err)
	}
	// Where the bound is the time of the last row, storage answers with that row although it is outside.
	if last := len(points) - 1; last >= 0 && points[last].Timestamp > hi+firstOffset {
		points = points[:last]
	}
	return points, nil
}

// remove forgets the samples of a series in the bounds, both inclusive.
func (w *window) remove(ref engine.Ref, minT, maxT int64) error {
	p := w.parts[ref]
	if p == nil || p.maxT < minT || p.minT > maxT {
		return nil
	}
	r, err := w.run(p, 0, width-1)
	if err != nil {
		return err
	}
	w.forget(ref)
	for _, s := range r.appendTo(nil) {
		if s.t < minT || s.t > maxT {
			w.add(ref, s)
		}
	}
	return w.flush()
}

// forget lets go of a series: its rows stay in storage, where nothing names them, until the window is rebuilt.
func (w *window) forget(ref engine.Ref) {
	p := w.parts[ref]
	w.dead += p.stored
	w.entries -= len(p.log.all)
	delete(w.parts, ref)
}

// rebuilt is the same window without rows that nothing names, if they are the larger part.
func (w *window) rebuilt() (*window, error) {
	if w.dead <= w.stored/2 {
		return w, nil
	}
	fresh, err := newWindow(w.number)
	if err != nil {
		return nil, err
	}
	var samples []entry
	for ref, p := range w.parts {
		r, err := w.run(p, 0, width-1)
		if err != nil {
			return nil, err
		}
		samples = r.appendTo(samples[:0])
		for _, s := range samples {
			fresh.add(ref, s)
		}
		if err := fresh.flush(); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// samples counts what the window holds.
func (w *window) samples() int { return w.stored - w.dead + w.entries }
