package memnet

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// GossipPort is the port of every Transport.
const GossipPort = 7946

// queue is how many packets wait for the receiver before further ones are dropped, as a socket does.
const queue = 4096

// Transport carries one node's gossip: packets that may be lost, and streams.
type Transport struct {
	*Listener
	packets chan *memberlist.Packet
	streams chan net.Conn
	once    sync.Once
	done    sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// Transport opens the node's gossip port; ErrInUse until the one before is shut down.
func (n *Network) Transport(node string) (*Transport, error) {
	l, err := n.listen(net.JoinHostPort(node, strconv.Itoa(GossipPort)))
	if err != nil {
		return nil, err
	}
	t := &Transport{Listener: l, packets: make(chan *memberlist.Packet, queue), streams: make(chan net.Conn)}
	n.mu.Lock()
	n.packets[l.addr] = t
	n.mu.Unlock()
	t.done.Go(t.accept)
	return t, nil
}

func (t *Transport) accept() {
	for {
		conn, err := t.Accept()
		if err != nil {
			return
		}
		select {
		case t.streams <- conn:
		case <-t.closed:
			_ = conn.Close()
		}
	}
}

// FinalAdvertiseAddr is the node's address, whatever was configured.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.ParseIP(t.addr.IP).To4(), t.addr.Port, nil
}

// WriteTo sends a packet; like UDP it succeeds also when the packet is lost.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	return now, t.net.send(t.addr, addr, append([]byte(nil), b...))
}

// WriteToAddress sends to the address and ignores the name.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// send puts one packet under way. Cuts and losses apply when it is sent.
func (n *Network) send(from Addr, to string, data []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	target, err := n.resolveLocked(to)
	if err != nil {
		return err
	}
	if n.faults.blocked(from.Node, target.Node) || n.lostLocked(from.Node, target.Node) {
		return nil
	}
	if d := n.delayLocked(link{from.Node, target.Node}); d > 0 {
		time.AfterFunc(d, func() { n.deliver(from, target, data) })
		return nil
	}
	n.deliverLocked(from, target, data)
	return nil
}

// Inject delivers a forged packet as if it came from the given node; attacks use it. Faults do not apply.
func (n *Network) Inject(fromNode, to string, data []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	target, err := n.resolveLocked(to)
	if err != nil {
		return err
	}
	n.deliverLocked(n.addrLocked(fromNode, GossipPort), target, data)
	return nil
}

func (n *Network) deliver(from, to Addr, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deliverLocked(from, to, data)
}

func (n *Network) deliverLocked(from, to Addr, data []byte) {
	t := n.packets[to]
	if t == nil {
		return
	}
	select {
	case t.packets <- &memberlist.Packet{Buf: data, From: from, Timestamp: time.Now()}:
	default:
	}
}

// PacketCh gives the received packets.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh gives the accepted connections.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout connects to another node's gossip port.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return t.net.Dial(ctx, t.addr.Node, addr)
}

// DialAddressTimeout dials the address and ignores the name.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// Shutdown closes the port; the node may open it again.
func (t *Transport) Shutdown() error {
	t.once.Do(func() {
		t.net.mu.Lock()
		delete(t.net.packets, t.addr)
		t.net.mu.Unlock()
		_ = t.Close()
		t.done.Wait()
	})
	return nil
}

func (t *Transport) crash() { _ = t.Shutdown() }
