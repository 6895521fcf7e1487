package gcpmonitoring

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
)

// set says when a metric type is asked for.
type set uint8

// The sets, from the one that is always collected.
const (
	setDefault set = iota
	setExtended
	setAgent
)

// row says what a metric type is under our names. Its unit, the type of its values and its delay are told by the
// descriptor and are not here.
type row struct {
	set    set
	native string
	// kind is what the row is right for.
	kind metric.MetricDescriptor_MetricKind
	name string
	// keep are the labels that stay, by the name that Google has for them; over the others it is summed.
	keep map[string]string
	// fixed are labels with values that Google does not tell.
	fixed map[string]string
	// label and values bound the row to some series; no label means all.
	label  string
	values []string
	// unit is the base unit of what Google tells, where that is not the unit of the canonical metric.
	unit string
	// mean takes the mean over the labels that do not stay.
	mean bool
}

const (
	instancePrefix = "compute.googleapis.com/instance/"
	computePrefix  = "compute.googleapis.com/"
	agentPrefix    = "agent.googleapis.com/"
)

func gauge(native, name string) row {
	return row{native: native, name: name, kind: metric.MetricDescriptor_GAUGE}
}

func delta(native, name string) row {
	return row{native: native, name: name, kind: metric.MetricDescriptor_DELTA}
}

func cumulative(native, name string) row {
	return row{native: native, name: name, kind: metric.MetricDescriptor_CUMULATIVE}
}

// by keeps a label, under another name.
func (r row) by(native, label string) row {
	keep := map[string]string{native: label}
	for k, v := range r.keep {
		keep[k] = v
	}
	r.keep = keep
	return r
}

func (r row) with(label, value string) row {
	r.fixed = map[string]string{label: value}
	return r
}

func (r row) where(label string, values ...string) row {
	r.label, r.values = label, values
	return r
}

func (r row) measuredIn(unit string) row {
	r.unit = unit
	return r
}

func (r row) byMean() row {
	r.mean = true
	return r
}

// takes tells whether a series with these labels is meant.
func (r row) takes(labels map[string]string) bool {
	return r.label == "" || slices.Contains(r.values, labels[r.label])
}

func (r row) source() collect.Source {
	if strings.HasPrefix(r.native, agentPrefix) {
		return collect.OpsAgent
	}
	return collect.GCM
}

// in puts rows under a prefix and into a set.
func in(s set, prefix string, rows ...row) []row {
	for i := range rows {
		rows[i].set, rows[i].native = s, prefix+rows[i].native
	}
	return rows
}
