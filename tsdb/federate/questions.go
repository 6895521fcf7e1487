package federate

import (
	"context"
	"time"

	"github.com/novacron/novacron/tsdb/query"
)

// Questions answers PromQL over a fleet, for those who do not want PromQL's types.
type Questions struct {
	Engine *Engine
	Fleet  *Fleet
}

// Instant evaluates an expression at one time. Where the answer has to be complete, a missing shard fails it with a
// *MissingError.
func (q Questions) Instant(ctx context.Context, expr string, at time.Time, complete bool) (query.Answer, error) {
	started := time.Now()
	prepared, err := q.Engine.NewInstantQuery(ctx, q.Fleet.WithComplete(complete), nil, expr, at)
	if err != nil {
		return query.Answer{}, err
	}
	return query.Run(ctx, prepared, started)
}

// Range evaluates an expression at many times, as Instant does at one.
func (q Questions) Range(ctx context.Context, expr string, r query.Range, complete bool) (query.Answer, error) {
	started := time.Now()
	if err := r.Check(); err != nil {
		return query.Answer{}, err
	}
	prepared, err := q.Engine.NewRangeQuery(ctx, q.Fleet.WithComplete(complete), nil, expr, r.Start, r.End, r.Step)
	if err != nil {
		return query.Answer{}, err
	}
	return query.Run(ctx, prepared, started)
}
