package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
)

// failover sends every request to one of several controllers. It goes on to the next one only while no connection
// stands, so nothing is ever sent twice here; answers are retrier's matter.
type failover struct {
	learner
	next      http.RoundTripper
	endpoints []string

	mu      sync.Mutex
	current int
}

// Do implements connect.HTTPClient.
func (f *failover) Do(req *http.Request) (*http.Response, error) {
	body := &heldBody{ReadCloser: req.Body}
	closeWithContext(req)
	trail := trailOf(req.Context())
	var err error
	for range f.endpoints {
		endpoint := f.pick()
		trail.ask(endpoint)
		var resp *http.Response
		resp, err = f.next.RoundTrip(addressed(req, endpoint, body))
		if err == nil {
			f.hear(resp.Header)
		}
		if err == nil || body.released.Load() || req.Context().Err() != nil {
			return resp, err
		}
		trail.fail(err)
		f.leave(endpoint)
	}
	_ = body.release()
	return nil, fmt.Errorf("%w: %w", errNoConnection, err)
}

// closeWithContext ends the sending side of a stream together with its context. net/http would wait for something to send
// before it looks at the context, and the reader of the answer with it.
func closeWithContext(req *http.Request) {
	if req.ContentLength < 0 && req.Body != nil {
		context.AfterFunc(req.Context(), func() { _ = req.Body.Close() })
	}
}

// errNoConnection marks requests that no endpoint has seen.
var errNoConnection = errors.New("no controller can be reached")

// addressed is the request for one endpoint. From the moment that a connection is there, the body is the transport's.
func addressed(req *http.Request, endpoint string, body *heldBody) *http.Request {
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { body.released.Store(true) },
	})
	out := req.Clone(ctx)
	out.URL.Host, out.Host = endpoint, endpoint
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = body
	}
	return out
}

func (f *failover) pick() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.endpoints[f.current]
}

// leave goes on to the next endpoint, unless somebody else has left this one already.
func (f *failover) leave(endpoint string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.endpoints[f.current] == endpoint {
		f.current = (f.current + 1) % len(f.endpoints)
	}
}

// heldBody outlives connection attempts that fail: the transport closes the body of each.
type heldBody struct {
	io.ReadCloser
	released atomic.Bool
}

// Close implements io.Closer.
func (b *heldBody) Close() error {
	if !b.released.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}

func (b *heldBody) release() error {
	b.released.Store(true)
	if b.ReadCloser == nil {
		return nil
	}
	return b.ReadCloser.Close()
}

// trail remembers which endpoints one call has tried and why each failed.
type trail struct {
	mu    sync.Mutex
	asked string
	order []string
	why   map[string]string
}

type trailKey struct{}

func withTrail(ctx context.Context, t *trail) context.Context {
	return context.WithValue(ctx, trailKey{}, t)
}

// trailOf is the call's trail, or one that nobody reads.
func trailOf(ctx context.Context) *trail {
	if t, ok := ctx.Value(trailKey{}).(*trail); ok {
		return t
	}
	return new(trail)
}

func (t *trail) ask(endpoint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = endpoint
}

// last is the endpoint asked most recently.
func (t *trail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked
}

// fail notes why the endpoint asked last did not do; its latest failure is the one told.
func (t *trail) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == nil {
		t.why = map[string]string{}
	}
	if _, known := t.why[t.asked]; !known {
		t.order = append(t.order, t.asked)
	}
	t.why[t.asked] = failureText(err)
}

// failureText is a failure in one line. Who named an agent by mistake is told so, without the identities that were compared.
func failureText(err error) string {
	if errors.Is(err, pki.ErrWrongRole) {
		return "this is an agent: the calls go to controllers, mostly at port " + node.PortAPI + " of their machines"
	}
	return strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// failSilent notes why the endpoint asked last did not do, unless it has said so itself: what it said tells more.
func (t *trail) failSilent(err error) {
	t.mu.Lock()
	_, known := t.why[t.asked]
	asked := t.asked
	t.mu.Unlock()
	if asked != "" && !known {
		t.fail(err)
	}
}

// clear forgets the failures: the call got on since.
func (t *trail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.order, t.why = nil, nil
}

// lines tells every endpoint with its failure.
func (t *trail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := make([]string, len(t.order))
	for i, endpoint := range t.order {
		lines[i] = endpoint + ": " + t.why[endpoint]
	}
	return lines
}
