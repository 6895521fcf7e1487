package controller

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/httpapi"
)

// targets are where samples come from: the sources of the cluster as their hosts report them, and what each host measures
// by itself as its collectors' own metrics tell.
func (d *daemon) targets(ctx context.Context) ([]httpapi.Target, error) {
	all, err := d.collectors(ctx)
	if err != nil {
		return nil, err
	}
	for _, record := range d.store.View().MetricSources("") {
		all = append(all, sourceTarget(record.GetSource()))
	}
	slices.SortStableFunc(all, func(a, b httpapi.Target) int {
		return cmp.Or(strings.Compare(a.ScrapePool, b.ScrapePool), strings.Compare(a.ScrapeURL, b.ScrapeURL))
	})
	return all, nil
}

func sourceTarget(source *novacronv1.MetricSource) httpapi.Target {
	spec, status := source.GetSpec(), source.GetStatus()
	kind := metric.KindOf(spec)
	own := map[string]string{"job": spec.GetName(), "collector": kind}
	if status.GetHostName() != "" {
		own["host"] = status.GetHostName()
	}
	url := spec.GetScrape().GetUrl()
	if url == "" {
		url = kind + "://" + spec.GetName()
	}
	every := spec.GetInterval().AsDuration()
	t := httpapi.NewTarget(spec.GetName(), url, own).Every(every, cmp.Or(spec.GetScrape().GetTimeout().AsDuration(), every))
	t.LastScrape = timeOf(status.GetLastSuccessTime())
	if failed := timeOf(status.GetLastErrorTime()); failed.After(t.LastScrape) {
		t.LastScrape = failed
	}
	switch t.LastError = status.GetLastError(); status.GetState() {
	case novacronv1.MetricSourceState_METRIC_SOURCE_STATE_RUNNING:
		t.Health = httpapi.Up
	case novacronv1.MetricSourceState_METRIC_SOURCE_STATE_FAILING:
		t.Health = httpapi.Down
	default:
		t.LastError = cmp.Or(t.LastError, status.GetMessage())
	}
	return t
}

// timeOf is a time that may be absent.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// collectorKey tells collectors apart.
type collectorKey struct{ collector, host string }

// collectors are those that every host has.
func (d *daemon) collectors(ctx context.Context) ([]httpapi.Target, error) {
	up, err := d.ofCollectors(ctx, "collector_up")
	if err != nil {
		return nil, err
	}
	took, err := d.ofCollectors(ctx, "collector_duration_seconds")
	if err != nil {
		return nil, err
	}
	success, err := d.ofCollectors(ctx, "collector_last_success_timestamp_seconds")
	if err != nil {
		return nil, err
	}
	var all []httpapi.Target
	for key, value := range up {
		t := httpapi.NewTarget(key.collector, "agent://"+key.host+"/"+key.collector, map[string]string{"job": key.collector, "collector": key.collector, "host": key.host})
		if t.Health = httpapi.Down; value == 1 {
			t.Health = httpapi.Up
		}
		if t.LastScrapeDuration = took[key]; success[key] > 0 {
			t.LastScrape = time.UnixMilli(int64(success[key] * 1000)).UTC()
		}
		all = append(all, t)
	}
	return all, nil
}

// ofCollectors asks all hosts for the value of a metric of their own collectors: those of sources have another target than
// their host.
func (d *daemon) ofCollectors(ctx context.Context, name string) (map[collectorKey]float64, error) {
	answer, err := d.metrics.Instant(ctx, name, time.Now(), false)
	if err != nil {
		return nil, err
	}
	if name == "collector_up" { // the others would say it again
		for _, text := range answer.Warnings {
			httpapi.Warn(ctx, text)
		}
	}
	values := map[collectorKey]float64{}
	for _, row := range answer.Rows() {
		host := row.Labels.Get("host")
		if len(row.Points) == 1 && row.Labels.Get("target") == host {
			values[collectorKey{row.Labels.Get("collector"), host}] = row.Points[0].V
		}
	}
	return values, nil
}
