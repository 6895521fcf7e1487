package federate

import (
	"context"
	"errors"
	"runtime"

	"github.com/prometheus/prometheus/promql"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// refusal marks an error of an evaluation where it says no to the question: a limit, or a fault of the expression, also
// one that PromQL finds only with the series. PromQL's errors have no type of their own; what the store has got wrong is
// told from them, and makes the shard a missing one. failed is what the store said while series were looked for.
func refusal(ctx context.Context, err, failed error) error {
	var limit *query.LimitError
	var choice *query.ChoiceError
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.As(err, &limit), errors.As(err, &choice), errors.Is(err, query.ErrHistogramWindows):
		return &RefusedError{err}
	case failed != nil, ofStore(err):
		return err
	}
	return &RefusedError{err}
}

// ofStore tells whether an error is the store's or the process's, as far as such errors can be told.
func ofStore(err error) bool {
	var panicked runtime.Error
	var stored promql.ErrStorage
	var ended promql.ErrQueryCanceled
	return errors.As(err, &panicked) || errors.As(err, &stored) || errors.As(err, &ended) ||
		errors.Is(err, engine.ErrClosed) || errors.Is(err, chunk.ErrCorrupt) || errors.Is(err, context.Canceled)
}
