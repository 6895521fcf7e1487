package consensus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// testNet is loopback TCP between named nodes that can drop traffic per direction. Dropped bytes break a stream, so
// healing closes the connections that lost some. Each node has an address of its own in 127.0.0.0/8: nobody else takes the
// port of one that is down.
type testNet struct {
	prefix string

	mu    sync.Mutex
	names map[string]string // address -> node
	cut   map[[2]string]bool
	conns map[*testConn]bool // value: lost bytes
}

func newTestNet() *testNet {
	prefix := fmt.Sprintf("127.%d.%d", 1+rand.IntN(254), rand.IntN(256))
	return &testNet{prefix: prefix, names: map[string]string{}, cut: map[[2]string]bool{}, conns: map[*testConn]bool{}}
}

// listen returns a listener for a node, at addr when it is not empty.
func (n *testNet) listen(id, addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, err := net.Listen("tcp", or(addr, fmt.Sprintf("%s.%d:0", n.prefix, len(n.names)+1)))
	if err == nil {
		n.names[l.Addr().String()] = id
	}
	return l, err
}

// dialer returns the dial function of a node.
func (n *testNet) dialer(from string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		n.mu.Lock()
		to := n.names[addr]
		n.mu.Unlock()
		if n.lost(from, to) || n.lost(to, from) {
			<-ctx.Done()
			return nil, fmt.Errorf("dial %s: %w", addr, ctx.Err())
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		t := &testConn{Conn: c, net: n, from: from, to: to}
		n.mu.Lock()
		n.conns[t] = false
		n.mu.Unlock()
		return t, nil
	}
}

func (n *testNet) lost(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[[2]string{from, to}]
}

// split drops everything between the nodes of a and those of b.
func (n *testNet) split(a, b []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range a {
		for _, y := range b {
			n.cut[[2]string{x, y}], n.cut[[2]string{y, x}] = true, true
		}
	}
}

// drop drops what from sends to to.
func (n *testNet) drop(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = true
}

func (n *testNet) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	for c, broken := range n.conns {
		if broken {
			c.Conn.Close()
			delete(n.conns, c)
		}
	}
}

// testConn is the dialling end of a connection.
type testConn struct {
	net.Conn
	net      *testNet
	from, to string
}

// broke notes that bytes were lost.
func (c *testConn) broke() {
	c.net.mu.Lock()
	c.net.conns[c] = true
	c.net.mu.Unlock()
}

func (c *testConn) Write(p []byte) (int, error) {
	if c.net.lost(c.from, c.to) {
		c.broke()
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *testConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.net.lost(c.to, c.from) {
			return n, err
		}
		c.broke()
	}
}

func (c *testConn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	return c.Conn.Close()
}
