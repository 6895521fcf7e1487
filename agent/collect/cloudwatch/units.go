package cloudwatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// unitBook knows in which units native metrics are published: GetMetricData does not tell.
type unitBook struct {
	byMetric map[string]unitEntry
}

type unitEntry struct {
	units []string
	read  time.Time
}

func unitKey(m listedMetric) string { return m.namespace + "\x00" + m.name }

// of is the unit of a metric. One that is published in several is not known: no one of them is all of it.
func (b *unitBook) of(m listedMetric) (unit string, known bool) {
	entry := b.byMetric[unitKey(m)]
	if len(entry.units) != 1 {
		return "", false
	}
	return entry.units[0], true
}

// due tells whether to ask for the units of a metric: once a day, and of one that had no value each time that the
// listing is read.
func (b *unitBook) due(m listedMetric, now time.Time) bool {
	entry, was := b.byMetric[unitKey(m)]
	fresh := unitsFresh
	if len(entry.units) == 0 {
		fresh = listingFresh
	}
	return !was || now.Sub(entry.read) >= fresh
}

// dueCheck tells whether to ask why a metric is silent.
func (b *unitBook) dueCheck(m listedMetric, now time.Time) bool {
	entry, was := b.byMetric[unitKey(m)]
	return !was || now.Sub(entry.read) >= unitsAsked
}

func (b *unitBook) note(m listedMetric, units []string, now time.Time) {
	if b.byMetric == nil {
		b.byMetric = map[string]unitEntry{}
	}
	b.byMetric[unitKey(m)] = unitEntry{units, now}
}

// learnUnits asks for the units of the metrics that pass as they are.
func (r *region) learnUnits(ctx context.Context, listed []cloud.Item[listedMetric], now time.Time) error {
	if len(r.cfg.Namespaces) == 0 {
		return nil
	}
	var failed []error
	for _, item := range listed {
		m := item.Resource
		if !isRaw(r.cfg, m) || !r.units.due(m, now) {
			continue
		}
		units, err := r.unitsOf(ctx, m, now)
		if err != nil {
			return err
		}
		r.units.note(m, units, now)
		if err := r.judge(m, units, ""); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

const (
	unitsFresh = 24 * time.Hour
	// unitsAsked is the span that is asked for units.
	unitsAsked = 3 * time.Hour
)

// checkUnits asks why metrics are silent on all machines that run: GetMetricData leaves out what is published in
// another unit, and does not say so.
func (r *region) checkUnits(ctx context.Context, asks map[string]ask, answers map[string]answer, now time.Time) error {
	silent, spoke := map[string]ask{}, map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(asks)) {
		a, got := asks[key], answers[key]
		switch {
		case len(got.points) > 0:
			spoke[unitKey(a.listedMetric)] = true
		case a.alive && got.whole && a.unit != "" && a.class != classRaw:
			silent[unitKey(a.listedMetric)] = a
		}
	}
	var failed []error
	for _, key := range slices.Sorted(maps.Keys(silent)) {
		a := silent[key]
		if spoke[key] || !r.units.dueCheck(a.listedMetric, now) {
			continue
		}
		units, err := r.unitsOf(ctx, a.listedMetric, now)
		if err != nil {
			return err
		}
		r.units.note(a.listedMetric, units, now)
		failed = append(failed, r.judge(a.listedMetric, units, a.unit))
	}
	return errors.Join(failed...)
}

// unitsOf are the units in which a metric was published in the last three hours.
func (r *region) unitsOf(ctx context.Context, m listedMetric, now time.Time) ([]string, error) {
	if err := r.budget.Spend(ctx, now, 1); err != nil {
		return nil, err
	}
	r.cfg.Meter.Billable(apiStatistics.name, 1)
	end := now.Truncate(time.Minute)
	start, period := end.Add(-unitsAsked), int32(3600)
	out, err := call(ctx, r.caller, apiStatistics, func(ctx context.Context) (*sdkcloudwatch.GetMetricStatisticsOutput, error) {
		return r.statistics(ctx, &sdkcloudwatch.GetMetricStatisticsInput{
			Namespace: &m.namespace, MetricName: &m.name, Dimensions: dimensionsOf(m.dims),
			StartTime: &start, EndTime: &end, Period: &period, Statistics: []types.Statistic{types.StatisticSampleCount},
		})
	})
	if err != nil {
		return nil, err
	}
	units := map[string]bool{}
	for _, point := range out.Datapoints {
		units[string(point.Unit)] = true
	}
	return slices.Sorted(maps.Keys(units)), nil
}

// judge counts a metric whose unit is not what it has to be, and says so. A metric that passes has to have one unit
// that is known; wanted is empty then.
func (r *region) judge(m listedMetric, units []string, wanted string) error {
	_, convertible := collect.FromCloudWatch(strings.Join(units, " and "))
	if len(units) == 0 || wanted == "" && convertible || slices.Contains(units, wanted) {
		return nil
	}
	r.cfg.Meter.UnitMismatch()
	return &UnitError{Region: r.name, Namespace: m.namespace, Metric: m.name, Units: units, Wanted: wanted}
}

// UnitError says that a metric is left out since its unit is another.
type UnitError struct {
	Region, Namespace, Metric string
	Units                     []string
	// Wanted is the unit that it has to have; empty for any single one that CloudWatch defines.
	Wanted string
}

func (e *UnitError) Error() string {
	wanted := e.Wanted
	if wanted == "" {
		wanted = "one of CloudWatch's units"
	}
	return "CloudWatch in " + e.Region + ": " + e.Namespace + " " + e.Metric + " is published in " + strings.Join(e.Units, " and ") +
		", not in " + wanted + ", and is left out; publish it in that unit"
}
