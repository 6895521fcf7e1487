package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"
)

// Options are how a Fleet asks. Zero values are the defaults.
type Options struct {
	// Concurrent is how many shards are asked at one time (256).
	Concurrent int
	// Timeout is how long a shard may take from when it is asked (10 s).
	Timeout time.Duration
	// HedgeAfter is how long a shard may be silent before it is asked a second time beside (2 s).
	HedgeAfter time.Duration
	// Complete refuses an answer when a shard is missing, in place of a warning.
	Complete bool
	// MaxBytes bounds the raw series that are held for one selector, about (256 MiB), MaxCells the values that are held
	// for the parts of one query (16 million).
	MaxBytes int64
	MaxCells int
}

func (o Options) withDefaults() Options {
	if o.Concurrent <= 0 {
		o.Concurrent = 256
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.HedgeAfter <= 0 {
		o.HedgeAfter = 2 * time.Second
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	if o.MaxCells <= 0 {
		o.MaxCells = 16 << 20
	}
	return o
}

// Pruner is a Directory that knows which shards can have series.
type Pruner interface {
	// MayHave is false only where the shard has no series that match.
	MayHave(member Member, matchers []*labels.Matcher) bool
}

// RefusedError is an answer of a shard that says no: asking again gives the same.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// MissingError says which hosts did not answer.
type MissingError struct {
	// Hosts are their names, Asked is how many were asked.
	Hosts []string
	Asked int
	// First is why the first of them did not.
	First error
}

// maxNamed bounds the hosts that a text names.
const maxNamed = 10

func (e *MissingError) Error() string {
	named := e.Hosts[:min(len(e.Hosts), maxNamed)]
	text := fmt.Sprintf("%d of %d hosts did not answer, and their series are missing: %s", len(e.Hosts), e.Asked, strings.Join(named, ", "))
	if more := len(e.Hosts) - len(named); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s (%s: %v); see «novacron host list»", text, e.Hosts[0], e.First)
}

// warning is a MissingError as PromQL's warning.
func (e *MissingError) warning() annotations.Annotations {
	all := annotations.New()
	return all.Add(fmt.Errorf("%w: %w", annotations.PromQLWarning, e))
}

// each asks all members at most Concurrent at a time, and hands the answers to take, one after the other. Who does not
// answer is missing; who refuses, or an error of take, ends it.
func each[T any](ctx context.Context, o Options, members []Member, ask func(context.Context, Member) (T, error), take func(Member, T) error) (*MissingError, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	reasons := map[string]error{}
	deliver := func(m Member, answer T, err error) {
		mu.Lock()
		defer mu.Unlock()
		var refused *RefusedError
		switch {
		case ctx.Err() != nil && err != nil:
		case errors.As(err, &refused):
			cancel(fmt.Errorf("host %s: %w", m.Name, err))
		case err != nil:
			reasons[m.Name] = err
		default:
			if err := take(m, answer); err != nil {
				cancel(err)
			}
		}
	}
	next := make(chan Member)
	var workers sync.WaitGroup
	for range min(o.Concurrent, len(members)) {
		workers.Go(func() {
			for m := range next {
				answer, err := hedged(ctx, o, func(ctx context.Context) (T, error) { return ask(ctx, m) })
				deliver(m, answer, err)
			}
		})
	}
	for _, m := range members {
		next <- m
	}
	close(next)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return missing(members, reasons, o)
}

func missing(members []Member, reasons map[string]error, o Options) (*MissingError, error) {
	if len(reasons) == 0 {
		return nil, nil
	}
	e := &MissingError{Asked: len(members)}
	for name := range reasons {
		e.Hosts = append(e.Hosts, name)
	}
	slices.Sort(e.Hosts)
	e.First = reasons[e.Hosts[0]]
	if o.Complete {
		return nil, fmt.Errorf("the answer would not be complete: %w", e)
	}
	return e, nil
}

// hedged asks, and asks again where there was an error or silence; the first answer counts. The time of both is bounded
// together.
func hedged[T any](ctx context.Context, o Options, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("no answer within %s", o.Timeout))
	defer cancel()
	type result struct {
		answer T
		err    error
	}
	results := make(chan result, 2)
	begin := func() {
		answer, err := ask(ctx)
		results <- result{answer, err}
	}
	go begin()
	hedge := time.NewTimer(o.HedgeAfter)
	defer hedge.Stop()
	open, asked := 1, 1
	again := func() {
		if asked == 1 {
			open, asked = open+1, 2
			go begin()
		}
	}
	var last error
	for {
		select {
		case r := <-results:
			open--
			var refused *RefusedError
			if r.err == nil || errors.As(r.err, &refused) {
				return r.answer, r.err
			}
			last = r.err
			if again(); open == 0 {
				return r.answer, last
			}
		case <-hedge.C:
			again()
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
}
