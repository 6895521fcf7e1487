package collect

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/novacron/novacron/metric"
	"github.com/novacron/novacron/tsdb"
)

// Limits bound what one collection may yield.
type Limits struct {
	// MaxSamples is the most of one collection; 0 means 100,000. What is beyond is refused.
	MaxSamples int
	// Undeclared lets metrics pass that the registry does not know, unless their names are kept for it.
	Undeclared bool
}

const defaultMaxSamples = 100_000

// Reason says why a sample was refused: a value of the label «reason».
type Reason string

// The reasons for which the gate refuses.
const (
	ReasonUnknownMetric Reason = "unknown_metric"
	ReasonWrongType     Reason = "wrong_type"
	ReasonWrongUnit     Reason = "wrong_unit"
	ReasonBadLabel      Reason = "bad_label"
	ReasonMissingLabel  Reason = "missing_label"
	ReasonBadValue      Reason = "bad_value"
	ReasonTooMany       Reason = "too_many"
)

// Refusal is one metric that was not taken. Its text says what, where, the value, the limit and the way out.
type Refusal struct {
	Reason Reason
	// Index is its place in the batch.
	Index  int
	Detail string
}

func (r *Refusal) Error() string { return r.Detail }

// Admit parts a batch into what keeps to the registry and what does not. What passes has the type and unit of the
// registry and its source as a label; the batch itself is left as it was.
func (r *Registry) Admit(batch []Metric, limits Limits) (admitted []Metric, refused []*Refusal) {
	most := limits.MaxSamples
	if most == 0 {
		most = defaultMaxSamples
	}
	admitted = make([]Metric, 0, min(len(batch), most))
	for i, m := range batch {
		next, refusal := r.admit(m, limits)
		if refusal == nil && len(admitted) == most {
			refusal = refuse(ReasonTooMany, "metric %s: the collection yields %d samples, at most %d are taken; select fewer metrics or raise the limit of the source", m.Name, len(batch), most)
		}
		if refusal != nil {
			refusal.Index = i
			refused = append(refused, refusal)
			continue
		}
		admitted = append(admitted, next)
	}
	return admitted, refused
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

func (r *Registry) admit(m Metric, limits Limits) (Metric, *Refusal) {
	if refusal := sane(m); refusal != nil {
		return m, refusal
	}
	e, known := r.entry(m.Name)
	if !known {
		return withSource(m), undeclared(m, limits)
	}
	if refusal := agrees(m, e); refusal != nil {
		return m, refusal
	}
	m.Type, m.Unit = e.Type, e.Unit
	return withSource(m), nil
}

// sane refuses what no series can be.
func sane(m Metric) *Refusal {
	switch {
	case !metric.IsName(m.Name):
		return refuse(ReasonUnknownMetric, "metric name %.80q: use letters, digits, _ and :, with no digit in front", m.Name)
	case m.Timestamp.IsZero():
		return refuse(ReasonBadValue, "metric %s has no time; give it the time of the read or the end of its period", m.Name)
	case len(m.Labels) > metric.MaxLabels:
		return refuse(ReasonBadLabel, "metric %s has %d labels, at most %d; put the rest into an info metric", m.Name, len(m.Labels), metric.MaxLabels)
	case m.Type == TypeCounter && m.Value < 0:
		return refuse(ReasonBadValue, "metric %s: %g is no value of a counter: it begins at 0 and grows", m.Name, m.Value)
	}
	for name, value := range m.Labels {
		if len(value) > metric.MaxLabelBytes || !utf8.ValidString(value) {
			return refuse(ReasonBadLabel, "metric %s: the value of label %s has %d bytes; at most %d of UTF-8", m.Name, name, len(value), metric.MaxLabelBytes)
		}
		if !metric.IsLabel(name) {
			return refuse(ReasonBadLabel, "metric %s: label %.80q; use letters, digits and _, with no digit and no __ in front", m.Name, name)
		}
	}
	return nil
}

func undeclared(m Metric, limits Limits) *Refusal {
	if metric.PassesThrough(m.Name) || limits.Undeclared && !metric.Reserved(m.Name) {
		return nil
	}
	return refuse(ReasonUnknownMetric, "metric %s is not in the registry; declare it with «novacron metric define»", m.Name)
}

// agrees refuses what contradicts the definition.
func agrees(m Metric, e entry) *Refusal {
	switch {
	case m.Type != "" && m.Type != e.Type:
		return refuse(ReasonWrongType, "metric %s is a %s, the registry says %s", m.Name, m.Type, e.Type)
	case m.Histogram != nil && e.Type != TypeHistogram:
		return refuse(ReasonWrongType, "metric %s comes as a native histogram, the registry says %s", m.Name, e.Type)
	case m.Unit != "" && m.Unit != e.Unit:
		return refuse(ReasonWrongUnit, "metric %s is in %q, the registry says %q; convert it", m.Name, m.Unit, e.Unit)
	case e.Type == TypeCounter && m.Value < 0:
		return refuse(ReasonBadValue, "metric %s: %g is no value of a counter: it begins at 0 and grows", m.Name, m.Value)
	case math.IsInf(m.Value, 0) && e.Owner == "":
		return refuse(ReasonBadValue, "metric %s: %g is no measurement; leave the sample out", m.Name, m.Value)
	}
	for name := range m.Labels {
		if !e.allows(name) {
			return refuse(ReasonBadLabel, "metric %s does not have the label %s; allowed are %s", m.Name, name, strings.Join(e.allowed(), ", "))
		}
	}
	if strings.HasPrefix(m.Name, "vm_") && m.Labels["vm_id"] == "" {
		return refuse(ReasonMissingLabel, "metric %s does not say of which machine; set the label vm_id", m.Name)
	}
	return nil
}

func (e entry) allowed() []string {
	all := slices.Sorted(maps.Keys(e.exact))
	for _, prefix := range e.prefixes {
		all = append(all, prefix+"*")
	}
	return all
}

// withSource makes the source a label.
func withSource(m Metric) Metric {
	if m.Source == "" || m.Labels["source"] != "" {
		return m
	}
	labels := make(map[string]string, len(m.Labels)+1)
	maps.Copy(labels, m.Labels)
	labels["source"] = m.Source
	m.Labels = labels
	return m
}

// refusals counts by reason.
func refusals(refused []*Refusal, stored error) map[string]int {
	counts := map[string]int{}
	for _, r := range refused {
		counts[string(r.Reason)]++
	}
	var some *tsdb.RefusedError
	if errors.As(stored, &some) {
		for reason, n := range some.ByReason {
			counts[reason] += n
		}
	}
	return counts
}
