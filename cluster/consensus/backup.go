package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/raft"
)

// Backup writes the state as of now to w in the format of README.md. On the leader it contains every command that
// was acknowledged before the call; on a follower, what that follower has applied.
func (n *Node) Backup(ctx context.Context, w io.Writer) error {
	if n.IsLeader() {
		if err := n.ReadIndex(ctx); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
	}
	f, err := n.await(ctx, func(time.Duration) raft.Future { return n.raft.Snapshot() }, func() {})
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	_, r, err := f.(raft.SnapshotFuture).Open()
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer r.Close()
	if _, err := io.Copy(w, contextReader{ctx, r}); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// contextReader stops reading when ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Restore replaces the state of the whole cluster by a backup; only the leader can. The backup is copied to the data
// directory and verified first, so a truncated or edited one changes nothing. Members stay as they are. Proposals in
// flight fail with ErrAborted.
func (n *Node) Restore(ctx context.Context, r io.Reader) error {
	if err := n.ready(); err != nil {
		return err
	}
	file, meta, err := n.stage(contextReader{ctx, r})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	_, err = n.await(ctx, func(enqueue time.Duration) raft.Future {
		return done{n.raft.Restore(meta, file, enqueue)}
	}, func() { file.Close() })
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	// The library ends with an entry that no state machine sees; the marker lets reads catch up with it.
	if _, _, err := n.append(ctx, kindMarker, nil); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// done is a future that has arrived.
type done struct{ err error }

func (d done) Error() error { return d.err }

// stage copies a backup into an unnamed file, verifies it and asks the state machine whether it would accept it.
func (n *Node) stage(r io.Reader) (file *os.File, meta *raft.SnapshotMeta, err error) {
	if file, err = os.CreateTemp(n.cfg.DataDir, "restore-*.tmp"); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	// Without a name the file vanishes with its descriptor, whatever happens to the process.
	if err := os.Remove(file.Name()); err != nil {
		return nil, nil, err
	}
	index, err := verifyStream(io.TeeReader(r, file))
	if err != nil {
		return nil, nil, err
	}
	if err := n.precheck(file); err != nil {
		return nil, nil, err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, nil, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return file, &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: index, Term: 1, Size: size}, err
}

// precheck lets a Checker read the staged state: the library panics when a state machine refuses it later.
func (n *Node) precheck(file *os.File) error {
	c, ok := n.sm.(Checker)
	if !ok {
		return nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s, err := newStreamReader(file)
	if err != nil {
		return err
	}
	return errors.Join(c.CheckSnapshot(s), s.drain())
}
