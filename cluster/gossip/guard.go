package gossip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// What memberlist puts in front of everything encrypted. A packet is version, nonce, ciphertext, tag; a stream is
// encryptMsg, length, and then the same.
const (
	encryptMsg     = 10
	encryptVersion = 1
	nonceLen       = 12
	overhead       = 1 + nonceLen + 16
	streamHeader   = 1 + 4 + 1
)

const (
	// maxStream bounds one encrypted stream message in bytes: 20,000 members. memberlist itself would take 20 MiB,
	// from anybody, before it can tell that the key is wrong.
	maxStream = 4 << 20
	// maxStreams bounds how many incoming streams are open at once.
	maxStreams = 128
)

// guard stands between the network and memberlist and drops what needs no key to be judged.
//
// The version byte matters most: it is not authenticated. Version 0 makes memberlist strip padding that version 1 does not
// have, and it panics when the last byte is larger than the message: whoever records a packet that ends so could stop
// every node by changing one byte, without the key.
type guard struct {
	memberlist.NodeAwareTransport
	packets chan *memberlist.Packet
	streams chan net.Conn
	slots   chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup
	once    sync.Once
	seen    replays

	rejected, replayed, crowded atomic.Uint64
}

func newGuard(inner memberlist.NodeAwareTransport) *guard {
	g := &guard{
		NodeAwareTransport: inner,
		packets:            make(chan *memberlist.Packet),
		streams:            make(chan net.Conn),
		slots:              make(chan struct{}, maxStreams),
		stop:               make(chan struct{}),
	}
	g.done.Go(g.filterPackets)
	g.done.Go(g.filterStreams)
	return g
}

// PacketCh gives the packets that passed.
func (g *guard) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh gives incoming streams, checked as they are read.
func (g *guard) StreamCh() <-chan net.Conn { return g.streams }

func (g *guard) filterPackets() {
	for {
		select {
		case p := <-g.NodeAwareTransport.PacketCh():
			if !g.admit(p.Buf) {
				continue
			}
			select {
			case g.packets <- p:
			case <-g.stop:
				return
			}
		case <-g.stop:
			return
		}
	}
}

func (g *guard) admit(packet []byte) bool {
	if len(packet) < overhead || packet[0] != encryptVersion {
		g.rejected.Add(1)
		return false
	}
	if g.seen.before([nonceLen]byte(packet[1 : 1+nonceLen])) {
		g.replayed.Add(1)
		return false
	}
	return true
}

func (g *guard) filterStreams() {
	for {
		select {
		case conn := <-g.NodeAwareTransport.StreamCh():
			g.forward(conn)
		case <-g.stop:
			return
		}
	}
}

func (g *guard) forward(conn net.Conn) {
	select {
	case g.slots <- struct{}{}:
	default:
		g.crowded.Add(1)
		_ = conn.Close()
		return
	}
	checked := &stream{Conn: conn, release: sync.OnceFunc(func() { <-g.slots }), guard: g}
	select {
	case g.streams <- checked:
	case <-g.stop:
		_ = checked.Close()
	}
}

// DialAddressTimeout checks what the peer answers too.
func (g *guard) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := g.NodeAwareTransport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	return &stream{Conn: conn, release: func() {}, guard: g}, nil
}

// DialTimeout is the same without the peer's name.
func (g *guard) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// Shutdown closes the network first: memberlist still reads what is on its way until then.
func (g *guard) Shutdown() error {
	var err error
	g.once.Do(func() {
		err = g.NodeAwareTransport.Shutdown()
		close(g.stop)
		g.done.Wait()
	})
	return err
}

// stream checks the header before memberlist sees the first byte. One message goes each way on a stream.
type stream struct {
	net.Conn
	release func()
	guard   *guard
	checked bool
	header  bytes.Reader
}

// Read is used by one goroutine, as memberlist does.
func (s *stream) Read(b []byte) (int, error) {
	if !s.checked {
		if err := s.check(); err != nil {
			return 0, err
		}
		s.checked = true
	}
	if s.header.Len() > 0 {
		return s.header.Read(b)
	}
	return s.Conn.Read(b)
}

func (s *stream) check() error {
	var h [streamHeader]byte
	if _, err := io.ReadFull(s.Conn, h[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(h[1:5])
	if h[0] != encryptMsg || h[5] != encryptVersion || size < overhead || size > maxStream {
		s.guard.rejected.Add(1)
		return fmt.Errorf("%w: stream of type %d, %d bytes, encryption %d: want type %d, at most %d bytes, encryption %d",
			ErrRejected, h[0], size, h[5], encryptMsg, maxStream, encryptVersion)
	}
	s.header.Reset(h[:])
	return nil
}

// Close also frees the place.
func (s *stream) Close() error {
	s.release()
	return s.Conn.Close()
}

// replays remembers the nonces of recent packets in two generations, each at most maxNonces: bounded memory, and a
// packet sent again soon is dropped. One sent again later does no harm: memberlist's incarnation numbers are older then.
type replays struct {
	mu        sync.Mutex
	now, last map[[nonceLen]byte]struct{}
}

const maxNonces = 1 << 15

// before reports whether the nonce was seen, and remembers it.
func (r *replays) before(nonce [nonceLen]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, hot := r.now[nonce]
	_, warm := r.last[nonce]
	if hot || warm {
		return true
	}
	if r.now == nil || len(r.now) >= maxNonces {
		r.now, r.last = map[[nonceLen]byte]struct{}{}, r.now
	}
	r.now[nonce] = struct{}{}
	return false
}
