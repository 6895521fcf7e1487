package gossip

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/hashicorp/memberlist"
)

// delegate answers memberlist's callbacks. Most run under memberlist's lock: they must not block nor call it back.
type delegate struct {
	table  *table
	logger *slog.Logger
	meta   atomic.Pointer[[]byte]
}

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
)

// setMeta changes what NodeMeta gives from the next announcement on.
func (d *delegate) setMeta(m meta) error {
	b, err := m.encode()
	if err == nil {
		d.meta.Store(&b)
	}
	return err
}

// NodeMeta gives the encoded metadata, always within the limit.
func (d *delegate) NodeMeta(int) []byte { return *d.meta.Load() }

// NotifyMsg ignores user messages: there are none.
func (d *delegate) NotifyMsg([]byte) {}

// GetBroadcasts has none.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState has none.
func (d *delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState ignores what a peer adds.
func (d *delegate) MergeRemoteState([]byte, bool) {}

// NotifyAlive keeps nodes out whose name, address or metadata is not of our making. It runs before memberlist stores
// anything of them. A memberlist merge delegate is not used: with one, a short version list from a peer panics.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	if len(n.Name) != 36 {
		return fmt.Errorf("%w: name has %d bytes, want a UUID of 36", ErrMeta, len(n.Name))
	}
	id, err := uuid.Parse(n.Name)
	if err != nil || id.String() != n.Name {
		return fmt.Errorf("%w: name %q is no canonical UUID", ErrMeta, n.Name)
	}
	if l := len(n.Addr); (l != 4 && l != 16) || n.Port == 0 {
		return fmt.Errorf("%w: address of %d bytes and port %d", ErrMeta, l, n.Port)
	}
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return err
	}
	if m.id != id {
		return fmt.Errorf("%w: it is of %s, the node is %s", ErrMeta, m.id, id)
	}
	return nil
}

// NotifyJoin is a node that is new or back.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.table.set(EventJoined, n) }

// NotifyLeave is a node that is dead or has left.
func (d *delegate) NotifyLeave(n *memberlist.Node) { d.table.set(EventFailed, n) }

// NotifyUpdate is a node with new metadata.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.table.set(EventUpdated, n) }

// NotifyConflict is two live nodes with one id, most often a copied disk.
func (d *delegate) NotifyConflict(have, other *memberlist.Node) {
	d.logger.Error("two nodes use one id: remove the copied key directory from one of them",
		"id", have.Name, "known_at", have.Address(), "also_at", other.Address())
}
