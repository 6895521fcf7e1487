package env

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"

	"github.com/novacron/novacron/cluster/node"
)

// network gives each member an address of its own in 127.0.0.0/8, with the default ports: unlike ports that were free a
// moment ago, nobody else takes those while a member is stopped.
type network struct {
	prefix string
	mu     *sync.Mutex
	used   *int
}

type addresses struct{ api, raft, gossip string }

// networkAttempts bounds the search for a part of loopback that nobody uses.
const networkAttempts = 16

func newNetwork(ctx context.Context) (network, error) {
	var failures []error
	for range networkAttempts {
		n := network{prefix: fmt.Sprintf("127.%d.%d", 1+rand.IntN(254), rand.IntN(256)), mu: &sync.Mutex{}, used: new(int)}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(n.prefix+".1", node.PortAPI))
		if err == nil {
			return n, listener.Close()
		}
		failures = append(failures, err)
	}
	return network{}, fmt.Errorf("no part of 127.0.0.0/8 is free: %w", errors.Join(failures...))
}

func (n network) next() addresses {
	n.mu.Lock()
	defer n.mu.Unlock()
	*n.used++
	host := fmt.Sprintf("%s.%d", n.prefix, *n.used)
	return addresses{net.JoinHostPort(host, node.PortAPI), net.JoinHostPort(host, node.PortRaft), net.JoinHostPort(host, node.PortGossip)}
}
