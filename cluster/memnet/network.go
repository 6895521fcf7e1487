package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Errors of the network itself. A dial through a cut does not fail: it waits, as on a real network, until its context ends.
var (
	// ErrRefused is a dial to a port where nobody listens.
	ErrRefused = errors.New("connection refused")
	// ErrInUse is a second listener on one address.
	ErrInUse = errors.New("address already in use")
	// ErrReset is an established connection that was killed.
	ErrReset = errors.New("connection reset")
	// ErrBadAddress is an address that is not "node:port" or "ip:port".
	ErrBadAddress = errors.New("bad address")
)

// Network connects named nodes. Every node also has an IP address, 10.0.0.0/8, made when its name is first used; both
// forms reach it. It uses timers and channels only, so it runs inside a testing/synctest bubble: make it in there.
// Losses and delays follow from the seed per link and in the order of that link's traffic.
// All methods are safe for concurrent use.
type Network struct {
	seed uint64

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when a fault changes
	ips       map[string]net.IP
	names     map[string]string // IP text to node
	listeners map[Addr]*Listener
	packets   map[Addr]*Transport
	conns     map[*pipe]struct{}
	links     map[link]*linkState
	faults    faults
	nextPort  int
}

// New makes a network without faults.
func New(seed uint64) *Network {
	return &Network{
		seed:      seed,
		changed:   make(chan struct{}),
		ips:       map[string]net.IP{},
		names:     map[string]string{},
		listeners: map[Addr]*Listener{},
		packets:   map[Addr]*Transport{},
		conns:     map[*pipe]struct{}{},
		links:     map[link]*linkState{},
		faults:    newFaults(),
		nextPort:  49152,
	}
}

// Addr is a node's port; it prints as "ip:port", which code that parses addresses expects.
type Addr struct {
	Node string
	IP   string
	Port int
}

// Network is "mem".
func (Addr) Network() string { return "mem" }

// String is "ip:port".
func (a Addr) String() string { return net.JoinHostPort(a.IP, strconv.Itoa(a.Port)) }

// IP gives the node's address.
func (n *Network) IP(node string) net.IP {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ipLocked(node)
}

func (n *Network) ipLocked(node string) net.IP {
	ip := n.ips[node]
	if ip == nil {
		i := len(n.ips) + 1
		ip = net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)).To4()
		n.ips[node], n.names[ip.String()] = ip, node
	}
	return ip
}

// resolveLocked reads "node:port" or "ip:port".
func (n *Network) resolveLocked(address string) (Addr, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return Addr{}, fmt.Errorf("%w: %q: %w", ErrBadAddress, address, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || host == "" {
		return Addr{}, fmt.Errorf("%w: %q is not node:port", ErrBadAddress, address)
	}
	node := host
	if net.ParseIP(host) != nil {
		if node = n.names[host]; node == "" {
			return Addr{}, fmt.Errorf("%w: no node has the address %s", ErrBadAddress, host)
		}
	}
	return n.addrLocked(node, int(port)), nil
}

func (n *Network) addrLocked(node string, port int) Addr {
	return Addr{Node: node, IP: n.ipLocked(node).String(), Port: port}
}

func (n *Network) freePortLocked() int {
	n.nextPort++
	if n.nextPort > 65535 {
		n.nextPort = 49152
	}
	return n.nextPort
}

// Dial connects node from to the address to. As on a real network it takes a round trip, is refused where nobody listens,
// and waits while the way there or back is cut.
func (n *Network) Dial(ctx context.Context, from, to string) (net.Conn, error) {
	conn, err := n.dial(ctx, from, to)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return conn, nil
}

func (n *Network) dial(ctx context.Context, from, to string) (net.Conn, error) {
	n.mu.Lock()
	target, err := n.resolveLocked(to)
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := n.handshake(ctx, from, target.Node); err != nil {
		return nil, err
	}
	return n.connect(from, target)
}

// handshake waits for one open round trip.
func (n *Network) handshake(ctx context.Context, from, to string) error {
	for {
		n.mu.Lock()
		open := !n.faults.blocked(from, to) && !n.faults.blocked(to, from)
		rtt := n.streamDelayLocked(from, to) + n.streamDelayLocked(to, from)
		changed := n.changed
		n.mu.Unlock()
		if open {
			return wait(ctx, rtt)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return dialError(ctx)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return dialError(ctx)
	}
}

// dialError makes a deadline a net.Error with Timeout, as the real dialler does.
func dialError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return ctx.Err()
}

func (n *Network) connect(from string, target Addr) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[target]
	if l == nil {
		return nil, fmt.Errorf("%s: %w", target, ErrRefused)
	}
	local := n.addrLocked(from, n.freePortLocked())
	p := newPipe(n, local, target)
	select {
	case l.backlog <- p.server():
		n.conns[p] = struct{}{}
		return p.client(), nil
	default:
		return nil, fmt.Errorf("%s: backlog of %d is full: %w", target, cap(l.backlog), ErrRefused)
	}
}

func (n *Network) forget(p *pipe) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, p)
}
