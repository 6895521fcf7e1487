package peer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate"
)

// scatter is over how many shards series are scattered.
const scatter = 8

// fleet is the storage of series that are scattered by their labels.
type fleet struct {
	*shard
	stores []engine.Engine
	fleet  *federate.Fleet
}

// fixedDirectory does not change.
type fixedDirectory []federate.Member

func (d fixedDirectory) Members() []federate.Member { return d }

// scattered asks with or without having the shards compute.
func scattered(pushDown bool) stand {
	return func(t *testing.T) (promql.QueryEngine, func(testing.TB) storage.Storage) {
		inner := newEngine(t)
		engine := fleetEngine{QueryEngine: inner}
		if pushDown {
			engine.QueryEngine = federate.NewEngine(inner, 0)
		}
		onShards := newEngine(t)
		return engine, func(testing.TB) storage.Storage {
			f := &fleet{}
			var members fixedDirectory
			for i := range scatter {
				store := memory.Open(memory.Options{})
				f.stores = append(f.stores, store)
				name := fmt.Sprintf("h%d", i)
				members = append(members, federate.Member{Name: name, Shard: federate.Local{Host: name, Store: store, Query: onShards}})
			}
			f.fleet = federate.NewFleet(members, federate.Options{})
			return f
		}
	}
}

// fleetEngine asks the fleet in place of the storage that holds it.
type fleetEngine struct{ promql.QueryEngine }

func (e fleetEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, at time.Time) (promql.Query, error) {
	return e.QueryEngine.NewInstantQuery(ctx, q.(*fleet).fleet, opts, expr, at)
}

func (e fleetEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, expr string, start, end time.Time, step time.Duration) (promql.Query, error) {
	return e.QueryEngine.NewRangeQuery(ctx, q.(*fleet).fleet, opts, expr, start, end, step)
}

func (f *fleet) Querier(minT, maxT int64) (storage.Querier, error) {
	return f.fleet.Querier(minT, maxT)
}

func (f *fleet) Close() (err error) {
	for _, store := range f.stores {
		err = errors.Join(err, store.Close())
	}
	return err
}

func (f *fleet) AppenderV2(ctx context.Context) storage.AppenderV2 {
	a := &fleetAppender{}
	for _, store := range f.stores {
		a.shards = append(a.shards, &appender{ctx: ctx, store: store})
	}
	return a
}

// fleetAppender gives each series to one shard.
type fleetAppender struct{ shards []*appender }

func (a *fleetAppender) Append(_ storage.SeriesRef, lset labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AppendV2Options) (storage.SeriesRef, error) {
	return a.shards[lset.Hash()%scatter].Append(0, lset, st, t, v, h, fh, opts)
}

func (a *fleetAppender) Commit() (err error) {
	for _, shard := range a.shards {
		err = errors.Join(err, shard.Commit())
	}
	return err
}

func (a *fleetAppender) Rollback() (err error) {
	for _, shard := range a.shards {
		err = errors.Join(err, shard.Rollback())
	}
	return err
}
