package cloudwatch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/novacron/novacron/agent/collect"
)

// answer is what came of a query.
type answer struct {
	// points are in CloudWatch's unit, at the ends of periods, by time.
	points []collect.Point
	// whole says that nothing is missing.
	whole bool
}

// PartialError says that some answers were not whole. What was missing is asked for again.
type PartialError struct {
	Region string
	// Metrics is how many, First one of them, Status what CloudWatch says of it.
	Metrics int
	First   string
	Status  string
}

func (e *PartialError) Error() string {
	text := fmt.Sprintf("CloudWatch in %s: %d metrics were not answered in full, such as %s (%s); they are asked for again", e.Region, e.Metrics, e.First, e.Status)
	if e.Status == string(types.StatusCodeForbidden) {
		text += "; allow cloudwatch:GetMetricData for the account that owns them"
	}
	return text
}

// read makes one batch's calls. The answers beside an error are good.
func (r *region) read(ctx context.Context, batch []ask) (map[string]answer, error) {
	in := requestOf(batch)
	got := gathered{values: make([]map[int64]float64, len(batch)), status: make([]types.StatusCode, len(batch))}
	err := pages(apiMetricData.name+" in "+r.name, func(token *string) (*string, error) {
		if err := r.budget.Spend(ctx, time.Now(), len(batch)); err != nil {
			return nil, err
		}
		r.cfg.Meter.Billable(apiMetricData.name, len(batch))
		in.NextToken = token
		out, err := call(ctx, r.caller, apiMetricData, func(ctx context.Context) (*sdkcloudwatch.GetMetricDataOutput, error) {
			return r.metricData(ctx, in)
		})
		if err != nil {
			return nil, err
		}
		got.add(out.MetricDataResults)
		return out.NextToken, nil
	})
	answers, partial := got.answers(batch)
	if err == nil && partial.Metrics > 0 {
		r.cfg.Meter.Partial()
		partial.Region = r.name
		return answers, &partial
	}
	return answers, err
}

func requestOf(batch []ask) *sdkcloudwatch.GetMetricDataInput {
	from, to := span(batch)
	in := &sdkcloudwatch.GetMetricDataInput{StartTime: &from, EndTime: &to, ScanBy: types.ScanByTimestampAscending}
	for i, a := range batch {
		stat := types.MetricStat{
			Metric: &types.Metric{Namespace: &batch[i].namespace, MetricName: &batch[i].name, Dimensions: dimensionsOf(a.dims)},
			Period: aws.Int32(int32(a.period() / time.Second)), Stat: &batch[i].stat, Unit: types.StandardUnit(a.unit),
		}
		in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{Id: aws.String("m" + strconv.Itoa(i)), MetricStat: &stat})
	}
	return in
}

func dimensionsOf(dims []dim) []types.Dimension {
	all := make([]types.Dimension, len(dims))
	for i := range dims {
		all[i] = types.Dimension{Name: &dims[i].name, Value: &dims[i].value}
	}
	return all
}

// gathered are the results of all pages, by place in the batch.
type gathered struct {
	// values are by when their periods begin, in seconds; of two for one the later one counts.
	values []map[int64]float64
	status []types.StatusCode
}

func (g gathered) add(results []types.MetricDataResult) {
	for _, result := range results {
		i, ok := placeOf(aws.ToString(result.Id), len(g.values))
		if !ok {
			continue
		}
		if g.values[i] == nil {
			g.values[i] = map[int64]float64{}
		}
		g.status[i] = result.StatusCode
		if len(result.Timestamps) != len(result.Values) {
			g.status[i] = types.StatusCodePartialData
		}
		for n := range min(len(result.Timestamps), len(result.Values)) {
			g.values[i][result.Timestamps[n].Unix()] = result.Values[n]
		}
	}
}

func placeOf(id string, most int) (int, bool) {
	if id == "" || id[0] != 'm' {
		return 0, false
	}
	i, err := strconv.Atoi(id[1:])
	return i, err == nil && i >= 0 && i < most
}

// answers leaves of each query what lies in its own window and says what is missing.
func (g gathered) answers(batch []ask) (map[string]answer, PartialError) {
	all := make(map[string]answer, len(batch))
	var partial PartialError
	for i, a := range batch {
		one := answer{whole: g.status[i] == types.StatusCodeComplete}
		for _, start := range slices.Sorted(maps.Keys(g.values[i])) {
			if p, ok := a.pointAt(time.Unix(start, 0).UTC(), g.values[i][start]); ok {
				one.points = append(one.points, p)
			}
		}
		if !one.whole {
			if partial.Metrics++; partial.Metrics == 1 {
				partial.First, partial.Status = a.namespace+" "+a.name, cmp.Or(string(g.status[i]), "no answer")
			}
		}
		all[a.id] = one
	}
	return all, partial
}

// pointAt is a value of a period that begins at a time. CloudWatch stamps the beginning, we the end.
func (a ask) pointAt(start time.Time, v float64) (p collect.Point, ok bool) {
	end := start.Add(a.period())
	inside := !start.Before(a.window.From) && !end.After(a.window.To.Truncate(a.period()))
	return collect.Point{Time: end, Value: v}, inside && start.Equal(start.Truncate(a.period())) && !math.IsNaN(v) && !math.IsInf(v, 0)
}
