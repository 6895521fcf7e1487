package memnet

import (
	"math/rand/v2"
	"time"
)

// link is one direction between two nodes.
type link struct{ from, to string }

// OnCut says what a cut does to established connections.
type OnCut int

const (
	// BlackHole keeps them open: bytes wait and arrive after the heal, as TCP would deliver them.
	BlackHole OnCut = iota
	// Kill resets them at once.
	Kill
)

// retransmit is what a lost segment of a stream costs: TCP's smallest retransmission timeout.
const retransmit = 200 * time.Millisecond

type faults struct {
	onCut    OnCut
	cut      map[link]bool
	isolated map[string]bool
	group    map[string]int // partition; nodes in none are together in group 0
	loss     float64
	delay    time.Duration
	jitter   time.Duration
}

func newFaults() faults {
	return faults{cut: map[link]bool{}, isolated: map[string]bool{}, group: map[string]int{}}
}

func (f *faults) blocked(from, to string) bool {
	if from == to {
		return false
	}
	return f.cut[link{from, to}] || f.isolated[from] || f.isolated[to] || f.group[from] != f.group[to]
}

// linkState draws a link's losses and delays; its own generator keeps other links' traffic out of the sequence.
type linkState struct{ rng *rand.Rand }

func (n *Network) rngLocked(l link) *rand.Rand {
	s := n.links[l]
	if s == nil {
		s = &linkState{rng: rand.New(rand.NewPCG(n.seed, hash(l.from+"\x00"+l.to)))}
		n.links[l] = s
	}
	return s.rng
}

// hash is FNV-1a: equal in every run, unlike maphash.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func (n *Network) delayLocked(l link) time.Duration {
	d := n.faults.delay
	if n.faults.jitter > 0 {
		d += time.Duration(n.rngLocked(l).Int64N(int64(n.faults.jitter)))
	}
	return d
}

// streamDelayLocked is the delay of one segment: streams lose nothing, a loss costs a doubling retransmission timeout.
func (n *Network) streamDelayLocked(from, to string) time.Duration {
	l := link{from, to}
	d := n.delayLocked(l)
	for rto := retransmit; n.faults.loss > 0 && rto < time.Minute && n.rngLocked(l).Float64() < n.faults.loss; rto *= 2 {
		d += rto
	}
	return d
}

func (n *Network) lostLocked(from, to string) bool {
	return n.faults.loss > 0 && n.rngLocked(link{from, to}).Float64() < n.faults.loss
}

// change alters the faults, wakes everybody who waits, and kills what the cut now separates when asked to.
func (n *Network) change(alter func(*faults)) {
	n.mu.Lock()
	alter(&n.faults)
	close(n.changed)
	n.changed = make(chan struct{})
	var dead []*pipe
	for p := range n.conns {
		a, b := p.addrs[0].Node, p.addrs[1].Node
		if n.faults.onCut == Kill && (n.faults.blocked(a, b) || n.faults.blocked(b, a)) {
			dead = append(dead, p)
		}
	}
	n.mu.Unlock()
	for _, p := range dead {
		p.reset()
	}
}

// OnCut chooses what cuts from here on do to established connections; the default is BlackHole.
func (n *Network) OnCut(mode OnCut) { n.change(func(f *faults) { f.onCut = mode }) }

// Cut stops all traffic between two nodes, both ways.
func (n *Network) Cut(a, b string) {
	n.change(func(f *faults) { f.cut[link{a, b}], f.cut[link{b, a}] = true, true })
}

// CutOneWay stops what from sends to to; the other direction still works.
func (n *Network) CutOneWay(from, to string) {
	n.change(func(f *faults) { f.cut[link{from, to}] = true })
}

// Isolate cuts a node from all others.
func (n *Network) Isolate(node string) { n.change(func(f *faults) { f.isolated[node] = true }) }

// Partition splits the nodes: each group reaches only itself, and nodes in no group only each other. It replaces an
// earlier partition.
func (n *Network) Partition(groups ...[]string) {
	n.change(func(f *faults) {
		clear(f.group)
		for i, g := range groups {
			for _, node := range g {
				f.group[node] = i + 1
			}
		}
	})
}

// Heal ends every cut, isolation and partition. Loss and delay stay.
func (n *Network) Heal() {
	n.change(func(f *faults) { clear(f.cut); clear(f.isolated); clear(f.group) })
}

// HealLink ends the cuts between two nodes, both ways.
func (n *Network) HealLink(a, b string) {
	n.change(func(f *faults) { delete(f.cut, link{a, b}); delete(f.cut, link{b, a}) })
}

// HealNode ends the isolation of a node.
func (n *Network) HealNode(node string) { n.change(func(f *faults) { delete(f.isolated, node) }) }

// Loss drops packets with probability p, 0 to 1; streams lose nothing and get slower instead.
func (n *Network) Loss(p float64) { n.change(func(f *faults) { f.loss = p }) }

// Delay holds everything back for d plus a random part of jitter, one way. Packets may overtake each other.
func (n *Network) Delay(d, jitter time.Duration) {
	n.change(func(f *faults) { f.delay, f.jitter = d, jitter })
}

// Crash closes a node's listeners and packet ports and resets its connections, as the end of its process would.
func (n *Network) Crash(node string) {
	n.mu.Lock()
	var closers []interface{ crash() }
	for a, l := range n.listeners {
		if a.Node == node {
			closers = append(closers, l)
		}
	}
	for a, t := range n.packets {
		if a.Node == node {
			closers = append(closers, t)
		}
	}
	for p := range n.conns {
		if p.addrs[0].Node == node || p.addrs[1].Node == node {
			closers = append(closers, p)
		}
	}
	n.mu.Unlock()
	for _, c := range closers {
		c.crash()
	}
}
