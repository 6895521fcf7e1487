package log

import (
	"errors"
	"fmt"
	"os"
)

// maxBehind bounds the segments that wait for a sync: with more of them the disk is too slow, and Turn waits for it.
const maxBehind = 16

// Turn ends the segment and begins the next, whose number it returns, as Rotate does, but without waiting for the disk:
// the end of the one, and the name of the other, are brought into stable storage by the next sync, within Options.Sync.
// So a crash of the machine may leave records of the new segment where others before them are lost. It is for logs whose
// segments mean something each by itself.
func (l *Log) Turn() (uint64, error) {
	segment, waiting, err := l.turn()
	if waiting {
		return l.Rotate()
	}
	return segment, err
}

func (l *Log) turn() (segment uint64, waiting bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, false, ErrClosed
	}
	if len(l.behind) >= maxBehind {
		return 0, true, nil
	}
	file, next, err := l.createNext()
	if err != nil {
		return 0, false, err
	}
	l.behind, l.unnamed = append(l.behind, l.file), true
	l.file, l.segment, l.size, l.broken = file, next, 0, nil
	return next, false, nil
}

// unsynced is what a sync has to bring into stable storage.
type unsynced struct {
	file    *os.File
	segment uint64
	// written counts the records up to its end.
	written uint64
	behind  []*os.File
	unnamed bool
}

// takeUnsynced is what there is; the caller holds syncing and mu.
func (l *Log) takeUnsynced() unsynced {
	u := unsynced{l.file, l.segment, l.written, l.behind, l.unnamed}
	l.behind, l.unnamed = nil, false
	return u
}

// syncAll syncs in the order in which it was written.
func (l *Log) syncAll(u unsynced) error {
	var errs []error
	for _, file := range u.behind {
		errs = append(errs, l.sync(file), file.Close())
	}
	if u.unnamed {
		errs = append(errs, syncDir(l.dir))
	}
	if err := errors.Join(append(errs, l.sync(u.file))...); err != nil {
		return fmt.Errorf("syncing log segment %d: %w", u.segment, full(err))
	}
	return nil
}
