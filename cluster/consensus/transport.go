package consensus

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streams is Raft's stream layer over the caller's listener and dialer. It remembers every connection: the library
// leaves accepted ones open when it closes, and a stalled node has to go silent at once.
type streams struct {
	net.Listener
	advertise address
	dial      func(ctx context.Context, addr string) (net.Conn, error)
	ctx       context.Context
	cancel    context.CancelFunc

	mu    sync.Mutex
	conns map[*trackedConn]struct{} // nil once closed
}

var _ raft.StreamLayer = (*streams)(nil)

// address is the advertised host:port; the listener may be bound to a wildcard.
type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

func newStreams(l net.Listener, advertise string, dial func(context.Context, string) (net.Conn, error)) *streams {
	ctx, cancel := context.WithCancel(context.Background())
	return &streams{
		Listener: l, advertise: address(advertise), dial: dial, ctx: ctx, cancel: cancel,
		conns: make(map[*trackedConn]struct{}),
	}
}

func (s *streams) Addr() net.Addr { return s.advertise }

func (s *streams) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return s.track(c)
}

// Dial opens a connection within timeout, or until Close.
func (s *streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	c, err := s.dial(ctx, string(addr))
	if err != nil {
		return nil, fmt.Errorf("dial raft peer %s: %w", addr, err)
	}
	return s.track(c)
}

func (s *streams) track(c net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		c.Close()
		return nil, net.ErrClosed
	}
	t := &trackedConn{Conn: c, streams: s}
	s.conns[t] = struct{}{}
	return t, nil
}

// Close closes the listener and every connection.
func (s *streams) Close() error {
	s.cancel()
	err := s.Listener.Close()
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
	return err
}

// trackedConn forgets itself when it closes.
type trackedConn struct {
	net.Conn
	streams *streams
}

func (c *trackedConn) Close() error {
	c.streams.mu.Lock()
	delete(c.streams.conns, c)
	c.streams.mu.Unlock()
	return c.Conn.Close()
}
