package collect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/novacron/novacron/tsdb"
)

// Entities whose metrics all carry the same labels, by the beginning of the metric's name.
var entityLabels = map[string][]string{
	"vm_":        {"cloud_provider", "cloud_account_id", "cloud_region", "vm_id", "vm_name", "host", "source"},
	"host_":      {"host", "source"},
	"collector_": {"collector", "target", "host", "source"},
}

// passThrough are the beginnings of names that a provider's own metrics keep: they are taken without an entry.
var passThrough = []string{"aws_", "azure_", "gcp_"}

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

var reserved = append([]string{"vm_", "host_", "collector_"}, passThrough...)

// isName tells whether a text is letters, digits, _ and what else is allowed, with no digit in front. Every sample
// passes here.
func isName(text string, also byte) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == also
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}

// OfEntity tells whether a name is kept for the metrics of machines, hosts and collectors, which only collectors measure.
func OfEntity(name string) bool { return entityOf(name) != nil }

// PassesUndeclared tells whether a name is that of a provider's own metric, which needs no entry.
func PassesUndeclared(name string) bool { return startsWithOne(name, passThrough) }

func isMetricName(text string) bool { return isName(text, ':') }

func isLabelName(text string) bool { return isName(text, '_') && !strings.HasPrefix(text, "__") }

// Validate tells why a metric cannot be declared by a user.
func (d MetricDefinition) Validate() error {
	switch {
	case !isMetricName(d.Name):
		return fmt.Errorf("metric name %.80q: use letters, digits, _ and :, with no digit in front", d.Name)
	case startsWithOne(d.Name, reserved):
		return fmt.Errorf("metric name %s: names that begin with %s are kept for the registry; take another", d.Name, strings.Join(reserved, ", "))
	case d.Type != TypeGauge && d.Type != TypeCounter && d.Type != TypeHistogram:
		return fmt.Errorf("metric %s: type %q; use %s, %s or %s", d.Name, d.Type, TypeGauge, TypeCounter, TypeHistogram)
	case d.Type == TypeCounter && !strings.HasSuffix(d.Name, "_total"):
		return fmt.Errorf("metric %s: the name of a counter ends with _total; call it %s_total", d.Name, d.Name)
	case d.Help == "":
		return fmt.Errorf("metric %s: say in help what it measures", d.Name)
	}
	return validLabels(d)
}

func validLabels(d MetricDefinition) error {
	if len(d.Labels) > maxLabels {
		return fmt.Errorf("metric %s: %d labels, at most %d", d.Name, len(d.Labels), maxLabels)
	}
	for _, label := range d.Labels {
		if !isLabelName(strings.TrimSuffix(label, "*")) {
			return fmt.Errorf("metric %s: label %.80q: use letters, digits and _, with no digit and no __ in front", d.Name, label)
		}
	}
	return nil
}

func startsWithOne(name string, beginnings []string) bool {
	return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(name, b) })
}
