package memnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// backlog is how many connections wait for Accept before further ones are refused.
const backlog = 1024

// Listener accepts connections at one address.
type Listener struct {
	net     *Network
	addr    Addr
	backlog chan *Conn
	once    sync.Once
	closed  chan struct{}
}

var _ net.Listener = (*Listener)(nil)

// Listen opens "node:port"; port 0 takes a free one.
func (n *Network) Listen(address string) (net.Listener, error) { return n.listen(address) }

func (n *Network) listen(address string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr, err := n.resolveLocked(address)
	if err != nil {
		return nil, err
	}
	if addr.Port == 0 {
		addr.Port = n.freePortLocked()
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("listen %s: %w", address, ErrInUse)
	}
	l := &Listener{net: n, addr: addr, backlog: make(chan *Conn, backlog), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close stops listening and resets connections that nobody accepted.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr)
		l.net.mu.Unlock()
		close(l.closed)
		l.drain()
	})
	return nil
}

func (l *Listener) drain() {
	for {
		select {
		case c := <-l.backlog:
			c.pipe.reset()
		default:
			return
		}
	}
}

func (l *Listener) crash() { _ = l.Close() }

// Addr is the address listened at.
func (l *Listener) Addr() net.Addr { return l.addr }

// StreamLayer is a listener and a dialler of one node: the shape that Raft's network transport wants.
type StreamLayer struct {
	*Listener
}

// StreamLayer listens at "node:port" and dials from that node.
func (n *Network) StreamLayer(address string) (*StreamLayer, error) {
	l, err := n.listen(address)
	if err != nil {
		return nil, err
	}
	return &StreamLayer{Listener: l}, nil
}

// Dial connects to "node:port" or "ip:port" within timeout; 0 waits for ever.
func (s *StreamLayer) Dial(address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	return s.net.Dial(ctx, s.addr.Node, address)
}
