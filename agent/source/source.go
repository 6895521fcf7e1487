// Package source makes the collector of a metric source that the cluster has given to this host, by its kind.
package source

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/jobs"
	"github.com/novacron/novacron/metric"
	"github.com/novacron/novacron/tsdb"
)

// Maker makes collectors. Those of one account share the pace at which they call.
type Maker struct {
	Logger *slog.Logger
	paces  cloud.Paces
}

// Open makes the collector of a source. A cloud is called by it, so the context should have a deadline.
func (m *Maker) Open(ctx context.Context, s jobs.Source) (jobs.Opened, error) {
	opened, err := m.open(ctx, s)
	if err != nil {
		return jobs.Opened{}, err
	}
	if names := s.Spec.GetMetrics(); len(names) > 0 && metric.KindOf(s.Spec) != metric.KindScrape {
		opened.Collector = chosen{opened.Collector, names}
	}
	return opened, nil
}

func (m *Maker) open(ctx context.Context, s jobs.Source) (jobs.Opened, error) {
	switch kind := metric.KindOf(s.Spec); kind {
	case metric.KindAWS:
		return m.aws(ctx, s)
	case metric.KindAzure:
		return m.azure(ctx, s)
	case metric.KindGCP:
		return m.gcp(ctx, s)
	case metric.KindScrape:
		return scrape(s)
	default:
		return jobs.Opened{}, fmt.Errorf("kind %q: this release has no collector for it: upgrade this node", kind)
	}
}

// secret is what the source proves itself by; nil where it has none.
func secret(s jobs.Source) ([]byte, error) {
	if s.Secret == nil {
		return nil, nil
	}
	return s.Secret()
}

// extended tells whether all of a cloud's metrics are asked for.
func extended(s jobs.Source) bool { return s.Spec.GetMetricSet() == metric.SetExtended }

// chosen leaves of a cloud's metrics those that a source names.
type chosen struct {
	collect.MetricsCollector
	names []string
}

var (
	_ collect.Settler    = chosen{}
	_ collect.Progresser = chosen{}
)

// CollectMetrics collects all, as what is asked of the cloud is one question, and gives what was chosen.
func (c chosen) CollectMetrics(ctx context.Context, query tsdb.MetricsQuery) ([]collect.Metric, error) {
	all, err := c.MetricsCollector.CollectMetrics(ctx, query)
	return slices.DeleteFunc(all, func(m collect.Metric) bool { return !slices.Contains(c.names, m.Name) }), err
}

// Settle is the collector's.
func (c chosen) Settle(ctx context.Context, stored bool) error {
	if settler, is := c.MetricsCollector.(collect.Settler); is {
		return settler.Settle(ctx, stored)
	}
	return nil
}

// Progress is the collector's.
func (c chosen) Progress() collect.Progress {
	if teller, is := c.MetricsCollector.(collect.Progresser); is {
		return teller.Progress()
	}
	return collect.Progress{}
}
