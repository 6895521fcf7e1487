package consensus

import (
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// fsm adapts a StateMachine to Raft. It only delegates; Raft calls it from one goroutine.
type fsm struct {
	sm      StateMachine
	applied *appliedIndex
	watch   *watchdog
	last    uint64
	halted  error
	onHalt  func(error)
}

var _ raft.BatchingFSM = (*fsm)(nil)

// ApplyBatch applies committed entries in order and then wakes whoever waits for them.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	id := f.watch.begin("apply")
	defer f.watch.end(id)
	results := make([]any, len(logs))
	for i, l := range logs {
		results[i] = f.apply(l)
	}
	f.applied.set(f.last)
	return results
}

// Apply applies one entry; Raft uses it only for recovery.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// apply returns the state machine's result, and for a marker its term.
func (f *fsm) apply(l *raft.Log) any {
	if f.halted != nil {
		return f.halted
	}
	if l.Type != raft.LogCommand {
		f.last = l.Index
		return nil
	}
	kind, payload, err := decodeEntry(l.Data)
	if err != nil {
		return f.halt(l.Index, err)
	}
	var result any = l.Term
	if kind == kindCommand {
		result = f.sm.Apply(l.Index, payload)
	}
	if h, ok := result.(Halter); ok && h.Halt() {
		return f.halt(l.Index, h)
	}
	f.last = l.Index
	return result
}

// halt stops applying for good, before the state diverges from the other nodes'.
func (f *fsm) halt(index uint64, err error) error {
	f.halted = fmt.Errorf("%w: entry %d: %w", ErrHalted, index, err)
	f.onHalt(f.halted)
	return f.halted
}

// Snapshot captures the state with the index that it covers.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.halted != nil {
		return nil, f.halted
	}
	s, err := f.sm.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("snapshot at index %d: %w", f.last, err)
	}
	return &fsmSnapshot{Snapshot: s, index: f.last}, nil
}

// Restore verifies the stream while the state machine reads it.
func (f *fsm) Restore(rc io.ReadCloser) error {
	r, err := newStreamReader(rc)
	if err != nil {
		return err
	}
	if err := f.sm.Restore(r); err != nil {
		return fmt.Errorf("restore snapshot at index %d: %w", r.Index, err)
	}
	if err := r.drain(); err != nil {
		return err
	}
	f.last = max(f.last, r.Index)
	f.applied.set(f.last)
	return nil
}
