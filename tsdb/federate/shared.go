package federate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/novacron/novacron/tsdb/federate/cache"
	"github.com/novacron/novacron/tsdb/federate/flight"
	"github.com/novacron/novacron/tsdb/query"
)

// sharedKey is a question: those with the same one have the same answer at one time.
type sharedKey struct {
	cache.Key
	start, end int64
	complete   bool
	// of is the fleet's, whatever is asked of it.
	of *allowance
}

// sharing are the questions that an engine is answering.
type sharing = flight.Group[sharedKey, sharedAnswer]

// sharedAnswer is what a question came to: whose text was asked, and what has its values until it is closed.
type sharedAnswer struct {
	expr   string
	query  promql.Query // nil: it could not be prepared
	result *promql.Result
}

// sharedQuery is one of many who may ask the same at one time, as those do who have a dashboard open: one of them has it
// evaluated, and the others wait for that answer, each for as long as it may. A question that is asked once the answer is
// there is evaluated anew. So an answer lacks what came while it was computed, and no more.
type sharedQuery struct {
	engine    *Engine
	expr      string
	key       sharedKey
	statement parser.Statement
	// open prepares the question for whoever is first.
	open func(context.Context) (promql.Query, error)

	mu     sync.Mutex
	cancel context.CancelFunc // ends Exec
	// leave gives up what was shared; alone is what was evaluated for this one only.
	leave func()
	alone promql.Query
	stats *stats.Statistics
}

// shares tells whether a query may be answered together with others: one that is traced, or that counts by step, tells of
// itself alone.
func (e *Engine) shares(ctx context.Context, opts promql.QueryOpts) bool {
	return e.sharing != nil && traceOf(ctx) == nil && (opts == nil || !opts.EnablePerStepStats())
}

func (e *Engine) shared(fleet *Fleet, expr string, p *planned, statement parser.Statement, open func(context.Context) (promql.Query, error)) *sharedQuery {
	key := sharedKey{Key: keyOf(p), start: p.times.Start, end: p.times.last(), complete: fleet.opts.Complete, of: fleet.opts.extra}
	if p.reach.Whole != "" {
		key.end = p.times.End // which @ end() and range() see
	}
	return &sharedQuery{
		engine: e, expr: expr, statement: statement, open: open, key: key,
		stats: &stats.Statistics{Timers: stats.NewQueryTimers(), Samples: stats.NewQuerySamples(false)},
	}
}

// Exec waits for the answer. One that took too long since it was begun before is asked for again.
func (q *sharedQuery) Exec(ctx context.Context) *promql.Result {
	timed, cancel := context.WithTimeout(ctx, q.engine.inner.Limits().Timeout)
	defer cancel()
	q.mu.Lock()
	q.cancel = cancel
	q.mu.Unlock()
	for {
		f, first := q.engine.sharing.Join(ctx, q.key, q.evaluate, closeAnswer)
		select {
		case <-f.Done():
		case <-timed.Done():
			f.Leave()
			return &promql.Result{Err: q.ended(ctx, timed)}
		}
		answer := f.Value()
		switch {
		case !first && tookTooLong(answer.result.Err) && timed.Err() == nil:
			f.Leave()
			continue
		case answer.expr != q.expr && len(answer.result.Warnings) > 0: // they name places in the text
			f.Leave()
			return q.execAlone(timed)
		}
		if !first {
			q.engine.cache.NoteShared()
		}
		q.leave = f.Leave
		if answer.query != nil {
			q.stats = answer.query.Stats()
		}
		return copyOf(answer.result)
	}
}

// ended is why there is no answer: the caller has no time any more, or the query may take no more.
func (q *sharedQuery) ended(ctx, timed context.Context) error {
	if ctx.Err() == nil && errors.Is(timed.Err(), context.DeadlineExceeded) {
		return lateError(q.engine.inner.Limits())
	}
	return fmt.Errorf("waiting for the answer: %w", timed.Err())
}

// lateError says that a query took longer than it may.
func lateError(limits query.Limits) error {
	return &query.LimitError{Limit: "timeout", Reached: "more", Max: limits.Timeout.String(), Way: "ask for less time or fewer series, or raise the limit"}
}

func tookTooLong(err error) bool {
	limit, is := errors.AsType[*query.LimitError](err)
	return is && limit.Limit == "timeout"
}

// evaluate is what the first one has done for all.
func (q *sharedQuery) evaluate(ctx context.Context) sharedAnswer {
	prepared, err := q.open(ctx)
	if err != nil {
		return sharedAnswer{expr: q.expr, result: &promql.Result{Err: err}}
	}
	result := *prepared.Exec(ctx)
	result.Warnings = settledNotes(result.Warnings, q.expr)
	return sharedAnswer{q.expr, prepared, &result}
}

// placed is an annotation that is told a text when it is rendered, to say where in it something is.
type placed interface {
	error
	SetQuery(text string)
}

// note is an annotation whose text is settled.
type note struct {
	text string
	kind error
}

func (n note) Error() string { return n.text }
func (n note) Unwrap() error { return n.kind }

// settledNotes are annotations with their places in a text, which many may render at one time.
func settledNotes(all annotations.Annotations, text string) annotations.Annotations {
	next := make(annotations.Annotations, len(all))
	for key, err := range all {
		if at, is := errors.AsType[placed](err); is {
			at.SetQuery(text)
			kind := annotations.PromQLWarning
			if errors.Is(err, annotations.PromQLInfo) {
				kind = annotations.PromQLInfo
			}
			err = note{err.Error(), kind}
		}
		next[key] = err
	}
	return next
}

func closeAnswer(a sharedAnswer) {
	if a.query != nil {
		a.query.Close()
	}
}

func (q *sharedQuery) execAlone(ctx context.Context) *promql.Result {
	prepared, err := q.open(ctx)
	if err != nil {
		return &promql.Result{Err: err}
	}
	q.alone = prepared
	result := prepared.Exec(ctx)
	q.stats = prepared.Stats()
	return result
}

// copyOf is a result of which the caller may leave out and reorder series. Their values and the annotations are shared.
func copyOf(r *promql.Result) *promql.Result {
	next := &promql.Result{Err: r.Err, Value: r.Value, Warnings: maps.Clone(r.Warnings)}
	if next.Warnings == nil {
		next.Warnings = annotations.Annotations{}
	}
	switch v := r.Value.(type) {
	case promql.Matrix:
		next.Value = slices.Clone(v)
	case promql.Vector:
		next.Value = slices.Clone(v)
	}
	return next
}

// Statement is what was asked.
func (q *sharedQuery) Statement() parser.Statement { return q.statement }

// String is the expression that was asked.
func (q *sharedQuery) String() string { return q.expr }

// Stats are those of the evaluation, whoever had it done.
func (q *sharedQuery) Stats() *stats.Statistics { return q.stats }

// Cancel ends Exec. The evaluation goes on for others, if there are any.
func (q *sharedQuery) Cancel() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cancel != nil {
		q.cancel()
	}
}

// Close gives the values of the answer back.
func (q *sharedQuery) Close() {
	if q.leave != nil {
		q.leave()
		q.leave = nil
	}
	if q.alone != nil {
		q.alone.Close()
	}
}
