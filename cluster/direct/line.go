package direct

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxHead bounds the head of an answer, in bytes: many members answer at one time, and a good head has a few hundred.
const maxHead = 64 << 10

// line is a connection for one call at a time. Nobody reads it while it is idle: what the peer sends unasked is taken for the
// beginning of its next answer. That harms nobody's answers but its own, about which it can say what it likes anyway.
type line struct {
	client  *Client
	address string
	conn    *tls.Conn
	bound   *bounded
	reads   *bufio.Reader // of bound
	used    bool          // whether a call was made on it before
	since   time.Time     // when it became idle
}

func newLine(c *Client, address string, conn *tls.Conn) *line {
	bound := &bounded{from: conn}
	return &line{client: c, address: address, conn: conn, bound: bound, reads: bufio.NewReader(bound)}
}

// bounded reads what a peer sends, the head of an answer only up to its limit.
type bounded struct {
	from io.Reader
	head bool // whether it is a head that is read
	left int  // of the head, in bytes
}

// Read reads on.
func (b *bounded) Read(p []byte) (int, error) {
	if !b.head {
		return b.from.Read(p)
	}
	if b.left == 0 {
		return 0, fmt.Errorf("the head of an answer has more than %d bytes", maxHead)
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// errUnanswered is that nothing came back: where the peer had closed the connection, it may not have seen the call.
var errUnanswered = errors.New("the connection is closed")

// ask sends a request and reads the head of its answer.
func (l *line) ask(r *http.Request, request []byte) (*http.Response, error) {
	stop := context.AfterFunc(r.Context(), func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	answer, err := l.exchange(r, request)
	if err != nil {
		stop()
		return nil, err
	}
	answer.Body = &body{line: l, from: answer.Body, ctx: r.Context(), stop: stop, last: answer.Close}
	return answer, nil
}

func (l *line) exchange(r *http.Request, request []byte) (*http.Response, error) {
	if _, err := l.conn.Write(request); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	l.bound.head, l.bound.left = true, maxHead
	if _, err := l.reads.Peek(1); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	answer, err := http.ReadResponse(l.reads, r)
	if err != nil {
		return nil, err
	}
	l.bound.head = false
	if answer.StatusCode < http.StatusOK {
		return nil, fmt.Errorf("%s: an answer of status %s, which nobody asked for", r.URL, answer.Status)
	}
	return answer, nil
}

// body is that of an answer. Read to its end it gives the connection back; closed before, it ends it.
type body struct {
	line *line
	from io.ReadCloser
	ctx  context.Context // of the call
	stop func() bool
	last bool // whether the peer closes the connection after it
	over error
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	if b.over != nil {
		return 0, b.over
	}
	n, err := b.from.Read(p)
	if err != nil {
		b.end(err)
		return n, b.over
	}
	return n, nil
}

// end is once: the connection is given back where it is as it was before the call.
func (b *body) end(err error) {
	b.over = err
	undisturbed := b.stop()
	switch {
	case errors.Is(err, io.EOF) && undisturbed && !b.last && b.line.reads.Buffered() == 0:
		b.line.client.give(b.line)
	default:
		b.line.client.drop(b.line, b.ctx)
		if !errors.Is(err, io.EOF) {
			b.over = because(b.ctx, err)
		}
	}
}

// Close ends the call.
func (b *body) Close() error {
	if b.over == nil {
		b.end(net.ErrClosed)
	}
	return nil
}
