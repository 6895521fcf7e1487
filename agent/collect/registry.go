package collect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/novacron/novacron/metric"
)

// Entities whose metrics all carry the same labels, by the beginning of the metric's name.
var entityLabels = map[string][]string{
	"vm_":        {"cloud_provider", "cloud_account_id", "cloud_region", "vm_id", "vm_name", "host", "source"},
	"host_":      {"host", "source"},
	"collector_": {"collector", "target", "host", "source"},
}

// Canonical are the metrics of every installation, by name.
func Canonical() []MetricDefinition {
	all := slices.Concat(vmComputeMetrics(), vmMemoryMetrics(), vmDiskMetrics(), vmNetworkMetrics(), vmStateMetrics(), hostMetrics(), hostDeviceMetrics(), selfMetrics())
	slices.SortFunc(all, func(a, b MetricDefinition) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Registry knows every metric that may be stored. It is safe for concurrent use.
type Registry struct {
	mu     sync.RWMutex
	byName map[string]entry
}

type entry struct {
	MetricDefinition
	// exact are the allowed labels, prefixes those that are allowed by their beginning.
	exact    map[string]bool
	prefixes []string
}

// NewRegistry knows the canonical metrics.
func NewRegistry() *Registry {
	r := &Registry{byName: map[string]entry{}}
	for _, def := range Canonical() {
		r.byName[def.Name] = newEntry(def)
	}
	return r
}

func newEntry(def MetricDefinition) entry {
	e := entry{MetricDefinition: def, exact: map[string]bool{}}
	for _, label := range slices.Concat(entityOf(def.Name), def.Labels) {
		if prefix, open := strings.CutSuffix(label, "*"); open {
			e.prefixes = append(e.prefixes, prefix)
		} else {
			e.exact[label] = true
		}
	}
	if entityOf(def.Name) == nil {
		e.exact["source"], e.exact["host"] = true, true
	}
	return e
}

func (e entry) allows(label string) bool {
	return e.exact[label] || slices.ContainsFunc(e.prefixes, func(p string) bool { return strings.HasPrefix(label, p) })
}

func entityOf(name string) []string {
	for prefix, labels := range entityLabels {
		if strings.HasPrefix(name, prefix) {
			return labels
		}
	}
	return nil
}

// Declare replaces the metrics that users have declared. With one that cannot be, nothing changes.
func (r *Registry) Declare(custom []MetricDefinition) error {
	next := map[string]entry{}
	for _, def := range Canonical() {
		next[def.Name] = newEntry(def)
	}
	for _, def := range custom {
		if err := def.Validate(); err != nil {
			return err
		}
		if _, twice := next[def.Name]; twice {
			return fmt.Errorf("metric %s is declared twice; remove one", def.Name)
		}
		next[def.Name] = newEntry(def)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byName = next
	return nil
}

// Lookup finds the definition of a metric.
func (r *Registry) Lookup(name string) (MetricDefinition, bool) {
	e, ok := r.entry(name)
	return e.MetricDefinition, ok
}

func (r *Registry) entry(name string) (entry, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e, ok := r.byName[name]
	return e, ok
}

// Definitions lists all metrics by name; with sources, those that one of them measures.
func (r *Registry) Definitions(sources ...Source) []MetricDefinition {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []MetricDefinition
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		def := r.byName[name].MetricDefinition
		if len(sources) == 0 || slices.ContainsFunc(def.Sources, func(s Source) bool { return slices.Contains(sources, s) }) {
			all = append(all, def)
		}
	}
	return all
}

// Validate tells why a metric cannot be declared by a user.
func (d MetricDefinition) Validate() error {
	return metric.Definition{Name: d.Name, Type: string(d.Type), Unit: d.Unit, Help: d.Help, Labels: d.Labels, Owner: d.Owner}.Validate()
}
