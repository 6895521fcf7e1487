package consensus

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// snapshotStallFactor is how much longer than a log write one write or sync of a snapshot file may take.
const snapshotStallFactor = 15

// snapStore times the snapshot files and hands none out before its stream was verified.
type snapStore struct {
	raft.SnapshotStore
	watch *watchdog
	// bad remembers why the last snapshot was refused: Raft reports only that none could be loaded.
	bad error
}

var _ raft.SnapshotStore = (*snapStore)(nil)

// openSnapshots opens dir/snapshots and sweeps what a crash left half written.
func openSnapshots(dir string, retain int, logger *hcLogger, w *watchdog) (*snapStore, error) {
	if err := sweepSnapshots(filepath.Join(dir, "snapshots")); err != nil {
		return nil, err
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, retain, logger)
	if err != nil {
		return nil, fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	return &snapStore{SnapshotStore: files, watch: w}, nil
}

// sweepSnapshots removes temporary directories; the library ignores them for ever.
func sweepSnapshots(dir string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep snapshots: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("sweep snapshots: %w", err)
		}
	}
	return nil
}

func (s *snapStore) limit() time.Duration { return s.watch.limit * snapshotStallFactor }

func (s *snapStore) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	id := s.watch.beginLimit("snapshot create", s.limit())
	defer s.watch.end(id)
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, trans)
	if err != nil {
		return nil, err
	}
	return &snapSink{SnapshotSink: sink, store: s}, nil
}

// Open verifies the whole stream, then opens it again for the caller.
func (s *snapStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	_, r, err := s.SnapshotStore.Open(id)
	if err != nil {
		s.bad = fmt.Errorf("%w: snapshot %s: %w", ErrCorrupt, id, err)
		return nil, nil, s.bad
	}
	_, err = verifyStream(r)
	r.Close()
	if err != nil {
		s.bad = fmt.Errorf("snapshot %s: %w", id, err)
		return nil, nil, s.bad
	}
	return s.SnapshotStore.Open(id)
}

// snapSink times the writes of one snapshot.
type snapSink struct {
	raft.SnapshotSink
	store *snapStore
}

func (k *snapSink) Write(p []byte) (int, error) {
	id := k.store.watch.beginLimit("snapshot write", k.store.limit())
	defer k.store.watch.end(id)
	return k.SnapshotSink.Write(p)
}

func (k *snapSink) Close() error {
	id := k.store.watch.beginLimit("snapshot sync", k.store.limit())
	defer k.store.watch.end(id)
	return k.SnapshotSink.Close()
}
