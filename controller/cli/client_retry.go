package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"connectrpc.com/connect"
)

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

// retrier repeats calls that the cluster could not take just now, such as while it elects a leader: after a pause, on the
// next controller, until the timeout. Every call of the API may be repeated: reads are harmless, creations carry a
// request id, and the others ask for a state that they reach once.
type retrier struct {
	timeout   time.Duration
	endpoints *failover
}

// WrapUnary implements connect.Interceptor.
func (r *retrier) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (resp connect.AnyResponse, err error) {
		ctx, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		err = r.do(ctx, func(ctx context.Context, _ func()) error {
			resp, err = next(ctx, req)
			return err
		})
		return resp, err
	}
}

// WrapStreamingClient implements connect.Interceptor. Streams are repeated by their callers, who know where to go on.
func (r *retrier) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements connect.Interceptor.
func (r *retrier) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// do calls until the answer is something else than «unavailable», or the timeout has passed since the first of a row of
// failures without news between.
// The call tells news, such as a message received, by its second argument.
func (r *retrier) do(ctx context.Context, call func(ctx context.Context, news func()) error) error {
	track := new(trail)
	var failing time.Time // since when
	failures := 0
	news := func() {
		failures = 0
		track.clear()
	}
	for {
		err := call(withTrail(ctx, track), news)
		switch {
		case refused(err):
			return unaccepted(err, track)
		case err == nil || !temporary(ctx, err):
			return r.late(ctx, err, track)
		}
		if !errors.Is(err, errNoConnection) {
			track.fail(reason(err))
			r.endpoints.leave(track.last())
		}
		if failures == 0 {
			failing = time.Now()
		}
		if pause := backoff(failures); time.Since(failing)+pause > r.timeout || !sleep(ctx, pause) {
			return r.late(ctx, r.unreachable(err, track), track)
		}
		failures++
	}
}

// unreachable tells which endpoints were tried and why each failed.
func (r *retrier) unreachable(err error, track *trail) error {
	return &fault{
		what:    "the cluster did not answer within " + formatDuration(r.timeout),
		details: track.lines(),
		hint:    "check the controllers and the endpoints (`novacron config show`), or raise --timeout",
		cause:   err,
	}
}

// unaccepted tells that a controller was there and did not want us.
func unaccepted(err error, track *trail) error {
	return &fault{
		what:  fmt.Sprintf("%s does not accept this certificate: %s", track.last(), reason(err)),
		hint:  wayOut(connect.CodeUnauthenticated),
		cause: err,
	}
}

// late tells a call that ran out of time from one that the user stopped.
func (r *retrier) late(ctx context.Context, err error, track *trail) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	if err == nil || connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		return err
	}
	track.failSilent(errors.New("no answer yet"))
	return r.unreachable(err, track)
}

// temporary reports whether the call may do better later or elsewhere. A connection that breaks while we write to it
// comes as «canceled», though nobody has.
func temporary(ctx context.Context, err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeUnavailable || code == connect.CodeCanceled && ctx.Err() == nil
}

// refused reports whether a controller ended the handshake: it does not want this certificate, and no other one will.
func refused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// reason is an answer without the code that everybody can guess.
func reason(err error) error {
	if answer, ok := errors.AsType[*connect.Error](err); ok {
		return errors.New(answer.Message())
	}
	return err
}

// backoff doubles from failure to failure; half of it is chance, so that clients do not come back all at once.
func backoff(failures int) time.Duration {
	pause := min(maxPause, firstPause<<min(failures, 10))
	return pause/2 + rand.N(pause/2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
