// Package direct calls members with less work than net/http's client does for a call: it speaks HTTP/1.1, one call at a
// time on a connection, in the goroutine of the caller. It is for questions that go to very many members at once.
package direct

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultIdle is how long a connection without calls is kept. It is below what a member's server waits, so that
	// connections are not found closed when they are needed.
	DefaultIdle = time.Minute
	// maxLines bounds the connections to one member: a call, and one more beside it. What comes on top goes elsewhere.
	maxLines = 2
	// patience is how long a call waits for a connection that is in use, but for one that is being made as long as it takes:
	// a handshake costs far more than most calls.
	patience = 250 * time.Millisecond
	// maxRequest bounds a request, which is held until it is answered.
	maxRequest = 4 << 20
)

// Doer makes calls, as http.Client does.
type Doer interface {
	Do(r *http.Request) (*http.Response, error)
}

// Client makes calls that may be made twice: one that finds its connection closed, by a member that may or may not have seen
// it, is sent again on another. The length of their bodies has to be known. The zero value is of no use; TLS, Dial and Others
// are needed.
type Client struct {
	// TLS proves who calls, and checks who answers.
	TLS *tls.Config
	// Dial connects to an address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Others makes the calls to a member that is busy with as many as it has connections.
	Others Doer
	// Idle is how long a connection without calls is kept; 0 is DefaultIdle.
	Idle time.Duration

	once    sync.Once
	config  *tls.Config
	mu      sync.Mutex
	members map[string]*member // by address
	sweeps  bool               // whether a sweep is due
}

// member has the connections to one address.
type member struct {
	idle    []*line // the one that was used last is the last
	open    int     // those that are in use included, and those
	opening int     // that are being made
	waiting []chan *line
}

var _ Doer = (*Client)(nil)

// errNoLine is that a member has as many connections as it may.
var errNoLine = errors.New("all connections are in use")

// Do makes a call. As with http.Client, the body of the answer has to be closed; it frees the connection once it is read to
// its end.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	request, err := packed(r)
	if err != nil {
		return nil, err
	}
	defer release(request)
	for {
		l, err := c.take(r.Context(), r.URL.Host)
		if errors.Is(err, errNoLine) {
			return c.Others.Do(unpacked(r, request.Bytes()))
		}
		if err != nil {
			return nil, err
		}
		answer, err := l.ask(r, request.Bytes())
		if err == nil {
			return answer, nil
		}
		again := l.used && errors.Is(err, errUnanswered) && r.Context().Err() == nil
		c.drop(l, r.Context())
		if !again {
			return nil, because(r.Context(), err)
		}
	}
}

// because is the reason of the context where that is why a call failed.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// buffers are for requests.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// packed is a request as it is sent.
func packed(r *http.Request) (*bytes.Buffer, error) {
	if r.ContentLength < 0 || r.ContentLength > maxRequest {
		return nil, fmt.Errorf("%s: a request of %d bytes: it has to be known, and at most %d", r.URL, r.ContentLength, maxRequest)
	}
	b, _ := buffers.Get().(*bytes.Buffer)
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method, r.URL.RequestURI(), r.URL.Host, r.ContentLength)
	err := r.Header.Write(b)
	b.WriteString("\r\n")
	if r.Body != nil {
		n, bad := io.Copy(b, io.LimitReader(r.Body, maxRequest))
		if err = errors.Join(err, bad, r.Body.Close()); err == nil && n != r.ContentLength {
			err = fmt.Errorf("%s: the request has %d bytes, not the %d that it says", r.URL, n, r.ContentLength)
		}
	}
	if err != nil {
		release(b)
		return nil, err
	}
	return b, nil
}

// unpacked is a request whose body packed has read, with that body again: a copy of it, as it may still be read when the call
// is over and the buffer is another's.
func unpacked(r *http.Request, request []byte) *http.Request {
	again := r.WithContext(r.Context())
	if again.Body = http.NoBody; r.ContentLength > 0 {
		again.Body = io.NopCloser(bytes.NewReader(bytes.Clone(request[len(request)-int(r.ContentLength):])))
	}
	return again
}

func release(b *bytes.Buffer) {
	b.Reset()
	buffers.Put(b)
}

// take gives a connection that is idle, or soon will be, or a new one.
func (c *Client) take(ctx context.Context, address string) (*line, error) {
	c.mu.Lock()
	m := c.member(address)
	if n := len(m.idle); n > 0 {
		l := m.idle[n-1]
		m.idle = m.idle[:n-1]
		c.mu.Unlock()
		return l, nil
	}
	if m.open > 0 {
		freed := make(chan *line, 1)
		m.waiting = append(m.waiting, freed)
		c.mu.Unlock()
		if l, err := c.await(ctx, address, freed); l != nil || err != nil {
			return l, err
		}
		c.mu.Lock()
		m = c.member(address)
	}
	if m.open >= maxLines {
		c.mu.Unlock()
		return nil, errNoLine
	}
	m.open++
	m.opening++
	c.mu.Unlock()
	return c.open(ctx, address)
}

// await gives the connection that becomes free first; none where that takes long, or one has failed.
func (c *Client) await(ctx context.Context, address string, freed chan *line) (*line, error) {
	for {
		enough := time.NewTimer(patience)
		select {
		case l := <-freed:
			enough.Stop()
			return l, nil
		case <-enough.C:
		case <-ctx.Done():
			enough.Stop()
		}
		switch l, over := c.leave(ctx, address, freed); {
		case l != nil:
			return l, nil // which must not be lost, also where the caller has given up
		case over:
			return nil, ctx.Err()
		}
	}
}

// leave ends the wait for a connection, unless one is still being made. What has come in the meantime is taken.
func (c *Client) leave(ctx context.Context, address string, freed chan *line) (*line, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.member(address)
	at := slices.Index(m.waiting, freed)
	switch {
	case at < 0:
		c.forget(address) // the end of its last connection may be what has come
		return <-freed, true
	case m.opening > 0 && ctx.Err() == nil:
		return nil, false
	}
	m.waiting = slices.Delete(m.waiting, at, at+1)
	c.forget(address)
	return nil, true
}

// open makes a connection that is counted already.
func (c *Client) open(ctx context.Context, address string) (*line, error) {
	conn, err := c.connect(ctx, address)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.member(address).opening--
	if err != nil {
		c.closed(address)
		return nil, err
	}
	return newLine(c, address, conn), nil
}

// member is that at an address. The lock is held.
func (c *Client) member(address string) *member {
	if c.members == nil {
		c.members = map[string]*member{}
	}
	m := c.members[address]
	if m == nil {
		m = &member{}
		c.members[address] = m
	}
	return m
}

// connect dials and shakes hands, for as long as the caller waits: on a machine that is very busy that takes seconds, and begun
// again it would take as long.
func (c *Client) connect(ctx context.Context, address string) (*tls.Conn, error) {
	c.once.Do(func() {
		c.config = c.TLS.Clone()
		c.config.NextProtos = []string{"http/1.1"}
	})
	conn, err := c.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, c.config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// give takes back a connection whose call is over.
func (c *Client) give(l *line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.used, l.since = true, time.Now()
	m := c.member(l.address)
	if len(m.waiting) > 0 {
		m.waiting[0] <- l
		m.waiting = m.waiting[1:]
		return
	}
	m.idle = append(m.idle, l)
	if !c.sweeps {
		c.sweeps = true
		time.AfterFunc(c.idle(), c.sweep)
	}
}

// drop closes a connection whose call has not come to its end. Where it is not the caller who gave it up, those of the same
// member that are idle go with it: what has broken this one may have broken them, too.
func (c *Client) drop(l *line, ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	broken := []*line{l}
	if m := c.member(l.address); !errors.Is(ctx.Err(), context.Canceled) {
		broken, m.idle = append(broken, m.idle...), nil
	}
	c.end(broken)
}

// end closes connections. The lock is held.
func (c *Client) end(lines []*line) {
	for _, l := range lines {
		_ = l.conn.NetConn().Close() // without a good-bye, for which a peer that is silent would be waited for
		c.closed(l.address)
	}
}

// closed notes that a connection is: who waited for it goes on without. The lock is held.
func (c *Client) closed(address string) {
	m := c.member(address)
	if m.open--; len(m.waiting) > 0 {
		close(m.waiting[0])
		m.waiting = m.waiting[1:]
	}
	c.forget(address)
}

// forget drops what is known of a member without connections. The lock is held.
func (c *Client) forget(address string) {
	if m := c.members[address]; m != nil && m.open == 0 && len(m.waiting) == 0 {
		delete(c.members, address)
	}
}

func (c *Client) idle() time.Duration {
	if c.Idle > 0 {
		return c.Idle
	}
	return DefaultIdle
}

// sweep closes what was idle for long, and comes again while there are connections.
func (c *Client) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endIdle(time.Now().Add(-c.idle()))
	if c.sweeps = len(c.members) > 0; c.sweeps {
		time.AfterFunc(c.idle()/2, c.sweep)
	}
}

// endIdle closes what is idle since some time. The lock is held.
func (c *Client) endIdle(since time.Time) {
	for _, m := range c.members {
		old := slices.IndexFunc(m.idle, func(l *line) bool { return l.since.After(since) })
		if old < 0 {
			old = len(m.idle)
		}
		gone := slices.Clone(m.idle[:old])
		m.idle = slices.Delete(m.idle, 0, old)
		c.end(gone)
	}
}

// CloseIdleConnections closes what is idle now.
func (c *Client) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endIdle(time.Now())
}
