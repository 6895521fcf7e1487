// Package state is the replicated state of a cluster: typed tables that commands change, the same way on every controller.
//
// Apply is deterministic: a command carries every id and time that it needs, and nothing here reads a clock, a random
// source or the network. Records are never changed in place: a command puts a changed copy, so that readers may keep
// what they were given.
package state

import (
	"errors"
	"sync"

	statev1 "github.com/novacron/novacron/proto/state/v1"
	"google.golang.org/protobuf/proto"
)

// Version is the schema version of the commands and snapshots written here. A node that meets a newer one stops.
const Version = 1

// What a command can be refused for. Refusals change nothing.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
	ErrRefused  = errors.New("refused")
	ErrInvalid  = errors.New("invalid")
	// ErrStale means that the plan was made from an older state: look again and retry.
	ErrStale = errors.New("stale")
	// ErrUpgrade means that this node is older than the cluster: it must stop, never guess.
	ErrUpgrade = errors.New("upgrade this node")
	// ErrCompacted means that the changes asked for are no longer kept: list, then watch from there.
	ErrCompacted = errors.New("compacted")
)

// Store holds the tables of one controller.
type Store struct {
	mu     sync.RWMutex
	tables tables
	feed   feed
	// restores counts how often the tables were replaced as a whole.
	restores uint64
}

// New returns an empty store.
func New() *Store {
	return &Store{tables: newTables(), feed: newFeed(feedLimit)}
}

// Result is what a command did.
type Result struct {
	// Value is the record that the command put, where there is one.
	Value proto.Message
	// Err wraps one of the errors above; nothing has changed then.
	Err error
}

// Apply carries out one encoded command of the log.
func (s *Store) Apply(revision uint64, encoded []byte) Result {
	command := &statev1.Command{}
	if err := proto.Unmarshal(encoded, command); err != nil {
		return Result{Err: errUpgrade("command at revision %d cannot be decoded: %v", revision, err)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &txn{t: &s.tables, revision: revision, now: command.GetTime(), actor: command.GetActor()}
	value, err := tx.apply(command)
	if err != nil {
		return Result{Err: err}
	}
	tx.tell()
	s.tables.revision = revision
	s.feed.publish(revision, tx.changes)
	return Result{Value: value}
}

// View returns the tables as they are now. It costs the same however large they are, and later commands do not change it.
func (s *Store) View() View {
	s.mu.Lock() // cloning marks the shared nodes of the original, so readers must not overlap
	defer s.mu.Unlock()
	return View{t: s.tables.clone(), restores: s.restores}
}

// Revision is the index of the last command that changed the state.
func (s *Store) Revision() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables.revision
}

// IsRevoked tells whether the certificates of a node are refused.
func (s *Store) IsRevoked(nodeID string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.tables.revoked.get(nodeID)
	return ok
}
