package index

import (
	"fmt"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// Limits bound what series an index takes. Zero is no limit.
type Limits struct {
	// Series are all live series together, SeriesPerMetric those of one metric name and SeriesPerJob those of one
	// value of the label «job». They keep out new series; the old ones go on.
	Series, SeriesPerMetric, SeriesPerJob int
	// Labels is how many labels a series may have, NameBytes and ValueBytes how long their names and values may be.
	Labels, NameBytes, ValueBytes int
}

// DefaultLimits are for a shard of some gigabytes.
func DefaultLimits() Limits {
	return Limits{Series: 5_000_000, SeriesPerMetric: 1_000_000, SeriesPerJob: 2_000_000, Labels: 40, NameBytes: 1 << 10, ValueBytes: 4 << 10}
}

// Limit sets what series may be made from now on. Nobody else uses the index meanwhile.
func (m *Mem) Limit(limits Limits) { m.limits = limits }

// The labels that have a limit of their own.
const (
	metricName = "__name__"
	jobLabel   = "job"
)

func refuse(reason engine.Reason, format string, args ...any) *engine.Refusal {
	return &engine.Refusal{Reason: reason, Index: -1, Detail: fmt.Sprintf(format, args...)}
}

// check refuses labels that no series may have.
func (l Limits) check(lset labels.Labels) *engine.Refusal {
	n := lset.Len()
	switch {
	case n == 0:
		return refuse(engine.ReasonBadLabels, "a series without labels: give it at least a name (%s)", metricName)
	case l.Labels > 0 && n > l.Labels:
		return refuse(engine.ReasonBadLabels, "%s has %d labels, at most %d are allowed: drop some, or raise the limit of labels", shown(lset), n, l.Labels)
	}
	var wrong *engine.Refusal
	before := ""
	lset.Range(func(label labels.Label) {
		if wrong == nil {
			wrong = l.checkLabel(before, label)
		}
		before = label.Name
	})
	if wrong != nil {
		wrong.Detail = "series " + shown(lset) + ": " + wrong.Detail
	}
	return wrong
}

func (l Limits) checkLabel(before string, label labels.Label) *engine.Refusal {
	const bad = engine.ReasonBadLabels
	switch name, value := label.Name, label.Value; {
	case name == "":
		return refuse(bad, "a label without a name (value %.40q): name it or drop it", value)
	case name == before:
		return refuse(bad, "the label %q is there twice: drop one", name)
	case name < before:
		return refuse(bad, "the label %q comes after %q: sort labels by name", name, before)
	case !utf8.ValidString(name):
		return refuse(bad, "the label name %q is not valid UTF-8: encode it as UTF-8", name)
	case !utf8.ValidString(value):
		return refuse(bad, "the value of label %q, %.40q, is not valid UTF-8: encode it as UTF-8", name, value)
	case l.NameBytes > 0 && len(name) > l.NameBytes:
		return refuse(bad, "the label name %.40q… has %d bytes, at most %d are allowed: shorten it", name, len(name), l.NameBytes)
	case l.ValueBytes > 0 && len(value) > l.ValueBytes:
		return refuse(bad, "the value of label %q has %d bytes, at most %d are allowed: shorten it, or raise the limit of bytes per value", name, len(value), l.ValueBytes)
	}
	return nil
}

// shown is the text of a label set, cut where it is very long.
func shown(lset labels.Labels) string {
	const most = 300
	text := lset.String()
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// admit refuses a new series where there are as many as a limit allows.
func (m *Mem) admit(lset labels.Labels) *engine.Refusal {
	const out = "stop what makes so many series (the cardinality report names it), delete series that are not needed, or raise the limit"
	l, n := m.limits, int(m.live)
	if l.Series > 0 && n >= l.Series {
		return refuse(engine.ReasonSeriesLimit, "new series %s: the shard has %d series, the limit is %d: %s", shown(lset), n, l.Series, out)
	}
	if !m.dict.room(lset.Len()) {
		return refuse(engine.ReasonSeriesLimit, "new series %s: the index has used all of its 16 GiB: %s", shown(lset), out)
	}
	for _, per := range []struct {
		name   string
		limit  int
		reason engine.Reason
	}{{metricName, l.SeriesPerMetric, engine.ReasonMetricLimit}, {jobLabel, l.SeriesPerJob, engine.ReasonJobLimit}} {
		value := lset.Get(per.name)
		if per.limit == 0 || value == "" {
			continue
		}
		if p := m.dict.find(per.name, value); p != 0 && int(m.dict.pairs.at(p).count()) >= per.limit {
			return refuse(per.reason, "new series %s: there are %d series with %s=%q, the limit is %d: %s",
				shown(lset), m.dict.pairs.at(p).count(), per.name, value, per.limit, out)
		}
	}
	return nil
}
