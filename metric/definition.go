package metric

import (
	"fmt"
	"strings"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// The types of metrics, as people write them.
const (
	Gauge     = "gauge"
	Counter   = "counter"
	Histogram = "histogram"
)

// Definition is a metric of users.
type Definition struct {
	Name string
	// Type is Gauge, Counter or Histogram.
	Type string
	// Unit is the base unit; empty for plain counts.
	Unit string
	Help string
	// Labels are those that its series may have; one that ends with * allows all with that beginning.
	Labels []string
	Owner  string
}

// Limits of the texts of a definition, in bytes: every host keeps all of them.
const (
	maxNameBytes  = 200
	maxHelpBytes  = 1024
	maxShortBytes = 100
)

// Validate tells why a metric cannot be defined by a user.
func (d Definition) Validate() error {
	switch {
	case !IsName(d.Name):
		return fmt.Errorf("metric name %.80q: use letters, digits, _ and :, with no digit in front", d.Name)
	case len(d.Name) > maxNameBytes:
		return fmt.Errorf("metric name %.80q…: %d bytes, at most %d; take a shorter one", d.Name, len(d.Name), maxNameBytes)
	case Reserved(d.Name):
		return fmt.Errorf("metric name %s: names that begin with %s are kept for the registry; take another", d.Name, strings.Join(reserved, ", "))
	case d.Type != Gauge && d.Type != Counter && d.Type != Histogram:
		return fmt.Errorf("metric %s: type %q; use %s, %s or %s", d.Name, d.Type, Gauge, Counter, Histogram)
	case d.Type == Counter && !strings.HasSuffix(d.Name, "_total"):
		return fmt.Errorf("metric %s: the name of a counter ends with _total; call it %s_total", d.Name, d.Name)
	case d.Help == "":
		return fmt.Errorf("metric %s: say in help what it measures", d.Name)
	}
	return d.validTexts()
}

func (d Definition) validTexts() error {
	for _, text := range []struct {
		field, value string
		most         int
	}{{"help", d.Help, maxHelpBytes}, {"unit", d.Unit, maxShortBytes}, {"owner", d.Owner, maxShortBytes}} {
		if len(text.value) > text.most {
			return fmt.Errorf("metric %s: %s has %d bytes, at most %d; shorten it", d.Name, text.field, len(text.value), text.most)
		}
	}
	if len(d.Labels) > MaxLabels {
		return fmt.Errorf("metric %s: %d labels, at most %d; put the rest into an info metric", d.Name, len(d.Labels), MaxLabels)
	}
	for _, label := range d.Labels {
		if !IsLabel(strings.TrimSuffix(label, "*")) || len(label) > maxShortBytes {
			return fmt.Errorf("metric %s: label %.80q: use letters, digits and _, at most %d, with no digit and no __ in front", d.Name, label, maxShortBytes)
		}
	}
	return nil
}

// TypeToProto is UNSPECIFIED for a word that is no type.
func TypeToProto(word string) novacronv1.MetricType {
	return map[string]novacronv1.MetricType{
		Gauge: novacronv1.MetricType_METRIC_TYPE_GAUGE, Counter: novacronv1.MetricType_METRIC_TYPE_COUNTER,
		Histogram: novacronv1.MetricType_METRIC_TYPE_HISTOGRAM,
	}[word]
}

// TypeFromProto is empty for what is no type.
func TypeFromProto(t novacronv1.MetricType) string {
	for _, word := range []string{Gauge, Counter, Histogram} {
		if TypeToProto(word) == t {
			return word
		}
	}
	return ""
}

// FromProto is a definition as it travels.
func FromProto(d *novacronv1.MetricDefinition) Definition {
	return Definition{
		Name: d.GetName(), Type: TypeFromProto(d.GetType()), Unit: d.GetUnit(), Help: d.GetHelp(), Labels: d.GetLabels(), Owner: d.GetOwner(),
	}
}
