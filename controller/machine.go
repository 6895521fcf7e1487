package controller

import (
	"errors"
	"fmt"
	"io"

	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/controller/state"
)

// machine is the replicated state as the consensus layer wants it. It only delegates.
type machine struct{ store *state.Store }

var (
	_ consensus.StateMachine = machine{}
	_ consensus.Checker      = machine{}
	_ consensus.Merger       = machine{}
)

func (m machine) Apply(index uint64, command []byte) any {
	result := m.store.Apply(index, command)
	if errors.Is(result.Err, state.ErrUpgrade) {
		return halt{result.Err}
	}
	return result
}

func (m machine) Snapshot() (consensus.Snapshot, error) { return snapshot{m.store.View()}, nil }

func (m machine) Restore(r io.Reader) error { return m.store.Restore(r) }

// CheckSnapshot refuses a backup that cannot be read, or that belongs to another cluster.
func (m machine) CheckSnapshot(r io.Reader) error {
	candidate := state.New()
	if err := candidate.Restore(r); err != nil {
		return err
	}
	theirs, ours := candidate.View().ClusterID(), m.store.View().ClusterID()
	if ours != "" && theirs != ours {
		return fmt.Errorf("%w: the backup is of cluster %s, this is cluster %s: restore it there", state.ErrRefused, theirs, ours)
	}
	return nil
}

// MergeSnapshot keeps today's facts: see state.Merge.
func (m machine) MergeSnapshot(w io.Writer, backup io.Reader) error {
	return state.Merge(w, backup, m.store.View())
}

type snapshot struct{ view state.View }

func (s snapshot) Write(w io.Writer) error { return s.view.Write(w) }
func (s snapshot) Release()                {}

// halt is a command that this release does not know: the node stops, so that it never differs from the others.
type halt struct{ error }

func (halt) Halt() bool      { return true }
func (h halt) Unwrap() error { return h.error }
