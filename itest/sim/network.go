package sim

import (
	"context"
	"net"

	"github.com/novacron/novacron/cluster/memnet"
)

// Network carries connections between the controller and the hosts, and between hosts.
type Network interface {
	// Listen opens the port of a host; the address of the listener is the one to dial.
	Listen(ctx context.Context, host string) (net.Listener, error)
	// Dial connects a host, or the controller, to an address.
	Dial(ctx context.Context, from, address string) (net.Conn, error)
}

// TCP is the loopback of this machine. A host takes two descriptors, three with its end of a connection.
type TCP struct{}

// Listen takes a free port.
func (TCP) Listen(ctx context.Context, _ string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

// Dial connects.
func (TCP) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// Controller is the name of the controller in a network in memory.
const Controller = "controller"

// Memory is a network in memory, which can be cut; it takes no descriptors and runs in a bubble of testing/synctest.
type Memory struct{ *memnet.Network }

// Listen opens port 1 of the host.
func (m Memory) Listen(_ context.Context, host string) (net.Listener, error) {
	return m.Network.Listen(net.JoinHostPort(host, "1"))
}

// Dial connects a node.
func (m Memory) Dial(ctx context.Context, from, address string) (net.Conn, error) {
	return m.Network.Dial(ctx, from, address)
}
