package bench

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/query"
)

// ours is the durable engine as a shard runs it, but that the clock is the samples' and upkeep is called for.
type ours struct {
	process
	*durable.Store
	dir     string
	w       *workload
	options durable.Options
	clock   atomic.Int64 // milliseconds since 1970
	refs    []engine.Ref
	batches sync.Pool
	engine  *query.Engine
}

func openOurs(dir string, w *workload, j job) (store, error) {
	o := &ours{dir: dir, w: w, refs: make([]engine.Ref, len(w.state))}
	o.clock.Store(w.start)
	o.batches.New = func() any { return new([]engine.Sample) }
	o.options = durable.Options{
		Sync: time.Second, Maintain: -1, Ahead: -1, Limits: index.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return time.UnixMilli(o.clock.Load()) },
	}
	if j.Part == partYear { // the same layout of blocks in the end, with fewer steps towards it
		o.options.Span = 24 * time.Hour
	}
	var err error
	o.engine, err = query.New(query.Options{
		Limits: query.Limits{Samples: 1 << 40, Series: 1 << 30, Bytes: 16 << 30},
		Tiers:  func() query.Tiers { return query.Tiers{Since: [3]int64{w.start, w.start, w.start}} },
	})
	if err != nil {
		return nil, err
	}
	return o, o.open()
}

func (o *ours) open() (err error) {
	o.Store, err = durable.Open(o.dir, o.options)
	return err
}

func (o *ours) prepare(*scrapes) error { return nil }

func (o *ours) append(s *scrapes) error {
	buffer := o.batches.Get().(*[]engine.Sample)
	defer o.batches.Put(buffer)
	refs := o.refs[s.host*o.w.perHost : (s.host+1)*o.w.perHost]
	for i, at := range s.times {
		batch := (*buffer)[:0]
		for j, v := range s.values[i] {
			if refs[j] == 0 {
				ref, err := o.Ref(o.w.labels(s.host, j))
				if err != nil {
					return err
				}
				refs[j] = ref
			}
			batch = append(batch, engine.Sample{Ref: refs[j], T: at, V: v})
		}
		*buffer = batch
		done, err := o.Append(context.Background(), engine.Batch{Samples: batch})
		if err != nil {
			return err
		}
		if len(done.Refused) > 0 {
			return &done.Refused[0]
		}
	}
	return nil
}

func (o *ours) maintain(now int64) error {
	o.clock.Store(now)
	return o.Maintain(context.Background())
}

// settle seals everything and lets two days pass.
func (o *ours) settle(now int64) error {
	if err := o.Flush(context.Background()); err != nil {
		return err
	}
	return o.maintain(now + 48*time.Hour.Milliseconds())
}

func (o *ours) reopen() error { return errors.Join(o.Close(), o.open()) }

func (o *ours) drain(minT, maxT int64, ms []*labels.Matcher) (int, error) {
	return drainQuerier(context.Background(), query.NewQueryable(o.Store), minT, maxT, ms)
}

func (o *ours) find(minT, maxT int64, ms []*labels.Matcher) (int, error) {
	return findQuerier(context.Background(), query.NewQueryable(o.Store), minT, maxT, ms)
}

func (o *ours) query(expr string, start, end, step int64) (int, error) {
	return ask(context.Background(), o.engine, query.NewQueryable(o.Store), expr, start, end, step)
}

func (o *ours) bytes() (raw, windows int64, err error) {
	dirs, err := filepath.Glob(filepath.Join(o.dir, "blocks", "*"))
	if err != nil {
		return 0, 0, err
	}
	for _, dir := range dirs {
		meta, err := block.ReadMeta(dir)
		if err != nil {
			return 0, 0, err
		}
		n, err := folder(dir)
		if err != nil {
			return 0, 0, err
		}
		if meta.Tier == engine.TierRaw {
			raw += n
		} else {
			windows += n
		}
	}
	return raw, windows, nil
}

// memory is what Go's heap has that is in use, the index above all, and what lies outside of it: young samples.
func (o *ours) memory() (heap, head int64) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc), o.Stats().HeadBytes
}

func (o *ours) close() error { return errors.Join(o.Close(), o.engine.Close()) }
