package federate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// sick is a store that fails by itself.
type sick struct {
	engine.Engine
	fault func(engine.SeriesSet) (engine.SeriesSet, error)
}

func (s sick) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	set, err := s.Engine.Select(ctx, sel)
	if err != nil {
		return nil, err
	}
	return s.fault(set)
}

// torn is a set whose samples cannot be read.
type torn struct{ engine.SeriesSet }

func (s torn) At() engine.Series { return tornSeries{s.SeriesSet.At()} }

type tornSeries struct{ engine.Series }

func (tornSeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return tornIterator{chunkenc.NewNopIterator()}
}

type tornIterator struct{ chunkenc.Iterator }

func (tornIterator) Err() error { return chunk.ErrCorrupt }

// odd is a set that panics.
type odd struct{ engine.SeriesSet }

func (odd) Next() bool {
	var none engine.SeriesSet
	return none.Next()
}

// TestFaultsOfAStoreAreNoRefusals: the host is missing, and the others answer.
func TestFaultsOfAStoreAreNoRefusals(t *testing.T) {
	for name, fault := range map[string]func(engine.SeriesSet) (engine.SeriesSet, error){
		"closed":  func(engine.SeriesSet) (engine.SeriesSet, error) { return nil, engine.ErrClosed },
		"no disk": func(engine.SeriesSet) (engine.SeriesSet, error) { return nil, errors.New("input/output error") },
		"torn":    func(set engine.SeriesSet) (engine.SeriesSet, error) { return torn{set}, nil },
		"panic":   func(set engine.SeriesSet) (engine.SeriesSet, error) { return odd{set}, nil },
	} {
		for _, expr := range []string{`count(up)`, `count(label_replace(up, "a", "b", "", ""))`} { // fast, and not
			t.Run(name+" "+expr, func(t *testing.T) {
				w := illWorld(t, nil)
				all := w.fleet.directory.(members)
				local := all[3].Shard.(Local)
				local.Store = sick{local.Store, fault}
				all[3].Shard = local
				_, err := local.Evaluate(t.Context(), Evaluation{Exprs: []string{expr}, Start: 300 * second})
				require.Error(t, err)
				require.NotErrorAs(t, err, new(*RefusedError))
				result := w.ask(t, w.engine, w.fleet, expr, query.Range{Start: time.UnixMilli(300 * second)})
				require.NoError(t, result.Err)
				warnings, _ := result.Warnings.AsStrings("", 0, 0)
				require.Len(t, warnings, 1)
				assert.Contains(t, warnings[0], "1 of 8 hosts did not answer, and their series are missing: h3")
			})
		}
	}
}

// TestWhatTheQuestionGetsWrongIsRefused, as every shard would say it.
func TestWhatTheQuestionGetsWrongIsRefused(t *testing.T) {
	w := illWorld(t, nil)
	w.add(t, 0, series{lset: labels.FromStrings("__name__", "up", "host", "h0", "more", "1"), times: []int64{300 * second}, values: []float64{1}})
	shard := w.fleet.directory.(members)[0].Shard
	for _, expr := range []string{
		`sum(`, `up + on (host) up`, `label_replace(up, "host", "$1", "host", "(")`, `count(up{__tier__="9m:sum"})`, `up{__tier__!="raw"}`,
	} {
		_, err := shard.Evaluate(t.Context(), Evaluation{Exprs: []string{expr}, Start: 300 * second})
		require.ErrorAs(t, err, new(*RefusedError), expr)
	}
}
