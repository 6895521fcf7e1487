package gcpmonitoring

import (
	"math"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"google.golang.org/genproto/googleapis/api/distribution"
	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
)

// native is a series as Google tells it.
type native struct {
	// metric and resource are its labels; resourceType is the type of what is measured, name that of the machine where
	// the series tells it.
	metric, resource   map[string]string
	resourceType, name string
	// points are by time; histograms are instead of them where the type has distributions.
	points     []collect.Point
	histograms []histogramPoint
}

// histogramPoint is a distribution at the end of its period.
type histogramPoint struct {
	time time.Time
	collect.Distribution
}

// merger joins the parts of series that come in several pages, or more than once.
type merger struct {
	value    metric.MetricDescriptor_ValueType
	from, to time.Time
	order    []string
	byKey    map[string]*native
}

func (m *merger) add(s *monitoringpb.TimeSeries) {
	key := collect.SeriesKey(s.GetResource().GetType(), s.GetResource().GetLabels(), collect.SeriesKey("", s.GetMetric().GetLabels(), ""))
	if m.byKey == nil {
		m.byKey = map[string]*native{}
	}
	n := m.byKey[key]
	if n == nil {
		n = &native{metric: s.GetMetric().GetLabels(), resource: s.GetResource().GetLabels(), resourceType: s.GetResource().GetType(), name: nameOf(s)}
		m.byKey[key] = n
		m.order = append(m.order, key)
	}
	for _, p := range s.GetPoints() {
		m.point(n, p)
	}
}

// nameOf is the name of the machine, where the series tells it.
func nameOf(s *monitoringpb.TimeSeries) string {
	if name := s.GetMetric().GetLabels()["instance_name"]; name != "" {
		return name
	}
	return s.GetMetadata().GetSystemLabels().GetFields()["name"].GetStringValue()
}

// point takes a point that has a time in the window and a value; what has none says nothing.
func (m *merger) point(n *native, p *monitoringpb.Point) {
	if p.GetInterval().GetEndTime() == nil {
		return
	}
	at := p.GetInterval().GetEndTime().AsTime()
	if at.Before(m.from) || at.After(m.to) {
		return
	}
	if m.value == metric.MetricDescriptor_DISTRIBUTION {
		if d := p.GetValue().GetDistributionValue(); d != nil {
			n.histograms = append(n.histograms, histogramPoint{at, distributionOf(d)})
		}
		return
	}
	if v, ok := number(p.GetValue()); ok {
		n.points = append(n.points, collect.Point{Time: at, Value: v})
	}
}

// number is a value as one; ok is false for strings, distributions and what is no measurement.
func number(v *monitoringpb.TypedValue) (n float64, ok bool) {
	switch v := v.GetValue().(type) {
	case *monitoringpb.TypedValue_DoubleValue:
		return v.DoubleValue, !math.IsNaN(v.DoubleValue) && !math.IsInf(v.DoubleValue, 0)
	case *monitoringpb.TypedValue_Int64Value:
		return float64(v.Int64Value), true
	case *monitoringpb.TypedValue_BoolValue:
		if v.BoolValue {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func distributionOf(d *distribution.Distribution) collect.Distribution {
	return collect.Distribution{Bounds: boundsOf(d.GetBucketOptions()), Counts: d.GetBucketCounts(), Count: d.GetCount(), Mean: d.GetMean()}
}

// maxBuckets bounds the buckets of a distribution: each is a series.
const maxBuckets = 200

// boundsOf are the upper bounds of all buckets but the last; none where there would be too many.
func boundsOf(o *distribution.Distribution_BucketOptions) []float64 {
	switch o := o.GetOptions().(type) {
	case *distribution.Distribution_BucketOptions_LinearBuckets:
		if n := int(o.LinearBuckets.GetNumFiniteBuckets()); n <= maxBuckets {
			return collect.LinearBounds(n, o.LinearBuckets.GetWidth(), o.LinearBuckets.GetOffset())
		}
	case *distribution.Distribution_BucketOptions_ExponentialBuckets:
		if n := int(o.ExponentialBuckets.GetNumFiniteBuckets()); n <= maxBuckets {
			return collect.ExponentialBounds(n, o.ExponentialBuckets.GetGrowthFactor(), o.ExponentialBuckets.GetScale())
		}
	case *distribution.Distribution_BucketOptions_ExplicitBuckets:
		if b := o.ExplicitBuckets.GetBounds(); len(b) <= maxBuckets {
			return b
		}
	}
	return nil
}

// all are the series with their points by time; of two for one time the later one told counts.
func (m *merger) all() []*native {
	series := make([]*native, 0, len(m.order))
	for _, key := range m.order {
		n := m.byKey[key]
		n.points = lastOf(n.points, func(p collect.Point) time.Time { return p.Time })
		n.histograms = lastOf(n.histograms, func(p histogramPoint) time.Time { return p.time })
		if len(n.points)+len(n.histograms) > 0 {
			series = append(series, n)
		}
	}
	return series
}

// lastOf sorts by time and leaves the last of each.
func lastOf[P any](points []P, at func(P) time.Time) []P {
	slices.SortStableFunc(points, func(a, b P) int { return at(a).Compare(at(b)) })
	kept := points[:0]
	for i, p := range points {
		if i+1 == len(points) || !at(points[i+1]).Equal(at(p)) {
			kept = append(kept, p)
		}
	}
	return kept
}

// isMachine tells whether what is measured is a machine.
func (n *native) isMachine() bool {
	return n.resourceType == "gce_instance" && strings.TrimSpace(n.resource["instance_id"]) != ""
}
