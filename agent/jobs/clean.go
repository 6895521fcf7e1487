package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/novacron/novacron/agent/collect"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
)

// known is what the cluster's state says of all sources, at a revision. Nil is not known.
type known struct {
	revision uint64
	names    map[string]bool
}

func knownOf(revision uint64, told *agentv1.MetricSourceNames) *known {
	if told == nil {
		return nil // a controller of an earlier release
	}
	k := &known{revision: revision, names: map[string]bool{}}
	for _, name := range told.GetNames() {
		k.names[name] = true
	}
	return k
}

// over tells whether a source of which something of an epoch is kept was deleted from the cluster. An epoch is the
// revision at which the source was given to this host: where the state is older than that, it says nothing.
func (k *known) over(name string, epoch uint64) bool {
	return k != nil && !k.names[name] && epoch <= k.revision
}

// clean ends the series of sources that the cluster has no more, and removes their folders. It is called by the goroutine
// that starts jobs, so none begins in a folder that is being removed; what is left half done after a crash is done again
// by the next one.
func (m *Manager) clean(ctx context.Context) {
	m.mu.Lock()
	all := m.known
	m.known = nil // once for each time that the cluster tells
	busy := map[string]bool{}
	for name := range m.jobs {
		busy[name] = true
	}
	m.mu.Unlock()
	if all == nil {
		return
	}
	entries, err := os.ReadDir(m.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.cfg.Logger.Warn("the folders of metric sources cannot be listed; those of deleted sources stay", "error", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case !entry.IsDir():
			continue
		case all.names[name]:
			continue
		case busy[name]:
			m.lookAgain(all) // its last collection has not ended
			continue
		}
		if err := m.remove(ctx, all, name); err != nil {
			m.cfg.Logger.Warn("what was kept of a deleted metric source cannot be removed; it is of no use any more", "source", name, "error", err)
		}
	}
}

// lookAgain has the next round clean by what is known, unless the cluster has told something newer.
func (m *Manager) lookAgain(all *known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = all
	}
}

func (m *Manager) remove(ctx context.Context, all *known, name string) error {
	dir := filepath.Join(m.cfg.Dir, name)
	epoch, err := epochOf(dir)
	if err != nil || !all.over(name, epoch) {
		return err
	}
	m.cfg.Logger.Info("a metric source was deleted: what this host kept of it is removed", "source", name, "folder", dir)
	return errors.Join(m.endSeries(ctx, dir), os.RemoveAll(dir))
}

// endTimeout bounds how long the shard may take for the ends of a source's series.
const endTimeout = 10 * time.Second

// endSeries stores a stale marker for each series that a source told last. Where that fails they end as all do that nobody
// tells any more, 5 minutes after their last value.
func (m *Manager) endSeries(ctx context.Context, dir string) error {
	series, err := collect.LoadSeries(ctx, storeIn(dir, collect.SeriesName))
	if err != nil || len(series) == 0 || m.cfg.Sink == nil || m.cfg.Registry == nil {
		return err
	}
	now := time.Now()
	for i := range series {
		series[i].Value, series[i].Timestamp = collect.Stale(), now
	}
	markers, _ := m.cfg.Registry.Admit(series, collect.Limits{Undeclared: true}) // what is not declared any more ends by itself
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := m.cfg.Sink.StoreMetrics(ctx, markers); err != nil {
		return fmt.Errorf("its series end 5 minutes late: %w", err)
	}
	return nil
}

// epochOf is the epoch that a source's folder is of; 0 where it says none.
func epochOf(dir string) (uint64, error) {
	text, err := collect.FileState{Path: filepath.Join(dir, epochFile)}.Load(context.Background())
	if err != nil {
		return 0, fmt.Errorf("its folder cannot be read: %w", err)
	}
	epoch, _ := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64) // what is no number is no epoch
	return epoch, nil
}
