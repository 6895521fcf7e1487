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
	// RelayFrom is from how many shards on that are to evaluate some of them are asked about the others (64). Below 0 all are
	// asked directly.
	RelayFrom int
	// Complete refuses an answer when a shard is missing, in place of a warning.
	Complete bool
	// MaxBytes bounds the raw series that are held for one selector, about, and beside them the answers that arrive at one
	// time for one query (256 MiB). MaxCells bounds the values that are held for the parts of one query (16 million), what
	// their series take besides counted as values of 8 bytes. MaxSeries bounds the series of the parts (1 million).
	MaxBytes            int64
	MaxCells, MaxSeries int

	// narrowFrom is from how many values on bounds are sought before values are ranked, sample of how many series for that at
	// least, and deviations how many standard deviations the bounds are away from the guess.
	narrowFrom, sample int
	deviations         float64
	// leadFrom is from how many shards, and firstsFrom from how many values of theirs on bounds are sought before the first
	// values are asked for.
	leadFrom, firstsFrom int

	// extra bounds second requests.
	extra *allowance
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
	if o.RelayFrom == 0 {
		o.RelayFrom = relayFrom
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	if o.MaxCells <= 0 {
		o.MaxCells = 16 << 20
	}
	if o.MaxSeries <= 0 {
		o.MaxSeries = 1_000_000
	}
	if o.narrowFrom <= 0 {
		o.narrowFrom = 1 << 18
	}
	if o.sample <= 0 {
		o.sample = 512
	}
	if o.deviations <= 0 {
		o.deviations = 4.5 // about one step in 100,000 is missed
	}
	if o.leadFrom <= 0 {
		o.leadFrom = 64
	}
	if o.firstsFrom <= 0 {
		o.firstsFrom = 1 << 13
	}
	o.extra = &allowance{}
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
	q, cancel := newInquiry(ctx, o, ask, take)
	defer cancel()
	q.all(members)
	return q.finish(members)
}

// inquiry is one question to many members.
type inquiry[T any] struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	o      Options
	ask    func(context.Context, Member) (T, error)
	take   func(Member, T) error
	held   *holding

	mu      sync.Mutex
	reasons map[string]error
}

func newInquiry[T any](ctx context.Context, o Options, ask func(context.Context, Member) (T, error), take func(Member, T) error) (q *inquiry[T], cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	return &inquiry[T]{ctx: ctx, cancel: end, o: o, ask: ask, take: take, held: &holding{most: o.MaxBytes}, reasons: map[string]error{}}, func() { end(nil) }
}

// deliver hands on an answer, or why there is none.
func (q *inquiry[T]) deliver(m Member, answer T, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var refused *RefusedError
	switch {
	case q.ctx.Err() != nil && err != nil:
	case errors.As(err, &refused):
		q.cancel(fmt.Errorf("host %s: %w", m.Name, err))
	case err != nil:
		q.reasons[m.Name] = err
	default:
		if err := guarded(m, func() error { return q.take(m, answer) }); err != nil {
			q.cancel(err)
		}
	}
}

// one asks a member, whose answer is held until it is taken.
func (q *inquiry[T]) one(m Member) {
	if q.ctx.Err() != nil {
		return // it is over: those that are left are not asked, and allow no second requests
	}
	ctx, share := q.held.share(q.ctx)
	defer share.release()
	answer, err := hedged(ctx, q.o, func(ctx context.Context) (T, error) { return q.once(ctx, m) })
	q.deliver(m, answer, err)
}

// once asks a member a single time.
func (q *inquiry[T]) once(ctx context.Context, m Member) (answer T, err error) {
	err = guarded(m, func() (err error) { answer, err = q.ask(ctx, m); return err })
	return answer, err
}

// all asks members, at most Concurrent at a time.
func (q *inquiry[T]) all(members []Member) {
	next := make(chan Member)
	var workers sync.WaitGroup
	for range min(q.o.Concurrent, len(members)) {
		workers.Go(func() {
			for m := range next {
				q.one(m)
			}
		})
	}
	for _, m := range members {
		next <- m
	}
	close(next)
	workers.Wait()
}

// finish tells who is missing of those that were asked.
func (q *inquiry[T]) finish(members []Member) (*MissingError, error) {
	if err := context.Cause(q.ctx); err != nil {
		return nil, err
	}
	return missing(members, q.reasons, q.o)
}

// guarded makes an error of a panic over what a host answers: nobody else catches those of each's goroutines, and they
// would end the process.
func guarded(m Member, do func() error) (err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("host %s: its answer cannot be computed with: %v", m.Name, why)
		}
	}()
	return do()
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

// hedged asks, and asks again where there was an error or silence and second requests are left; the first answer counts.
// The time of both is bounded together: ask has to return soon after its context ends, or the whole question waits for it.
// The first request is made in the goroutine of the caller, and one beside it only where it is needed: a goroutine for each
// of a thousand calls costs as much as what the calls are about. So the second one is made by whoever is first to see that it
// is needed: the timer beside a first one that is silent, or the caller after a first one that failed before.
func hedged[T any](ctx context.Context, o Options, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("no answer within %s", o.Timeout))
	defer cancel()
	o.extra.earn()
	again := &oneMore[T]{extra: o.extra, results: make(chan result[T], 1)}
	hedge := time.AfterFunc(o.HedgeAfter, func() {
		if !again.begin() {
			return
		}
		answer, err := ask(ctx)
		if again.results <- (result[T]{answer, err}); final(err) {
			cancel() // the first is not waited for any more
		}
	})
	answer, err := ask(ctx)
	hedge.Stop()
	switch {
	case final(err):
		return answer, err
	case ctx.Err() == nil && again.begin():
		answer, err = ask(ctx)
	default:
		answer, err = again.wait(ctx, answer, err)
	}
	if !final(err) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return answer, err
}

// final tells whether asking again gives nothing else.
func final(err error) bool {
	var refused *RefusedError
	return err == nil || errors.As(err, &refused)
}

type result[T any] struct {
	answer T
	err    error
}

// oneMore is the second request that a question may make of a shard.
type oneMore[T any] struct {
	extra   *allowance
	results chan result[T] // of the one beside the first
	mu      sync.Mutex
	asked   bool
}

// begin tells whether it may be made, and is to be made by who asks: of the two that may, only one is told so.
func (s *oneMore[T]) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked || !s.extra.take() {
		return false
	}
	s.asked = true
	return true
}

// wait gives what came of the second request beside the first, once that has failed: the first's own outcome where none was
// made, or nothing came of it in time.
func (s *oneMore[T]) wait(ctx context.Context, answer T, err error) (T, error) {
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	if !asked {
		return answer, err
	}
	select {
	case r := <-s.results:
		return r.answer, r.err
	case <-ctx.Done():
	}
	// The second ends the context when it is answered, and its answer is there by then: of two that are ready a select takes
	// either, so that it has to be looked for again.
	select {
	case r := <-s.results:
		return r.answer, r.err
	default:
		return answer, err
	}
}
