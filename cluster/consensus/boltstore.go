package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// logCacheSize is how many recent entries are served from memory; replication rarely needs older ones.
const logCacheSize = 1024

// boltOptions are the settings of raft.db. Writing the freelist at each commit costs ten times the append once the
// file has many free pages, and the array freelist is slow to search; both are rebuilt at open instead.
func boltOptions() *bbolt.Options {
	return &bbolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}
}

// stores are the three stores of a node.
type stores struct {
	bolt   *raftboltdb.BoltStore
	logs   raft.LogStore
	stable raft.StableStore
	snaps  *snapStore
}

// openStores opens what is in cfg.DataDir.
func openStores(cfg Config, w *watchdog, onFatal func(error)) (*stores, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("open raft stores: %w", err)
	}
	bolt, err := openBolt(filepath.Join(cfg.DataDir, "raft.db"))
	if err != nil {
		return nil, err
	}
	snaps, err := openSnapshots(cfg.DataDir, cfg.Snapshots.Retain, newHCLogger(cfg.Logger, w), w)
	if err != nil {
		bolt.Close()
		return nil, err
	}
	var log raft.LogStore = bolt
	if cfg.wrapLog != nil {
		log = cfg.wrapLog(log)
	}
	cache, err := raft.NewLogCache(logCacheSize, &logStore{LogStore: log, watch: w, onFatal: onFatal})
	if err != nil {
		bolt.Close()
		return nil, err
	}
	return &stores{bolt: bolt, logs: cache, stable: &stableStore{bolt, w}, snaps: snaps}, nil
}

// openBolt checks the file before bbolt maps it: on damage bbolt panics in a goroutine of its own, which nothing can
// recover.
func openBolt(path string) (store *raftboltdb.BoltStore, err error) {
	if err := checkBolt(path); err != nil {
		return nil, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			store, err = nil, fmt.Errorf("%w: open %s: %v", ErrCorrupt, path, p)
		}
	}()
	store, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: boltOptions()})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s is locked by another process", ErrLocked, path)
	}
	if errors.Is(err, bbolt.ErrInvalid) || errors.Is(err, bbolt.ErrChecksum) || errors.Is(err, bbolt.ErrVersionMismatch) {
		return nil, fmt.Errorf("%w: open %s: %w", ErrCorrupt, path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return store, nil
}
