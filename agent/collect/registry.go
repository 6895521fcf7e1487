package collect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/novacron/novacron/metric"
	"github.com/novacron/novacron/tsdb"
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
	// part says that it is told of as a series of another metric.
	part bool
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
		for _, label := range []string{"source", "host", "job", "instance"} {
			e.exact[label] = true
		}
	}
	return e
}

// parts are the entries of the series that a classic histogram is told in. It may as well be told as a native one, which is
// one series with its own name.
func parts(def MetricDefinition) []entry {
	if def.Type != TypeHistogram {
		return nil
	}
	one := func(suffix string, kind MetricType, unit string, labels ...string) entry {
		e := newEntry(MetricDefinition{Name: def.Name + suffix, Type: kind, Unit: unit, Help: def.Help, Labels: slices.Concat(def.Labels, labels), Owner: def.Owner})
		e.part = true
		return e
	}
	return []entry{one("_bucket", TypeCounter, "", "le"), one("_count", TypeCounter, ""), one("_sum", tsdb.TypeUnknown, def.Unit)}
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
		for _, e := range append(parts(def), newEntry(def)) {
			if _, twice := next[e.Name]; twice {
				return fmt.Errorf("metric %s is declared twice; remove one (a histogram is also its series with _bucket, _sum and _count)", e.Name)
			}
			next[e.Name] = e
		}
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
		if r.byName[name].part {
			continue
		}
		if len(sources) == 0 || slices.ContainsFunc(def.Sources, func(s Source) bool { return slices.Contains(sources, s) }) {
			all = append(all, def)
		}
	}
	return all
}

// OfEntity tells whether a name is kept for the metrics of machines, hosts and collectors, which only collectors measure.
func OfEntity(name string) bool { return entityOf(name) != nil }

// PassesUndeclared tells whether a name is that of a provider's own metric, which needs no entry.
func PassesUndeclared(name string) bool { return metric.PassesThrough(name) }

// Validate tells why a metric cannot be declared by a user.
func (d MetricDefinition) Validate() error {
	return metric.Definition{Name: d.Name, Type: string(d.Type), Unit: d.Unit, Help: d.Help, Labels: d.Labels, Owner: d.Owner}.Validate()
}
