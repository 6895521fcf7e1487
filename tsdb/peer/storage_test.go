package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/query"
)

// subject is a kind of store under test.
type subject struct {
	// open opens a store that takes samples of any time.
	open func(t testing.TB, dir string) engine.Engine
	// settle moves all that a store holds to where it stays; nil where nothing outlives a Close.
	settle func(testing.TB, engine.Engine)
}

// engines are the stores under test, by name.
var engines = map[string]subject{
	"memory": {open: func(testing.TB, string) engine.Engine { return memory.Open(memory.Options{}) }},
	"durable": {
		open: func(t testing.TB, dir string) engine.Engine {
			store, err := durable.Open(dir, durable.Options{AnyAge: true, Ahead: -1, Sync: time.Hour, Maintain: -1, Log: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			return store
		},
		settle: func(t testing.TB, e engine.Engine) {
			require.NoError(t, e.(*durable.Store).Flush(t.Context()))
			require.NoError(t, e.(*durable.Store).Maintain(t.Context()))
		},
	},
}

// shard is an engine as Prometheus's storage. What it does not name is not called by the tests.
type shard struct {
	storage.Storage
	query.Queryable
	store engine.Engine
}

func newShard(store engine.Engine) *shard {
	return &shard{Queryable: query.NewQueryable(store), store: store}
}

func (s *shard) Querier(minT, maxT int64) (storage.Querier, error) {
	return s.Queryable.Querier(minT, maxT)
}

func (s *shard) ChunkQuerier(minT, maxT int64) (storage.ChunkQuerier, error) {
	return s.Queryable.ChunkQuerier(minT, maxT)
}

func (s *shard) Close() error { return s.store.Close() }

func (s *shard) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &appender{ctx: ctx, store: s.store}
}

// appender gathers one batch.
type appender struct {
	ctx   context.Context
	store engine.Engine
	batch engine.Batch
}

func (a *appender) Append(_ storage.SeriesRef, lset labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	ref, err := a.store.Ref(lset)
	if err != nil {
		return 0, err
	}
	if h != nil || fh != nil {
		a.batch.Histograms = append(a.batch.Histograms, engine.HistogramSample{Ref: ref, T: t, ST: st, Int: h, Float: fh})
	} else {
		if st != 0 {
			a.batch.Starts = append(a.batch.Starts, engine.Start{Index: len(a.batch.Samples), ST: st})
		}
		a.batch.Samples = append(a.batch.Samples, engine.Sample{Ref: ref, T: t, V: v})
	}
	return storage.SeriesRef(ref), nil
}

func (a *appender) Commit() error {
	done, err := a.store.Append(a.ctx, a.batch)
	a.batch = engine.Batch{}
	for _, refusal := range done.Refused {
		err = errors.Join(err, fmt.Errorf("commit: %w", &refusal))
	}
	return err
}

func (a *appender) Rollback() error { a.batch = engine.Batch{}; return nil }
