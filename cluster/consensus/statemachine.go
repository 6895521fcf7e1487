package consensus

import "io"

// StateMachine is what Raft replicates. Apply, Snapshot and Restore are never called concurrently.
type StateMachine interface {
	// Apply executes one committed command and returns its result to the proposer. It is deterministic: the same
	// commands give the same state on every node. A refused command returns an error value as its result. A result
	// that is a Halter stops the node instead. Indexes grow but are not contiguous. Apply must not retain command.
	Apply(index uint64, command []byte) any
	// Snapshot returns a cheap view of the state at this moment, written out later while Apply goes on.
	Snapshot() (Snapshot, error)
	// Restore replaces the state by a written snapshot. It reads up to io.EOF and keeps the old state on any error.
	Restore(r io.Reader) error
}

// Snapshot is a point in time of a state machine.
type Snapshot interface {
	// Write writes the state; two nodes with equal state write equal bytes.
	Write(w io.Writer) error
	// Release frees what the snapshot holds; it is called once, also when Write was not.
	Release()
}

// Checker is optionally implemented by a state machine that can tell whether it would accept a snapshot, without
// changing anything. Restore asks it before a backup replaces the state of the cluster.
type Checker interface {
	CheckSnapshot(r io.Reader) error
}

// Merger is optionally implemented by a state machine that keeps some of its present state when a backup is restored:
// it writes what shall replace the state. It changes nothing.
type Merger interface {
	MergeSnapshot(w io.Writer, backup io.Reader) error
}

// Halter is implemented by a result of Apply that must stop the node, such as a command of a newer release. No later
// entry is applied, so the state never diverges, and Config.OnFatal is called.
type Halter interface {
	error
	Halt() bool
}
