package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/promql"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// kind is a type of error as Prometheus names it, with its status.
type kind struct {
	name   string
	status int
}

// statusClosed is that of a client which went away before its answer; only logs of proxies show it.
const statusClosed = 499

var (
	badData     = kind{"bad_data", http.StatusBadRequest}
	tooLong     = kind{"bad_data", http.StatusRequestURITooLong}
	tooLarge    = kind{"bad_data", http.StatusRequestEntityTooLarge}
	execution   = kind{"execution", http.StatusUnprocessableEntity}
	timeout     = kind{"timeout", http.StatusServiceUnavailable}
	canceled    = kind{"canceled", statusClosed}
	unavailable = kind{"unavailable", http.StatusServiceUnavailable}
	notFound    = kind{"not_found", http.StatusNotFound}
	internal    = kind{"internal", http.StatusInternalServerError}
)

// failure is an error with its kind.
type failure struct {
	kind kind
	err  error
}

func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives the error without its kind.
func (f *failure) Unwrap() error { return f.err }

// badParam says which parameter is wrong; err tells its value and what it could be.
func badParam(name string, err error) error {
	return &failure{badData, fmt.Errorf("invalid parameter %q: %w", name, err)}
}

// fail finds the kind of an error.
func fail(err error) *failure {
	var known *failure
	var limit *query.LimitError
	var missing *federate.MissingError
	var stopped promql.ErrQueryCanceled
	var late promql.ErrQueryTimeout
	var broken promql.ErrStorage
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &limit):
		return &failure{limitKind(limit), err}
	case errors.As(err, &large):
		return &failure{tooLarge, fmt.Errorf("the body of the request has more than %d bytes: ask for less at one time", large.Limit)}
	case errors.As(err, &missing), errors.Is(err, engine.ErrClosed):
		return &failure{unavailable, err}
	case errors.As(err, &stopped), errors.Is(err, context.Canceled):
		return &failure{canceled, err}
	case errors.As(err, &late), errors.Is(err, context.DeadlineExceeded):
		return &failure{timeout, err}
	case errors.As(err, &broken):
		return &failure{internal, err}
	}
	return &failure{execution, err}
}

// limitKind is execution, but where the question as such is too much, or only too much for now.
func limitKind(limit *query.LimitError) kind {
	switch limit.Limit {
	case "steps":
		return badData
	case "timeout", "concurrent":
		return timeout
	}
	return execution
}
