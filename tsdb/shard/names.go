package shard

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/novacron/novacron/tsdb"
)

// namesFile is the name, in a shard's folder, of what is known of metrics by their names.
const namesFile = "metrics.json"

const (
	// maxNames bounds how many metrics are described.
	maxNames = 20_000
	// saveNames is how often what was learned is saved at most.
	saveNames = 10 * time.Second
)

// Descriptions are those of all metrics that are described.
func (s *Shard) Descriptions() map[string]Description { return s.names.all() }

// Description is what is known of all series of a metric.
type Description struct {
	Type tsdb.MetricType `json:"type,omitempty"`
	Unit string          `json:"unit,omitempty"`
	Help string          `json:"help,omitempty"`
}

// names describe metrics. They are a convenience: where they cannot be kept, samples still are.
type names struct {
	path     string
	readOnly bool
	log      *slog.Logger

	mu    sync.RWMutex
	known map[string]Description
	dirty bool
	saved time.Time
}

type nameFile struct {
	Version int                    `json:"version"`
	Metrics map[string]Description `json:"metrics"`
}

func readNames(path string, options Options) (*names, error) {
	n := &names{path: path, readOnly: options.ReadOnly, log: options.Logger, known: map[string]Description{}}
	if path == "" {
		return n, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	var file nameFile
	if err == nil {
		err = DecodeStrict(text, &file)
	}
	if err != nil || file.Version != 1 {
		n.log.Warn("types and units of metrics are not known until they are stored again: the file cannot be read", "file", path, "version", file.Version, "error", err)
		return n, nil
	}
	if file.Metrics != nil {
		n.known = file.Metrics
	}
	return n, nil
}

// learn remembers the types and units of metrics.
func (n *names) learn(metrics []tsdb.Metric, now time.Time) {
	for i := range metrics {
		if m := &metrics[i]; m.Type != "" || m.Unit != "" {
			n.describe(m.Name, Description{Type: m.Type, Unit: m.Unit})
		}
	}
	n.mu.Lock()
	due := n.dirty && now.Sub(n.saved) >= saveNames
	if due {
		n.saved = now
	}
	n.mu.Unlock()
	if !due {
		return
	}
	if err := n.save(); err != nil {
		n.log.Warn("types and units of metrics could not be saved", "error", err)
	}
}

// describe adds what is new of a description.
func (n *names) describe(name string, d Description) {
	n.mu.RLock()
	old, known := n.known[name]
	full := len(n.known) >= maxNames
	n.mu.RUnlock()
	next := old
	if d.Type != "" {
		next.Type = d.Type
	}
	if d.Unit != "" {
		next.Unit = d.Unit
	}
	if d.Help != "" {
		next.Help = d.Help
	}
	if next == old || !known && full {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[name], n.dirty = next, true
}

func (n *names) of(name string) Description {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.known[name]
}

func (n *names) all() map[string]Description {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return maps.Clone(n.known)
}

// save writes the file where something was learned since.
func (n *names) save() error {
	n.mu.Lock()
	if !n.dirty || n.path == "" || n.readOnly {
		n.mu.Unlock()
		return nil
	}
	n.dirty = false
	file := nameFile{1, maps.Clone(n.known)}
	n.mu.Unlock()
	err := saveJSON(n.path, file)
	if err != nil {
		n.mu.Lock()
		n.dirty = true
		n.mu.Unlock()
	}
	return err
}

// Describe adds what is known of a metric.
func (s *Shard) Describe(name string, d Description) { s.names.describe(name, d) }

// Description is what is known of a metric.
func (s *Shard) Description(name string) Description { return s.names.of(name) }
