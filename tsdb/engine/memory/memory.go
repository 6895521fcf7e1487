// Package memory is the engine for shards without a folder: development clusters, simulations and tests. Samples live in
// tstorage and are gone with the process.
//
// tstorage keeps per metric a slice of points that grows at its end; everything that it cannot do is done around it:
//   - Time is cut into windows of four hours, each with a tstorage of its own that has a single partition, no folder and
//     no background work. Retention drops whole windows.
//   - A series is known to tstorage by a number as its metric's name; labels are in an index before it. Names that it
//     does not know are never selected, since a question makes them.
//   - What tstorage would drop or hide (samples that are not newer than all before, histograms) goes to a log beside
//     it, and is merged in while reading.
//   - One lock keeps writers alone.
package memory

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
)

// Options bound the engine. A zero bound is none, except where it says otherwise.
type Options struct {
	// Retention is how long samples are kept, by data time: windows that end longer than that before the newest sample
	// are dropped, and samples that old refused.
	Retention time.Duration
	// OutOfOrder is how much older than the newest sample of the engine a sample may be.
	OutOfOrder time.Duration
	// Ahead is how far after now a sample may be.
	Ahead time.Duration
	// MaxSamples bounds memory: with more, the oldest windows are dropped, and Logger told. The newest stays.
	MaxSamples int
	// Series bounds what series there may be; the zero value means index.DefaultLimits.
	Series index.Limits
	// MaxExemplars bounds the exemplars of all series together, the oldest go first; 0 means 100,000.
	MaxExemplars int
	// Now is the clock; nil is the machine's.
	Now func() time.Time
	// Logger is told what was dropped early; nil tells nobody.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Series == (index.Limits{}) {
		o.Series = index.DefaultLimits()
	}
	if o.MaxExemplars == 0 {
		o.MaxExemplars = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Engine keeps samples in memory. It is made by Open.
type Engine struct {
	opts Options

	mu        sync.RWMutex // writers are alone: tstorage loses samples to readers at the same time
	closed    bool
	index     *index.Mem
	idle      map[engine.Ref]bool // of all series: whether the last round of forgetting found no sample of it
	windows   map[int64]*window   // by number, see split
	order     []int64             // the numbers of the windows, sorted
	maxT      int64               // time of the newest sample that was ever stored
	any       bool                // maxT is set
	exemplars exemplars
	revision  engine.Revision
}

var _ engine.Engine = (*Engine)(nil)

// Open makes an empty engine.
func Open(opts Options) *Engine {
	opts = opts.withDefaults()
	return &Engine{
		opts: opts, index: index.New(opts.Series, opts.Now), idle: map[engine.Ref]bool{}, windows: map[int64]*window{},
		exemplars: exemplars{limit: opts.MaxExemplars, of: map[engine.Ref][]exemplar.Exemplar{}},
		revision:  newRevision(),
	}
}

// Close forgets everything.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.index, e.idle, e.windows, e.order = nil, nil, nil, nil
	return nil
}

// ready says whether a call can go on; the lock is held.
func (e *Engine) ready(ctx context.Context) error {
	if e.closed {
		return engine.ErrClosed
	}
	return ctx.Err()
}

// window finds or makes the window with a number.
func (e *Engine) window(number int64) (*window, error) {
	if w := e.windows[number]; w != nil {
		return w, nil
	}
	w, err := newWindow(number)
	if err != nil {
		return nil, err
	}
	e.windows[number] = w
	at, _ := slices.BinarySearch(e.order, number)
	e.order = slices.Insert(e.order, at, number)
	return w, nil
}

// Bounds are the times of the oldest and newest sample.
func (e *Engine) Bounds() (minT, maxT int64, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, number := range e.order {
		for _, p := range e.windows[number].parts {
			if !ok {
				minT, maxT, ok = p.minT, p.maxT, true
			}
			minT, maxT = min(minT, p.minT), max(maxT, p.maxT)
		}
	}
	return minT, maxT, ok
}
