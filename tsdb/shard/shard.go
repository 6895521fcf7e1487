// Package shard keeps the metrics of one node: MetricsStorage over the durable engine or the one in memory.
package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/query"
)

// Options make a Shard. The zero value keeps samples in memory.
type Options struct {
	// Dir is the folder of the shard; empty keeps everything in memory, where it is gone with the process.
	Dir string
	// ReadOnly opens a folder that is there without changing it.
	ReadOnly bool
	// Sync is the longest that a stored sample may stay out of stable storage; 0 stores it at once.
	Sync time.Duration
	// Limits bound what series there may be; the zero value means index.DefaultLimits.
	Limits index.Limits
	// Query bounds what a query may take.
	Query query.Limits
	// References bounds how many label sets keep their reference to the engine at hand; 100,000. Each takes about as
	// much memory as its labels and 100 bytes.
	References int
	// MaxSamples bounds the samples of a shard in memory; 10 million.
	MaxSamples int
	// Maintain is how often upkeep is done: every minute. Negative: only when Maintain is called.
	Maintain time.Duration
	// Clock is the clock; nil means time.Now.
	Clock func() time.Time
	// Logger is told what an operator should know; nil means slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Limits == (index.Limits{}) {
		o.Limits = index.DefaultLimits()
	}
	if o.References <= 0 {
		o.References = 100_000
	}
	if o.MaxSamples <= 0 {
		o.MaxSamples = 10_000_000
	}
	if o.Maintain == 0 {
		o.Maintain = time.Minute
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Shard is the metrics of one node. It is made by Open and has to be closed.
type Shard struct {
	options Options
	engine  engine.Engine
	// durable is the engine where there is a folder, else nil.
	durable   *durable.Store
	memory    *memory.Engine
	queries   *query.Engine
	refs      *references
	names     *names
	counts    counts
	summaries summaries
	// onward is nil where nobody else wants what is stored.
	onward    Onward
	admission admission

	// configuring is held while policies change.
	configuring sync.Mutex
	policies    policies

	stop context.CancelFunc
	idle sync.WaitGroup
}

var _ tsdb.MetricsStorage = (*Shard)(nil)

// ErrNoShard says that a folder holds no shard.
var ErrNoShard = errors.New("no metric shard")

// Open opens the shard in Options.Dir, which it makes where it is missing, or makes one in memory.
func Open(options Options) (*Shard, error) {
	s := &Shard{options: options.withDefaults(), refs: newReferences(options.withDefaults().References), policies: defaultPolicies()}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Shard) open() (err error) {
	if s.options.ReadOnly {
		if err := Exists(s.options.Dir); err != nil {
			return err
		}
	}
	if s.policies, err = readPolicies(s.path(policyFile)); err != nil {
		return err
	}
	if s.names, err = readNames(s.path(namesFile), s.options); err != nil {
		return err
	}
	activeLog := s.path("queries.active")
	if s.options.ReadOnly {
		activeLog = ""
	}
	if s.queries, err = query.New(query.Options{Limits: s.options.Query, ActiveLog: activeLog, Tiers: s.tiers, Logger: s.options.Logger}); err != nil {
		return err
	}
	if s.options.Dir == "" {
		err = s.openMemory()
	} else {
		err = s.openDurable()
	}
	if err != nil {
		return err
	}
	return s.readLimits()
}

// tiers says how far back the tiers go.
func (s *Shard) tiers() query.Tiers {
	if s.durable == nil {
		return query.Tiers{Since: [3]int64{math.MinInt64, math.MinInt64, math.MinInt64}}
	}
	return query.Tiers{Since: s.durable.Since()}
}

// path is a file in the shard's folder, empty in memory.
func (s *Shard) path(name string) string {
	if s.options.Dir == "" {
		return ""
	}
	return filepath.Join(s.options.Dir, name)
}

// Exists says whether a folder holds a shard: ErrNoShard where it does not.
func Exists(dir string) error {
	for _, part := range []string{"blocks", "log"} {
		if info, err := os.Stat(filepath.Join(dir, part)); err == nil && info.IsDir() {
			return nil
		}
	}
	return fmt.Errorf("%w in %q: it has neither blocks/ nor log/", ErrNoShard, dir)
}

func (s *Shard) openDurable() error {
	retention, tiers, err := s.policies.durable()
	if err != nil {
		return err
	}
	store, err := durable.Open(s.options.Dir, durable.Options{
		Sync: s.options.Sync, Limits: s.options.Limits, Retention: retention, Tiers: tiers, ReadOnly: s.options.ReadOnly,
		Maintain: s.options.Maintain, Clock: s.options.Clock, Log: s.options.Logger,
	})
	if err != nil {
		return err
	}
	s.engine, s.durable, s.admission.store = store, store, store
	return nil
}

func (s *Shard) openMemory() error {
	s.memory = memory.Open(memory.Options{
		Retention: s.policies.longestRaw(), OutOfOrder: outOfOrder, Ahead: ahead, MaxSamples: s.options.MaxSamples,
		Series: s.options.Limits, Now: s.options.Clock, Logger: s.options.Logger,
	})
	s.engine, s.admission.store = s.memory, s.memory
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.options.Maintain > 0 {
		s.idle.Go(func() { s.maintainNowAndThen(ctx) })
	}
	return nil
}

// What the engine in memory takes: samples as much out of order, and as far ahead of the clock, as the durable one.
const (
	outOfOrder = 30 * time.Minute
	ahead      = 10 * time.Minute
)

// Engine is what the shard keeps its samples in, for readers.
func (s *Shard) Engine() engine.Engine { return s.engine }

// Durable is the engine of a shard with a folder, else nil.
func (s *Shard) Durable() *durable.Store { return s.durable }

// Queries is the engine that the shard's queries go through, with its limits.
func (s *Shard) Queries() *query.Engine { return s.queries }

// Close ends the shard. What was stored before is in stable storage when it returns without an error.
func (s *Shard) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.idle.Wait()
	var errs []error
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if s.queries != nil {
		errs = append(errs, s.queries.Close())
	}
	if s.names != nil {
		errs = append(errs, s.names.save())
	}
	return errors.Join(errs...)
}
