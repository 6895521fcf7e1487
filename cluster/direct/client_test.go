package direct

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// far is a server, and what calls it and counts how.
type far struct {
	*Client
	server *httptest.Server
	dialed atomic.Int64
	closed chan struct{} // one for each connection that has ended
	others atomic.Int64  // calls that went by others
}

func newFar(t *testing.T, handler http.HandlerFunc) *far {
	t.Helper()
	f := &far{closed: make(chan struct{}, 1000)}
	f.server = httptest.NewUnstartedServer(handler)
	f.server.EnableHTTP2 = true
	f.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			f.closed <- struct{}{}
		}
	}
	f.server.StartTLS()
	client := f.server.Client()
	transport, is := client.Transport.(*http.Transport)
	require.True(t, is)
	f.Client = &Client{TLS: &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS13},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			f.dialed.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		Others: doer(func(r *http.Request) (*http.Response, error) {
			f.others.Add(1)
			return client.Do(r)
		})}
	t.Cleanup(func() {
		f.CloseIdleConnections()
		f.server.Close()
	})
	return f
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// post sends a text and reads the answer.
func (f *far) post(ctx context.Context, text string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.server.URL+"/said?x=1", strings.NewReader(text))
	if err != nil {
		return "", err
	}
	r.Header.Set("X-Said", text)
	answer, err := f.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return string(all), err
}

// echo answers with what was said, in pieces where there is much of it.
func echo(w http.ResponseWriter, r *http.Request) {
	said, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s:", r.Proto, r.URL.RequestURI(), r.Header.Get("X-Said"), r.Method)
	_, _ = w.Write(said)
}

func TestCallsShareAConnection(t *testing.T) {
	f := newFar(t, echo)
	for _, text := range []string{"a", "b", strings.Repeat("c", 60_000), "d"} {
		head := text[:min(len(text), 1000)]
		got, err := f.post(t.Context(), head)
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 /said?x=1 "+head+" POST:"+head, got)
	}
	require.EqualValues(t, 1, f.dialed.Load())
	require.Zero(t, f.others.Load())
}

// TestClosedConnectionsAreReplaced: a server that has closed what is idle is called again without an error.
func TestClosedConnectionsAreReplaced(t *testing.T) {
	f := newFar(t, echo)
	for n := range 3 {
		got, err := f.post(t.Context(), "x")
		require.NoError(t, err)
		require.Contains(t, got, ":x")
		require.EqualValues(t, n+1, f.dialed.Load())
		f.server.CloseClientConnections()
		<-f.closed
	}
}

// TestManyCallsAtOnce: two connections take what they can, others the rest.
func TestManyCallsAtOnce(t *testing.T) {
	const calls = 20
	arrived, leave := make(chan struct{}, calls), make(chan struct{})
	f := newFar(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-leave
		echo(w, r)
	})
	var all sync.WaitGroup
	for n := range calls {
		all.Go(func() {
			text := fmt.Sprint("call", n)
			got, err := f.post(t.Context(), text)
			assert.NoError(t, err)
			assert.True(t, strings.HasSuffix(got, ":"+text), got)
		})
	}
	for range calls {
		<-arrived
	}
	close(leave)
	all.Wait()
	assert.EqualValues(t, calls-maxLines, f.others.Load())
	assert.EqualValues(t, maxLines, f.dialed.Load())
	require.Empty(t, f.members[f.server.Listener.Addr().String()].waiting)
}

// TestWhoGivesUpIsHeard: the server sees that the caller has left, and the next call has a connection of its own.
func TestWhoGivesUpIsHeard(t *testing.T) {
	began, left := make(chan struct{}), make(chan struct{})
	var hang atomic.Bool
	f := newFar(t, func(w http.ResponseWriter, r *http.Request) {
		if !hang.Load() {
			echo(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		close(began)
		<-r.Context().Done()
		close(left)
	})
	_, err := f.post(t.Context(), "x")
	require.NoError(t, err)
	hang.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	_, err = f.post(ctx, "y")
	require.ErrorIs(t, err, context.Canceled)
	<-left
	hang.Store(false)
	got, err := f.post(t.Context(), "z")
	require.NoError(t, err)
	require.Contains(t, got, ":z")
}

// TestAnswersThatAreLeftEndTheirConnection, so that nobody reads the rest of them.
func TestAnswersThatAreLeftEndTheirConnection(t *testing.T) {
	f := newFar(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("n"), 1<<20)) })
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.server.URL, http.NoBody)
		require.NoError(t, err)
		answer, err := f.Do(r)
		require.NoError(t, err)
		first := make([]byte, 10)
		_, err = io.ReadFull(answer.Body, first)
		require.NoError(t, err)
		require.Equal(t, "nnnnnnnnnn", string(first))
		require.NoError(t, answer.Body.Close())
		_, err = answer.Body.Read(first)
		require.ErrorIs(t, err, net.ErrClosed)
		<-f.closed
	}
	require.EqualValues(t, 3, f.dialed.Load())
	require.Empty(t, f.members)
}

func TestIdleConnectionsEnd(t *testing.T) {
	f := newFar(t, echo)
	f.Idle = time.Millisecond
	_, err := f.post(t.Context(), "x")
	require.NoError(t, err)
	<-f.closed
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Empty(t, f.members)
}

func TestWhatCannotBeSentIsRefused(t *testing.T) {
	f := newFar(t, echo)
	endless, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.server.URL, io.MultiReader(strings.NewReader("x")))
	require.NoError(t, err)
	endless.ContentLength = -1
	_, err = f.Do(endless)
	require.ErrorContains(t, err, "has to be known")
	short, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.server.URL, strings.NewReader("x"))
	require.NoError(t, err)
	short.ContentLength = 7
	_, err = f.Do(short)
	require.ErrorContains(t, err, "not the 7")
	require.Zero(t, f.dialed.Load(), "what cannot be sent needs no connection")
}

// TestWhoCannotBeReachedIsToldSo, whatever is in the way.
func TestWhoCannotBeReachedIsToldSo(t *testing.T) {
	f := newFar(t, echo)
	f.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "example.com"} // trusts nobody
	_, err := f.post(t.Context(), "x")
	require.ErrorContains(t, err, "certificate")
	f.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	_, err = f.post(t.Context(), "x")
	require.ErrorIs(t, err, net.ErrClosed)
	require.Empty(t, f.members)
}

// TestHeadsOfAnswersAreBounded, and what follows them is not.
func TestHeadsOfAnswersAreBounded(t *testing.T) {
	var long atomic.Int64
	f := newFar(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("n", int(long.Load())))
		_, _ = w.Write(bytes.Repeat([]byte("n"), 10*maxHead))
	})
	long.Store(maxHead - 1000)
	for range 3 { // each head is counted for itself
		got, err := f.post(t.Context(), "x")
		require.NoError(t, err)
		require.Len(t, got, 10*maxHead)
	}
	require.EqualValues(t, 1, f.dialed.Load())
	long.Store(maxHead)
	_, err := f.post(t.Context(), "x")
	require.ErrorContains(t, err, "more than 65536 bytes")
	require.Empty(t, f.members)
}

// TestWhatFindsNoOtherConnectionGoesByOthers: a call whose connection breaks while all that may be made are another's.
func TestWhatFindsNoOtherConnectionGoesByOthers(t *testing.T) {
	var f *far
	var breaks atomic.Bool
	busy := func(lines int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.member(f.server.Listener.Addr().String()).open += lines
	}
	f = newFar(t, func(w http.ResponseWriter, r *http.Request) {
		if !breaks.CompareAndSwap(true, false) {
			echo(w, r)
			return
		}
		busy(maxLines)
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_ = conn.Close()
		}
	})
	_, err := f.post(t.Context(), "x")
	require.NoError(t, err)
	breaks.Store(true)
	got, err := f.post(t.Context(), "y")
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0 /said?x=1 y POST:y", got)
	require.EqualValues(t, 1, f.others.Load())
	busy(-maxLines)
}

// TestMembersThatAreGoneAreForgotten also by who gives up waiting just then.
func TestMembersThatAreGoneAreForgotten(t *testing.T) {
	c, freed := &Client{}, make(chan *line, 1)
	m := c.member("a:1")
	m.open, m.waiting = 1, append(m.waiting, freed)
	c.closed("a:1")
	require.Empty(t, c.members)
	l, over := c.leave(t.Context(), "a:1", freed)
	require.Nil(t, l)
	require.True(t, over)
	require.Empty(t, c.members)
}
