package sim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/novacron/novacron/cluster/direct"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
)

// caller calls hosts as the daemons do.
type caller struct {
	client *http.Client
	direct *direct.Client
}

// dialTimeout is how long a daemon tries to connect.
const dialTimeout = 5 * time.Second

// newCaller calls from a node. Connecting, and answering a ping, may take as long as patience, where that is above 0.
func newCaller(credentials *pki.Credentials, network Network, from string, patience time.Duration) (caller, error) {
	c := caller{client: node.HTTPClient(credentials.ClientTLS(pki.RoleController, pki.RoleAgent))}
	c.direct = node.DirectClient(credentials.ClientTLS(pki.RoleAgent), c.client)
	transport, is := c.client.Transport.(*http.Transport)
	if !is {
		return c, errors.New("the client of the cluster has no transport of net/http")
	}
	connecting := dialTimeout
	if patience > 0 {
		connecting = patience
		transport.TLSHandshakeTimeout, transport.HTTP2.PingTimeout = patience, patience
	}
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connecting)
		defer cancel()
		return network.Dial(ctx, from, address)
	}
	transport.DialContext, c.direct.Dial = dial, dial
	return c, nil
}

func (c caller) close() {
	c.direct.CloseIdleConnections()
	c.client.CloseIdleConnections()
}
