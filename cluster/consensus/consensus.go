// Package consensus replicates a state machine over Raft: members, leadership, snapshots, backup and restore.
//
// See README.md beside this file for the promises and the file formats.
package consensus

import (
	"errors"
	"fmt"
)

// Sentinel errors. Match them with errors.Is.
var (
	// ErrNotLeader means that nothing was appended: ask the leader. The error in the chain is a *NotLeaderError.
	ErrNotLeader = errors.New("consensus: this node is not the leader")
	// ErrLeadershipLost means that the leader was deposed while it committed. It always comes with ErrOutcomeUnknown.
	ErrLeadershipLost = errors.New("consensus: leadership was lost while committing")
	// ErrOutcomeUnknown means that a command may or may not be applied, now or later.
	ErrOutcomeUnknown = errors.New("consensus: the outcome is unknown")
	// ErrAborted means that a restored backup superseded the command; its effects are gone.
	ErrAborted = errors.New("consensus: superseded by a restored backup")
	// ErrTooLarge means that a command is longer than MaxCommand.
	ErrTooLarge = errors.New("consensus: the command is too large")
	// ErrBootstrapped means that the node already has Raft state.
	ErrBootstrapped = errors.New("consensus: already bootstrapped")
	// ErrUnknownServer means that no member has the given id.
	ErrUnknownServer = errors.New("consensus: no such member")
	// ErrLastVoter means that a change would leave the cluster without a voter.
	ErrLastVoter = errors.New("consensus: the last voter cannot go")
	// ErrUpgrade means that a record was written by a newer release: upgrade this node.
	ErrUpgrade = errors.New("consensus: written by a newer release, upgrade this node")
	// ErrCorrupt means that a store, a snapshot, a backup or a log entry is damaged or cut short.
	ErrCorrupt = errors.New("consensus: damaged data")
	// ErrLocked means that another process holds the data directory.
	ErrLocked = errors.New("consensus: the data directory is in use")
	// ErrStalled means that the disk, or the state machine, hung while this node led; the node has isolated itself.
	ErrStalled = errors.New("consensus: the node stalled while it was leader")
	// ErrHalted means that the node met an entry that it cannot apply and stopped applying.
	ErrHalted = errors.New("consensus: the node has stopped applying entries")
	// ErrClosed means that the node is closed.
	ErrClosed = errors.New("consensus: the node is closed")
	// ErrNoState means that there is nothing on disk to recover from.
	ErrNoState = errors.New("consensus: the data directory holds no Raft state")
	// ErrConfig means that the configuration is not usable.
	ErrConfig = errors.New("consensus: bad configuration")
)

// NotLeaderError names the leader as far as this node knows it; both fields are empty during an election.
type NotLeaderError struct{ LeaderID, LeaderAddr string }

// Error names the leader to ask instead.
func (e *NotLeaderError) Error() string {
	if e.LeaderID == "" {
		return ErrNotLeader.Error() + ": no leader is known, retry after the election"
	}
	return fmt.Sprintf("%v: ask %s at %s", ErrNotLeader, e.LeaderID, e.LeaderAddr)
}

// Is makes errors.Is(err, ErrNotLeader) hold.
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }
