// Package custom takes metrics that users make themselves: scraped from targets that speak a form of Prometheus, written
// by remote write, or pushed.
//
// A Collector scrapes one target. A Receiver takes what comes by itself: WriteHandler serves remote write, PushHandler
// plain pushes, and Push those of a caller that has metrics at hand. What is stored has to be declared in the registry,
// unless undeclared metrics are allowed.
package custom

import (
	"strings"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// The limits of one scrape or one request, where none are given.
const (
	DefaultMaxSamples = 50_000
	DefaultMaxBytes   = 32 << 20
)

// nameLabel holds the name of a metric among its labels.
const nameLabel = "__name__"

// family is what is said of a metric before its series.
type family struct {
	name, unit, help string
	kind             tsdb.MetricType
}

// typeOf is the type of a series by its name: empty for the parts of a histogram or summary, which are no metrics of
// their own, and where nothing is known.
func (f *family) typeOf(name string, native bool) tsdb.MetricType {
	suffix, mine := strings.CutPrefix(name, f.name)
	switch {
	case !mine || f.name == "" || f.kind == tsdb.TypeUnknown || f.kind == tsdb.TypeSummary:
		return ""
	case f.kind == tsdb.TypeHistogram && !native:
		return ""
	case suffix == "", suffix == "_total" && f.kind == tsdb.TypeCounter, suffix == "_info" && f.kind == tsdb.TypeInfo:
		return f.kind
	}
	return ""
}

// has tells whether a series of this name can be one of the family.
func (f *family) has(name string) bool {
	suffix, mine := strings.CutPrefix(name, f.name)
	switch suffix {
	case "", "_total", "_bucket", "_sum", "_count", "_gsum", "_gcount", "_info":
		return mine && f.name != ""
	}
	return false
}

// definition describes the family as a metric that can be listed.
func (f *family) definition() collect.MetricDefinition {
	name := f.name
	if f.kind == tsdb.TypeCounter && !strings.HasSuffix(name, "_total") {
		name += "_total"
	}
	return collect.MetricDefinition{Name: name, Type: f.kind, Unit: f.unit, Help: f.help}
}

// typeNamed reads a type by its name in OpenMetrics.
func typeNamed(name string) tsdb.MetricType {
	switch kind := tsdb.MetricType(name); kind {
	case tsdb.TypeGauge, tsdb.TypeCounter, tsdb.TypeHistogram, tsdb.TypeSummary, tsdb.TypeInfo, tsdb.TypeStateSet:
		return kind
	case "gaugehistogram":
		return tsdb.TypeHistogram
	}
	return tsdb.TypeUnknown
}
