package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/novacron/novacron/tsdb/query"
)

// handler answers one request. What it returns is sent as Prometheus sends errors.
type handler func(*answer, *http.Request) error

// wrap bounds a request, reads its form, and sends what comes of it.
func (a *api) wrap(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// A client that does not read must not hold an answer for ever. Writers without deadlines are those of tests.
		_ = control.SetWriteDeadline(time.Now().Add(2 * a.Limits.Timeout))
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
		ctx, cancel := context.WithTimeout(r.Context(), a.Limits.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		out := newAnswer(w, r, a.zips)
		defer out.release()
		err := a.form(w, r)
		if err == nil {
			err = h(out, r)
		}
		if err == nil {
			err = out.close()
		}
		if err != nil {
			out.fail(fail(err))
		}
	})
}

// form reads the parameters.
func (a *api) form(w http.ResponseWriter, r *http.Request) error {
	if n := len(r.URL.Path) + len(r.URL.RawQuery); n > a.Limits.URL {
		return &failure{tooLong, fmt.Errorf("the URL has %d bytes, at most %d: send the parameters as a form with POST", n, a.Limits.URL)}
	}
	r.Body = http.MaxBytesReader(w, r.Body, a.Limits.Body)
	err := r.ParseForm()
	if err == nil {
		if err = r.ParseMultipartForm(a.Limits.Body); errors.Is(err, http.ErrNotMultipart) {
			err = nil
		}
	}
	var large *http.MaxBytesError
	if err != nil && !errors.As(err, &large) {
		return &failure{badData, fmt.Errorf("the parameters cannot be read: %w", err)}
	}
	return err
}

// limited holds one of the slots for requests that read data, until the answer is sent.
func (a *api) limited(h handler) handler {
	return func(out *answer, r *http.Request) error {
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
			return h(out, r)
		case <-r.Context().Done():
			if errors.Is(r.Context().Err(), context.Canceled) {
				return context.Canceled
			}
			return &query.LimitError{Limit: "concurrent", Reached: fmt.Sprintf("%d others running until time was up", cap(a.slots)), Max: fmt.Sprint(cap(a.slots)),
				Way: "ask again later, or raise the limit"}
		}
	}
}

// source is what a request reads: the parameter partial_response=0 refuses answers in which hosts are missing.
func (a *api) source(r *http.Request, without bool) (Source, error) {
	partial, err := boolParam(r, "partial_response", without)
	if err != nil {
		return nil, err
	}
	if partial {
		return a.Source, nil
	}
	return a.Complete, nil
}
