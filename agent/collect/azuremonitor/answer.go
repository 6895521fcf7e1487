package azuremonitor

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/monitor/query/azmetrics"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// maxSeries is the most series of one metric and resource that are asked for; the service cuts at 10 unless told
// otherwise. A machine has at most 64 data disks.
const maxSeries = 256

// reading is what an answer says of one resource and query.
type reading struct {
	series []cloud.Series
	// read are the rows that were answered, by native name and aggregation: what is missing of them is not there.
	read map[string]bool
	// problems are what was not answered, or not in full.
	problems []string
	// cut are the metrics with more series than are asked for; asking again would not help.
	cut []string
	// mismatches are the series that were skipped since unit or period is not what was expected.
	mismatches []string
}

// whole tells whether every row was answered.
func (r reading) whole() bool { return len(r.problems) == 0 }

// series is one series in the making: of two values for one period the later one counts.
type series struct {
	row    row
	labels map[string]string
	// native are the dimensions' values, to tell series apart that come to the same labels.
	native string
	points map[int64]float64
}

// reader reads the answers of one item.
type reader struct {
	item   item
	window cloud.Window
	found  map[string]*series
	order  []string
	out    reading
}

// read turns what was answered of an item into series. Answers of one resource may come in several parts.
func read(i item, w cloud.Window, answers []azmetrics.MetricData) reading {
	r := &reader{item: i, window: w, found: map[string]*series{}, out: reading{read: map[string]bool{}}}
	seen := map[string]bool{}
	for _, data := range answers {
		if got := deref(data.Interval); got != "" && got != grainISO {
			r.out.mismatches = append(r.out.mismatches, "periods of "+got+" in place of "+grainISO)
			continue
		}
		for _, m := range data.Values {
			name := metricName(m)
			seen[strings.ToLower(name)] = true
			r.metric(name, m)
		}
	}
	for _, name := range i.query.metrics() {
		if !seen[strings.ToLower(name)] && len(r.out.mismatches) == 0 {
			r.out.problems = append(r.out.problems, name+" is missing")
		}
	}
	r.fill()
	r.tell()
	return r.out
}

func metricName(m azmetrics.Metric) string {
	if m.Name == nil {
		return ""
	}
	return deref(m.Name.Value)
}

// metric reads one metric of an answer.
func (r *reader) metric(name string, m azmetrics.Metric) {
	if code := deref(m.ErrorCode); code != "" && code != "Success" {
		r.out.problems = append(r.out.problems, strings.TrimSpace(name+": "+code+" "+deref(m.ErrorMessage)))
		return
	}
	if len(m.TimeSeries) >= maxSeries {
		r.out.cut = append(r.out.cut, name)
	}
	for _, row := range r.item.query.rows {
		if !strings.EqualFold(row.native, name) {
			continue
		}
		unit := unitName(string(deref(m.Unit)))
		if row.unit == "" { // it passes as it is
			row.unit = unit
		}
		if _, known := fromUnit(unit); unit != row.unit || !known {
			r.out.mismatches = append(r.out.mismatches, name+" in "+unit+" in place of "+row.unit)
			continue
		}
		r.out.read[row.native+"|"+row.aggregation] = true
		for _, element := range m.TimeSeries {
			r.element(row, element)
		}
	}
}

// element reads one series: of the whole resource, or of one value of each dimension.
func (r *reader) element(row row, element azmetrics.TimeSeriesElement) {
	dimensions := map[string]string{}
	for _, v := range element.MetadataValues {
		if v.Name != nil {
			dimensions[strings.ToLower(deref(v.Name.Value))] = deref(v.Value)
		}
	}
	labels, native, ok := r.labels(row, dimensions)
	if !ok {
		return // the service gives one without a disk where there is none
	}
	one := r.series(row, labels, native)
	for _, p := range element.Data {
		value, has := valueOf(p, row.aggregation)
		if !has || p.TimeStamp == nil {
			continue // the newest points come with a time alone
		}
		end := p.TimeStamp.UTC().Truncate(grain).Add(grain)
		if end.After(r.window.From) && !end.After(r.window.To) {
			one.points[end.Unix()] = row.convert(value)
		}
	}
}

// labels are those of a series; ok is false where a dimension that it takes has no value.
func (r *reader) labels(row row, dimensions map[string]string) (labels map[string]string, native string, ok bool) {
	labels = with(r.item.resource.labels, row.label, row.value, "type", row.kindOf)
	for _, d := range r.item.query.dimensions {
		value := dimensions[strings.ToLower(d)]
		if value == "" {
			return nil, "", false
		}
		if d == dimensionLUN && row.label == "device" {
			labels["device"] = "lun" + value
			continue
		}
		labels[collect.DimensionLabel(d)] = value
		native += d + "=" + value + ","
	}
	return labels, native, true
}

func (r *reader) series(row row, labels map[string]string, native string) *series {
	key := collect.SeriesKey(row.name, labels, row.native+row.aggregation+native)
	if r.found[key] == nil {
		r.found[key] = &series{row: row, labels: labels, native: row.native + "|" + row.aggregation + "|" + native, points: map[int64]float64{}}
		r.order = append(r.order, key)
	}
	return r.found[key]
}

// fill adds the counters of a machine that runs and did nothing in the window: they stay where they are.
func (r *reader) fill() {
	if !r.item.resource.alive {
		return
	}
	for _, row := range r.item.query.rows {
		if !row.counts() || !r.out.read[row.native+"|"+row.aggregation] || row.value == "temp" && !r.item.resource.temp {
			continue
		}
		values := []map[string]string{nil}
		if row.dimension() == dimensionLUN {
			values = nil
			for _, lun := range r.item.resource.luns {
				values = append(values, map[string]string{strings.ToLower(dimensionLUN): lun})
			}
		}
		for _, dimensions := range values {
			if labels, native, ok := r.labels(row, dimensions); ok {
				r.series(row, labels, native)
			}
		}
	}
}

// tell makes series for the book. One without a value is none, but for a counter of a machine that runs.
func (r *reader) tell() {
	for _, key := range r.order {
		one := r.found[key]
		goesOn := one.row.counts() && r.item.resource.alive
		if len(one.points) == 0 && !goesOn {
			continue
		}
		s := cloud.Series{
			Name: one.row.name, Labels: one.labels, Source: collect.AzureMonitor, Native: one.native, Kind: one.row.kind, Period: grain,
			Window: r.window, Alive: r.item.resource.alive,
		}
		if one.row.raw {
			c, _ := fromUnit(one.row.unit)
			s.Type, s.Unit = collect.TypeGauge, c.Unit
		}
		for _, at := range slices.Sorted(maps.Keys(one.points)) {
			s.Points = append(s.Points, collect.Point{Time: time.Unix(at, 0).UTC(), Value: one.points[at]})
		}
		r.out.series = append(r.out.series, s)
	}
}
