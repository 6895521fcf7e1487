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
	if err := n.gone.err(); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
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
	if file, err = n.unnamed(); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	index, err := verifyStream(io.TeeReader(r, file))
	if err != nil {
		return file, nil, err
	}
	if err := n.precheck(file); err != nil {
		return file, nil, err
	}
	if file, err = n.merge(file, index); err != nil {
		return file, nil, err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return file, nil, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return file, &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: index, Term: 1, Size: size}, err
}

// unnamed makes a file that vanishes with its descriptor, whatever happens to the process.
func (n *Node) unnamed() (*os.File, error) {
	file, err := os.CreateTemp(n.cfg.DataDir, "restore-*.tmp")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// merge lets a Merger write what shall replace the state, into a file of its own. It closes the one that it replaces.
func (n *Node) merge(backup *os.File, index uint64) (*os.File, error) {
	m, ok := n.sm.(Merger)
	if !ok {
		return backup, nil
	}
	if _, err := backup.Seek(0, io.SeekStart); err != nil {
		return backup, err
	}
	from, err := newStreamReader(backup)
	if err != nil {
		return backup, err
	}
	merged, err := n.unnamed()
	if err != nil {
		return backup, err
	}
	defer backup.Close()
	to, err := newStreamWriter(merged, index)
	if err != nil {
		return merged, err
	}
	return merged, errors.Join(m.MergeSnapshot(to, from), to.Close())
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
