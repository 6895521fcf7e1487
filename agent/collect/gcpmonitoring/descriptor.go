package gcpmonitoring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	monitoringv3 "cloud.google.com/go/monitoring/apiv3/v2"
	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"google.golang.org/api/iterator"
	"google.golang.org/genproto/googleapis/api/metric"

	"github.com/novacron/novacron/agent/collect"
)

// descriptor is what Google says of a metric type.
type descriptor struct {
	native string
	kind   metric.MetricDescriptor_MetricKind
	value  metric.MetricDescriptor_ValueType
	unit   string
	// timing says when its periods are final.
	timing collect.Timing
}

func newDescriptor(d *metric.MetricDescriptor) descriptor {
	timing := collect.GCPCompute
	switch {
	case strings.HasPrefix(d.GetType(), agentPrefix):
		timing = collect.GCPAgent
	case d.GetType() == instancePrefix+"uptime_total":
		timing = collect.GCPUptime
	}
	if told := d.GetMetadata().GetIngestDelay(); told != nil && told.AsDuration() > 0 {
		timing.Delay = told.AsDuration()
	}
	if told := d.GetMetadata().GetSamplePeriod(); told.AsDuration() >= time.Second {
		timing.Period = told.AsDuration()
	}
	return descriptor{native: d.GetType(), kind: d.GetMetricKind(), value: d.GetValueType(), unit: d.GetUnit(), timing: timing}
}

// catalog are the descriptors of a project's metric types. It is safe for concurrent use; what it gives is not changed.
type catalog struct {
	client   *monitoringv3.MetricClient
	project  string
	prefixes []string
	maxPages int

	mu    sync.Mutex
	read  time.Time
	types map[string]descriptor
}

// catalogFresh is how long descriptors are good.
const catalogFresh = 12 * time.Hour

// get gives the descriptors; beside an error, those that were read before.
func (c *catalog) get(ctx context.Context, now time.Time) (map[string]descriptor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.types != nil && now.Sub(c.read) < catalogFresh {
		return c.types, nil
	}
	next := map[string]descriptor{}
	for _, prefix := range c.prefixes {
		if err := c.list(ctx, prefix, next); err != nil {
			return c.types, err
		}
	}
	c.types, c.read = next, now
	return next, nil
}

func (c *catalog) list(ctx context.Context, prefix string, into map[string]descriptor) error {
	ctx, _ = withReading(ctx, c.maxPages)
	all := c.client.ListMetricDescriptors(ctx, &monitoringpb.ListMetricDescriptorsRequest{
		Name: "projects/" + c.project, Filter: fmt.Sprintf("metric.type = starts_with(%q)", prefix),
	})
	for {
		d, err := all.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return err
		}
		into[d.GetType()] = newDescriptor(d)
	}
}

// prefixesOf are the beginnings of the types that a configuration takes, none of which begins with another.
func prefixesOf(cfg Config) (prefixes []string) {
	all := append([]string{computePrefix}, cfg.Unmapped...)
	if cfg.Agent {
		all = append(all, agentPrefix)
	}
	slices.SortFunc(all, func(a, b string) int { return len(a) - len(b) })
	for _, p := range all {
		if !slices.ContainsFunc(prefixes, func(shorter string) bool { return strings.HasPrefix(p, shorter) }) {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// numeric tells whether values are numbers.
func (d descriptor) numeric() bool {
	return d.value == metric.MetricDescriptor_INT64 || d.value == metric.MetricDescriptor_DOUBLE
}

// nativeKind is how points of the type are counted.
func (d descriptor) nativeKind() collect.NativeKind {
	switch d.kind {
	case metric.MetricDescriptor_DELTA:
		return collect.NativeDelta
	case metric.MetricDescriptor_CUMULATIVE:
		return collect.NativeCumulative
	}
	return collect.NativeGauge
}

// agrees tells why a row is not right for the type as Google describes it, or how its values become the row's unit.
func (r row) agrees(d descriptor, unit string) (collect.Conversion, error) {
	conversion, known := collect.FromUCUM(d.unit)
	switch {
	case d.kind != r.kind:
		return conversion, fmt.Errorf("metric type %s is %v now, %s is made of %v", d.native, d.kind, r.name, r.kind)
	case !d.numeric():
		return conversion, fmt.Errorf("metric type %s has values of type %v now, %s is made of numbers", d.native, d.value, r.name)
	case !known || conversion.Unit != unit:
		return conversion, fmt.Errorf("metric type %s is in %q now, from which %s in %q cannot be made", d.native, d.unit, r.name, unit)
	}
	return conversion, nil
}
