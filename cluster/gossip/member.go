package gossip

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// State is what gossip believes of a member.
type State string

// The three states. Failed and Left members are remembered for a while.
const (
	Alive  State = "alive"
	Failed State = "failed"
	// Left is a member that said good-bye. A good-bye that got lost shows as Failed.
	Left State = "left"
)

// Member is one node as gossip knows it.
type Member struct {
	// ID is the node's UUID.
	ID      string
	Role    string
	Version string
	// Addr is the gossip address, "ip:port".
	Addr  string
	State State
}

const (
	// remember is how long a failed member is dialled again and a gone one shown.
	remember = 24 * time.Hour
	// maxGone bounds how many gone members are kept; the oldest go first.
	maxGone = 1024
)

// table is what is known of all members. memberlist forgets its dead after half a minute; the table keeps them, so that
// two halves of a healed partition find each other again.
type table struct {
	mu      sync.Mutex
	members map[string]*entry
	events  *queue
	self    string
}

type entry struct {
	Member
	since time.Time
}

func newTable(self string, events *queue) *table {
	return &table{members: map[string]*entry{}, events: events, self: self}
}

// set records a member's news and queues the event.
func (t *table) set(kind EventType, n *memberlist.Node) {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return // the alive delegate let no such node in
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	state := Alive
	if kind == EventFailed {
		if state = Failed; m.leaving {
			kind, state = EventLeft, Left
		}
	}
	e := &entry{Member: Member{ID: n.Name, Role: m.role, Version: m.version, Addr: n.Address(), State: state}, since: time.Now()}
	t.members[n.Name] = e
	t.forget(e.since)
	if n.Name != t.self {
		t.events.push(Event{Type: kind, Member: e.Member})
	}
}

// forget drops members that have been gone for too long, and the longest gone when there are too many.
func (t *table) forget(now time.Time) {
	var gone []*entry
	for id, e := range t.members {
		if e.State == Alive {
			continue
		}
		if now.Sub(e.since) > remember {
			delete(t.members, id)
			continue
		}
		gone = append(gone, e)
	}
	if len(gone) <= maxGone {
		return
	}
	slices.SortFunc(gone, func(a, b *entry) int { return a.since.Compare(b.since) })
	for _, e := range gone[:len(gone)-maxGone] {
		delete(t.members, e.ID)
	}
}

// snapshot lists all members by id; the caller holds mu.
func (t *table) snapshot() []Member {
	list := make([]Member, 0, len(t.members))
	for _, e := range t.members {
		list = append(list, e.Member)
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (t *table) list() []Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.snapshot()
}
