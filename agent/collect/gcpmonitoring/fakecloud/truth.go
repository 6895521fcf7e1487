package fakecloud

import (
	"hash/fnv"
	"math"
	"time"

	"google.golang.org/genproto/googleapis/api/distribution"
	"google.golang.org/genproto/googleapis/api/metric"
	"google.golang.org/protobuf/types/known/durationpb"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
)

// Instance is a machine. It runs from Start until Stop; a zero Stop means that it still does.
type Instance struct {
	ID, Name, Zone, MachineType, Status string
	Start, Stop                         time.Time
	Labels                              map[string]string
	Disks                               []Disk
	// Hidden instances are deleted: the inventory does not have them, their metrics remain.
	Hidden bool
}

// Disk is one that is attached.
type Disk struct {
	Device, Source, Interface string
	GiB                       int64
}

// MachineType is what a machine of it has.
type MachineType struct {
	CPUs     int
	MemoryMB int64
}

// runs tells whether the machine ran to the end of a period.
func (i Instance) runs(end time.Time) bool {
	return end.After(i.Start) && (i.Stop.IsZero() || !end.After(i.Stop))
}

// Metric is a metric type with its truth.
type Metric struct {
	*metric.MetricDescriptor
	// Labels are those of the series of a machine; nil means one without labels.
	Labels func(Instance) []map[string]string
	// Value is that of the period that ends then; nil means none.
	Value func(i Instance, labels map[string]string, end time.Time) *monitoringpb.TypedValue
	// Early is what the API shows of a period that is not final yet; nil means the value.
	Early func(v *monitoringpb.TypedValue) *monitoringpb.TypedValue
	// Resource is the type of the monitored resource; empty means gce_instance.
	Resource string
}

// Describe makes the descriptor of a metric whose periods are final after a delay.
func Describe(typ, unit string, kind metric.MetricDescriptor_MetricKind, value metric.MetricDescriptor_ValueType, delay time.Duration) *metric.MetricDescriptor {
	d := &metric.MetricDescriptor{Name: "projects/fake/metricDescriptors/" + typ, Type: typ, Unit: unit, MetricKind: kind, ValueType: value}
	d.Metadata = &metric.MetricDescriptor_MetricDescriptorMetadata{SamplePeriod: durationpb.New(time.Minute), IngestDelay: durationpb.New(delay)}
	return d
}

// Double, Int, Bool and Text are values.
func Double(v float64) *monitoringpb.TypedValue {
	return &monitoringpb.TypedValue{Value: &monitoringpb.TypedValue_DoubleValue{DoubleValue: v}}
}

// Int is a whole number.
func Int(v int64) *monitoringpb.TypedValue {
	return &monitoringpb.TypedValue{Value: &monitoringpb.TypedValue_Int64Value{Int64Value: v}}
}

// Bool is a truth value.
func Bool(v bool) *monitoringpb.TypedValue {
	return &monitoringpb.TypedValue{Value: &monitoringpb.TypedValue_BoolValue{BoolValue: v}}
}

// Text is a string.
func Text(v string) *monitoringpb.TypedValue {
	return &monitoringpb.TypedValue{Value: &monitoringpb.TypedValue_StringValue{StringValue: v}}
}

// Histogram is a distribution.
func Histogram(d *distribution.Distribution) *monitoringpb.TypedValue {
	return &monitoringpb.TypedValue{Value: &monitoringpb.TypedValue_DistributionValue{DistributionValue: d}}
}

// Amount is a whole number from 0 to 999 that a machine, a label and the end of a period decide.
func Amount(machine, label string, end time.Time) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(machine + "\x00" + label)) // a hash takes everything
	x := h.Sum64() ^ uint64(end.Unix())*0x9E3779B97F4A7C15
	x ^= x >> 29
	x *= 0xBF58476D1CE4E5B9
	return int64((x >> 33) % 1000)
}

// Halved is half of a number: what is shown of a period before it is final.
func Halved(v *monitoringpb.TypedValue) *monitoringpb.TypedValue {
	if n, ok := v.GetValue().(*monitoringpb.TypedValue_Int64Value); ok {
		return Int(n.Int64Value / 2)
	}
	return Double(math.Floor(v.GetDoubleValue()) / 2)
}
