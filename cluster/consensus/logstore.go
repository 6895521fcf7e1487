package consensus

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/hashicorp/raft"
)

// deleteChunk bounds one deletion: bolt has one writer, and appends must not wait for a long truncation.
const deleteChunk = 4096

// logStore times and guards every call to the log on disk.
type logStore struct {
	raft.LogStore
	watch   *watchdog
	onFatal func(error)
}

var _ raft.LogStore = (*logStore)(nil)

// guard times op and turns a panic of the store, or a fault in its memory map, into ErrCorrupt.
func guard(w *watchdog, op string, fn func() error) (err error) {
	id := w.begin(op)
	defer w.end(id)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: %v", ErrCorrupt, op, p)
		}
	}()
	return fn()
}

func (s *logStore) FirstIndex() (index uint64, err error) {
	err = guard(s.watch, "log first index", func() (err error) { index, err = s.LogStore.FirstIndex(); return })
	return index, err
}

func (s *logStore) LastIndex() (index uint64, err error) {
	err = guard(s.watch, "log last index", func() (err error) { index, err = s.LogStore.LastIndex(); return })
	return index, err
}

// GetLog reads an entry and checks its sum, so that a damaged entry is neither applied nor sent to a follower.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	err := guard(s.watch, "log read", func() error { return s.LogStore.GetLog(index, l) })
	if err == nil && l.Type == raft.LogCommand {
		_, _, err = decodeEntry(l.Data)
	}
	if !errors.Is(err, ErrCorrupt) {
		// An entry of a newer release is stored and sent on; applying it is what halts.
		return onlyStoreError(err)
	}
	err = fmt.Errorf("log entry %d: %w", index, err)
	s.onFatal(err)
	return err
}

// onlyStoreError drops ErrUpgrade. Raft compares raft.ErrLogNotFound by identity, so nothing is wrapped.
func onlyStoreError(err error) error {
	if errors.Is(err, ErrUpgrade) {
		return nil
	}
	return err
}

func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s *logStore) StoreLogs(logs []*raft.Log) error {
	return guard(s.watch, "log append", func() error { return s.LogStore.StoreLogs(logs) })
}

// DeleteRange deletes in chunks, from the open end inwards, so that a crash between two leaves no hole.
func (s *logStore) DeleteRange(lo, hi uint64) error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	for lo <= hi {
		a, b := lo, min(hi, lo+deleteChunk-1)
		if lo > first {
			a, b = max(lo, hi-min(hi, deleteChunk-1)), hi
		}
		if err := guard(s.watch, "log truncate", func() error { return s.LogStore.DeleteRange(a, b) }); err != nil {
			return fmt.Errorf("delete log entries %d to %d: %w", a, b, err)
		}
		if b == hi && a == lo {
			return nil
		}
		if lo > first {
			hi = a - 1
		} else {
			lo, first = b+1, b+1
		}
	}
	return nil
}

// stableStore times and guards the votes and terms.
type stableStore struct {
	raft.StableStore
	watch *watchdog
}

var _ raft.StableStore = (*stableStore)(nil)

func (s *stableStore) Set(key, val []byte) error {
	return guard(s.watch, "vote write", func() error { return s.StableStore.Set(key, val) })
}

func (s *stableStore) SetUint64(key []byte, val uint64) error {
	return guard(s.watch, "term write", func() error { return s.StableStore.SetUint64(key, val) })
}

func (s *stableStore) Get(key []byte) (val []byte, err error) {
	err = guard(s.watch, "vote read", func() (err error) { val, err = s.StableStore.Get(key); return })
	return val, err
}

func (s *stableStore) GetUint64(key []byte) (val uint64, err error) {
	err = guard(s.watch, "term read", func() (err error) { val, err = s.StableStore.GetUint64(key); return })
	return val, err
}
