package memnet

import (
	"sync"
	"time"
)

// window is how many bytes may be under way in one direction before Write blocks, as a socket's buffers do.
const window = 1 << 20

// pipe is one connection: two directions. addrs[0] dialled, addrs[1] accepted.
type pipe struct {
	net   *Network
	addrs [2]Addr
	half  [2]*half // half[i] carries what addrs[i] sends

	mu     sync.Mutex
	closed [2]bool
}

// half is one direction of a pipe.
type half struct {
	from, to string

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced on every change
	segments []segment
	buffered int
	last     time.Time // arrival of the last segment: streams keep their order
	reset    bool
	gone     bool // the reader closed its end
}

// segment is a written piece and the time it arrives; fin ends the stream.
type segment struct {
	data []byte
	at   time.Time
	fin  bool
}

func newPipe(n *Network, from, to Addr) *pipe {
	p := &pipe{net: n, addrs: [2]Addr{from, to}}
	p.half[0] = &half{from: from.Node, to: to.Node, changed: make(chan struct{})}
	p.half[1] = &half{from: to.Node, to: from.Node, changed: make(chan struct{})}
	return p
}

func (p *pipe) client() *Conn { return newConn(p, 0) }
func (p *pipe) server() *Conn { return newConn(p, 1) }

// close ends one side: the other reads what is under way and then EOF.
func (p *pipe) close(side int) {
	p.mu.Lock()
	already := p.closed[side]
	p.closed[side] = true
	both := p.closed[1-side]
	p.mu.Unlock()
	if already {
		return
	}
	p.push(side, segment{fin: true})
	in := p.half[1-side]
	in.update(func() { in.gone = true })
	if both {
		p.net.forget(p)
	}
}

// reset breaks both directions at once and throws away what is under way.
func (p *pipe) reset() {
	for _, h := range p.half {
		h.update(func() { h.reset, h.segments, h.buffered = true, nil, 0 })
	}
	p.net.forget(p)
}

func (p *pipe) crash() { p.reset() }

// push puts a segment under way from side.
func (p *pipe) push(side int, s segment) {
	h := p.half[side]
	p.net.mu.Lock()
	s.at = time.Now().Add(p.net.streamDelayLocked(h.from, h.to))
	p.net.mu.Unlock()
	h.update(func() {
		if s.at.Before(h.last) {
			s.at = h.last
		}
		h.last = s.at
		h.segments = append(h.segments, s)
		h.buffered += len(s.data)
	})
}

// open gives whether the direction lets bytes through now, and a channel that tells of the next change of faults.
func (p *pipe) open(h *half) (bool, <-chan struct{}) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	return !p.net.faults.blocked(h.from, h.to), p.net.changed
}

func (h *half) update(alter func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	alter()
	close(h.changed)
	h.changed = make(chan struct{})
}
