package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Conn is one end of a connection. Safe for concurrent use, as net.Conn asks.
type Conn struct {
	pipe *pipe
	side int

	mu            sync.Mutex
	closed        chan struct{}
	isClosed      bool
	readDeadline  deadline
	writeDeadline deadline
}

var _ net.Conn = (*Conn)(nil)

// deadline is a moment and a channel that tells of the next change of it.
type deadline struct {
	at      time.Time
	changed chan struct{}
}

func newConn(p *pipe, side int) *Conn {
	return &Conn{
		pipe: p, side: side, closed: make(chan struct{}),
		readDeadline:  deadline{changed: make(chan struct{})},
		writeDeadline: deadline{changed: make(chan struct{})},
	}
}

// Read returns what has arrived, waiting for the first byte.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.retry(&c.readDeadline, func() (int, bool, waits, error) { return c.tryRead(b) })
	return n, c.opError("read", err)
}

// Write sends a copy of b; it blocks while more than a megabyte is under way.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.retry(&c.writeDeadline, func() (int, bool, waits, error) { return c.tryWrite(b) })
	return n, c.opError("write", err)
}

// waits is what may let a blocked operation go on.
type waits struct {
	half, faults <-chan struct{}
	until        time.Time // zero for no time
}

// retry runs try until it is done, the deadline passes or the connection is closed.
func (c *Conn) retry(d *deadline, try func() (n int, done bool, w waits, err error)) (int, error) {
	for {
		at, moved, closed := c.state(d)
		if closed {
			return 0, net.ErrClosed
		}
		if !at.IsZero() && !time.Now().Before(at) {
			return 0, os.ErrDeadlineExceeded
		}
		n, done, w, err := try()
		if done {
			return n, err
		}
		c.pause(w, at, moved)
	}
}

func (c *Conn) state(d *deadline) (at time.Time, moved <-chan struct{}, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return d.at, d.changed, c.isClosed
}

func (c *Conn) pause(w waits, at time.Time, moved <-chan struct{}) {
	if w.until.IsZero() || (!at.IsZero() && at.Before(w.until)) {
		w.until = at
	}
	var timeout <-chan time.Time
	if !w.until.IsZero() {
		timer := time.NewTimer(time.Until(w.until))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-timeout:
	case <-w.half:
	case <-w.faults:
	case <-moved:
	case <-c.closed:
	}
}

func (c *Conn) tryRead(b []byte) (n int, done bool, w waits, err error) {
	h := c.pipe.half[1-c.side]
	open, faults := c.pipe.open(h)
	h.mu.Lock()
	defer h.mu.Unlock()
	w = waits{half: h.changed, faults: faults}
	switch {
	case h.reset:
		return 0, true, w, ErrReset
	case len(b) == 0:
		return 0, true, w, nil
	case len(h.segments) == 0 || !open:
		return 0, false, w, nil
	}
	head := &h.segments[0]
	if head.at.After(time.Now()) {
		w.until = head.at
		return 0, false, w, nil
	}
	if head.fin {
		return 0, true, w, io.EOF
	}
	n = copy(b, head.data)
	h.take(n)
	return n, true, w, nil
}

// take removes n read bytes from the first segment and tells a writer that waits for room.
func (h *half) take(n int) {
	head := &h.segments[0]
	head.data = head.data[n:]
	h.buffered -= n
	if len(head.data) == 0 {
		h.segments = h.segments[1:]
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

func (c *Conn) tryWrite(b []byte) (n int, done bool, w waits, err error) {
	h := c.pipe.half[c.side]
	open, faults := c.pipe.open(h)
	h.mu.Lock()
	w = waits{half: h.changed, faults: faults}
	// Through a cut nobody can tell that the other end has closed.
	full, broken := h.buffered >= window, h.reset || (h.gone && open)
	h.mu.Unlock()
	switch {
	case broken:
		return 0, true, w, ErrReset
	case full:
		return 0, false, w, nil
	case len(b) > 0:
		c.pipe.push(c.side, segment{data: append([]byte(nil), b...)})
	}
	return len(b), true, w, nil
}

// Close ends this side: the peer reads what is under way, then EOF; its writes fail.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.isClosed {
		c.mu.Unlock()
		return nil
	}
	c.isClosed = true
	close(c.closed)
	c.mu.Unlock()
	c.pipe.close(c.side)
	return nil
}

// LocalAddr is this end's Addr.
func (c *Conn) LocalAddr() net.Addr { return c.pipe.addrs[c.side] }

// RemoteAddr is the other end's Addr.
func (c *Conn) RemoteAddr() net.Addr { return c.pipe.addrs[1-c.side] }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.setDeadline(&c.readDeadline, t)
	c.setDeadline(&c.writeDeadline, t)
	return nil
}

// SetReadDeadline also ends a Read that waits already.
func (c *Conn) SetReadDeadline(t time.Time) error { c.setDeadline(&c.readDeadline, t); return nil }

// SetWriteDeadline also ends a Write that waits already.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.setDeadline(&c.writeDeadline, t); return nil }

func (c *Conn) setDeadline(d *deadline, t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.at = t
	close(d.changed)
	d.changed = make(chan struct{})
}

// opError wraps errors as the net package does, except EOF, which readers compare.
func (c *Conn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
