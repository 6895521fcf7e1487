package gossip

import (
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// plainTransport serves tests whose transport ignores node names.
type plainTransport struct{ memberlist.Transport }

// WriteToAddress ignores the name.
func (t plainTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// DialAddressTimeout ignores the name.
func (t plainTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}
