package fakecloud

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"google.golang.org/genproto/googleapis/api/metric"
	"google.golang.org/genproto/googleapis/api/monitoredres"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxPoints is the API's bound of a page.
const maxPoints = 100_000

// monitoring answers for a cloud.
type monitoring struct {
	monitoringpb.UnimplementedMetricServiceServer
	cloud *Cloud
}

func (m *monitoring) ListMetricDescriptors(_ context.Context, req *monitoringpb.ListMetricDescriptorsRequest) (*monitoringpb.ListMetricDescriptorsResponse, error) {
	c := m.cloud
	c.Lock()
	defer c.Unlock()
	if err := c.called("ListMetricDescriptors").err(); err != nil {
		return nil, err
	}
	prefix, ok := strings.CutPrefix(req.GetFilter(), `metric.type = starts_with("`)
	if !ok || req.GetName() != "projects/"+c.Project {
		return nil, status.Errorf(codes.InvalidArgument, "filter %q of %s", req.GetFilter(), req.GetName())
	}
	prefix = strings.TrimSuffix(prefix, `")`)
	var all []*metric.MetricDescriptor
	for _, one := range c.Metrics {
		if strings.HasPrefix(one.GetType(), prefix) {
			all = append(all, one.MetricDescriptor)
		}
	}
	from, _ := strconv.Atoi(req.GetPageToken()) // no token is the beginning
	end := min(len(all), from+3)
	out := &monitoringpb.ListMetricDescriptorsResponse{MetricDescriptors: all[from:end]}
	if end < len(all) {
		out.NextPageToken = strconv.Itoa(end)
	}
	return out, nil
}

func (m *monitoring) ListTimeSeries(ctx context.Context, req *monitoringpb.ListTimeSeriesRequest) (*monitoringpb.ListTimeSeriesResponse, error) {
	c := m.cloud
	c.Lock()
	defer c.Unlock()
	if c.Faults.Hang {
		c.Unlock()
		<-ctx.Done()
		c.Lock()
		return nil, ctx.Err()
	}
	fault := c.called("ListTimeSeries")
	if err := fault.err(); err != nil {
		return nil, err
	}
	w, err := parse(req.GetFilter())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if req.GetView() != monitoringpb.ListTimeSeriesRequest_FULL || req.GetInterval().GetEndTime() == nil || req.GetName() != "projects/"+c.Project {
		return nil, status.Errorf(codes.InvalidArgument, "view %v of %s with interval %v", req.GetView(), req.GetName(), req.GetInterval())
	}
	c.Filters[w.metric] = req.GetFilter()
	at := slices.IndexFunc(c.Metrics, func(one Metric) bool { return one.GetType() == w.metric })
	if at < 0 {
		return nil, status.Errorf(codes.NotFound, "Cannot find metric(s) that match type = %q.", w.metric)
	}
	all := c.series(c.Metrics[at], w, req.GetInterval())
	if fault.Lose {
		n := 0
		all = slices.DeleteFunc(all, func(*monitoringpb.TimeSeries) bool { n++; return n%2 == 0 })
	}
	out := page(all, req, c.PageSize)
	out.ExecutionErrors, out.Unit = fault.unable(), c.Metrics[at].GetUnit()
	c.Returned += len(out.GetTimeSeries())
	return out, nil
}

// series are those of a metric that have points in an interval, newest first.
func (c *Cloud) series(m Metric, w wanted, span *monitoringpb.TimeInterval) (all []*monitoringpb.TimeSeries) {
	resource := m.Resource
	if resource == "" {
		resource = "gce_instance"
	}
	for _, i := range c.Instances {
		if !w.takes(resource, i.Zone) || w.project != "" && w.project != c.Project {
			continue
		}
		sets := []map[string]string{{}}
		if m.Labels != nil {
			sets = m.Labels(i)
		}
		for _, labels := range sets {
			points := c.points(m, i, labels, span)
			if len(points) == 0 && !c.Faults.Empty {
				continue
			}
			one := &monitoringpb.TimeSeries{
				Metric:     &metric.Metric{Type: m.GetType(), Labels: maps.Clone(labels)},
				Resource:   &monitoredres.MonitoredResource{Type: resource, Labels: map[string]string{"project_id": c.Project, "zone": i.Zone, "instance_id": i.ID}},
				MetricKind: m.GetMetricKind(), ValueType: m.GetValueType(), Unit: m.GetUnit(), Points: points,
			}
			if all = append(all, one); c.Faults.Twice {
				all = append(all, one)
			}
		}
	}
	return all
}

func (c *Cloud) points(m Metric, i Instance, labels map[string]string, span *monitoringpb.TimeInterval) (points []*monitoringpb.Point) {
	now, delay := c.now(), m.GetMetadata().GetIngestDelay().AsDuration()
	from, to := span.GetStartTime().AsTime(), span.GetEndTime().AsTime()
	end := to
	if end.After(now) {
		end = now
	}
	for end = end.Truncate(time.Minute); !end.Before(from); end = end.Add(-time.Minute) {
		if !i.runs(end) {
			continue
		}
		v := m.Value(i, labels, end)
		if v == nil {
			continue
		}
		if m.Early != nil && now.Before(end.Add(delay)) {
			v = m.Early(v)
		}
		interval := &monitoringpb.TimeInterval{StartTime: timestamppb.New(end.Add(-time.Minute)), EndTime: timestamppb.New(end)}
		if m.GetMetricKind() == metric.MetricDescriptor_GAUGE {
			interval.StartTime = interval.GetEndTime()
		}
		points = append(points, &monitoringpb.Point{Interval: interval, Value: v})
		if c.Faults.Empty {
			points = append(points, &monitoringpb.Point{Interval: interval}, &monitoringpb.Point{})
		}
	}
	return points
}

// page cuts by points, as the API does: a series can go on on the next page. A token is the number of points before.
func page(all []*monitoringpb.TimeSeries, req *monitoringpb.ListTimeSeriesRequest, bound int) *monitoringpb.ListTimeSeriesResponse {
	skip, _ := strconv.Atoi(req.GetPageToken()) // no token is the beginning
	room := int(req.GetPageSize())
	if room <= 0 || room > maxPoints {
		room = maxPoints
	}
	if bound > 0 {
		room = min(room, bound)
	}
	out, before, upTo := &monitoringpb.ListTimeSeriesResponse{}, 0, skip+room
	for _, s := range all {
		size := max(1, len(s.GetPoints()))
		from, to := max(0, skip-before), min(size, upTo-before)
		before += size
		if from >= to {
			continue
		}
		part := &monitoringpb.TimeSeries{Metric: s.GetMetric(), Resource: s.GetResource(), MetricKind: s.GetMetricKind(), ValueType: s.GetValueType(), Unit: s.GetUnit()}
		if len(s.GetPoints()) > 0 {
			part.Points = s.GetPoints()[from:to]
		}
		out.TimeSeries = append(out.TimeSeries, part)
	}
	if upTo < before {
		out.NextPageToken = strconv.Itoa(upTo)
	}
	return out
}
