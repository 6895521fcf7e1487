package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/metric"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	api "github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	"github.com/novacron/novacron/tsdb/query"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fakeMetrics are the sources and metrics of the fake cluster. What becomes of a source is decided by its name.
type fakeMetrics struct {
	api.UnimplementedMetricServiceHandler
	mu          sync.Mutex
	sources     map[string]*pb.MetricSource
	definitions map[string]*pb.MetricDefinition
	limits      *pb.MetricLimits
	limited     uint64
}

func newFakeMetrics() *fakeMetrics {
	return &fakeMetrics{sources: map[string]*pb.MetricSource{}, definitions: map[string]*pb.MetricDefinition{}}
}

func (f *fakeMetrics) put(given *pb.MetricSourceSpec, secret []byte, generation uint64) (*pb.MetricSource, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	spec := metric.Normalise(given)
	if err := metric.Validate(spec); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if sealed := spec.GetCredential().GetSealed(); sealed != nil && len(secret) > 0 {
		sealed.Fingerprint, sealed.SetTime = fmt.Sprintf("f-%d", len(secret)), ago(0)
	}
	source := &pb.MetricSource{Spec: spec, Generation: generation, CreateTime: ago(time.Hour), Status: statusOf(spec, generation)}
	f.sources[spec.GetName()] = source
	return source, nil
}

func statusOf(spec *pb.MetricSourceSpec, generation uint64) *pb.MetricSourceStatus {
	status := &pb.MetricSourceStatus{
		State: pb.MetricSourceState_METRIC_SOURCE_STATE_RUNNING, HostName: "kvm-1", SinceTime: ago(time.Hour), ObservedGeneration: generation,
		LastSuccessTime: ago(10 * time.Second), Series: 1200, Watermark: ago(time.Minute),
	}
	if metric.KindOf(spec) == metric.KindAWS {
		status.ForecastUnits, status.ForecastCost = 420000, 4.2
	}
	switch {
	case spec.GetPaused():
		return &pb.MetricSourceStatus{State: pb.MetricSourceState_METRIC_SOURCE_STATE_PAUSED}
	case strings.HasPrefix(spec.GetName(), "lost"):
		return &pb.MetricSourceStatus{State: pb.MetricSourceState_METRIC_SOURCE_STATE_WAITING, Message: "no host can collect from it: 2 looked at; 2: it is not heard from"}
	case strings.HasPrefix(spec.GetName(), "bad"):
		status.State, status.LastError, status.LastErrorTime = pb.MetricSourceState_METRIC_SOURCE_STATE_FAILING, "connection refused", ago(time.Second)
	}
	return status
}

func (f *fakeMetrics) CreateMetricSource(_ context.Context, r *connect.Request[pb.CreateMetricSourceRequest]) (*connect.Response[pb.CreateMetricSourceResponse], error) {
	source, err := f.put(r.Msg.GetSpec(), r.Msg.GetSecret(), 1)
	return connect.NewResponse(&pb.CreateMetricSourceResponse{Source: source}), err
}

func (f *fakeMetrics) UpdateMetricSource(_ context.Context, r *connect.Request[pb.UpdateMetricSourceRequest]) (*connect.Response[pb.UpdateMetricSourceResponse], error) {
	source, err := f.put(r.Msg.GetSpec(), r.Msg.GetSecret(), r.Msg.GetGeneration()+1)
	return connect.NewResponse(&pb.UpdateMetricSourceResponse{Source: source}), err
}

func (f *fakeMetrics) GetMetricSource(_ context.Context, r *connect.Request[pb.GetMetricSourceRequest]) (*connect.Response[pb.GetMetricSourceResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found := f.sources[r.Msg.GetName()]; found != nil {
		return connect.NewResponse(&pb.GetMetricSourceResponse{Source: proto.CloneOf(found)}), nil
	}
	return nil, missing("metric source", r.Msg.GetName())
}

func (f *fakeMetrics) ListMetricSources(context.Context, *connect.Request[pb.ListMetricSourcesRequest]) (*connect.Response[pb.ListMetricSourcesResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.ListMetricSourcesResponse{}
	for _, name := range slices.Sorted(maps.Keys(f.sources)) {
		answer.Sources = append(answer.Sources, f.sources[name])
	}
	return connect.NewResponse(answer), nil
}

func (f *fakeMetrics) DeleteMetricSource(_ context.Context, r *connect.Request[pb.DeleteMetricSourceRequest]) (*connect.Response[pb.DeleteMetricSourceResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sources[r.Msg.GetName()] == nil {
		return nil, missing("metric source", r.Msg.GetName())
	}
	delete(f.sources, r.Msg.GetName())
	return connect.NewResponse(&pb.DeleteMetricSourceResponse{}), nil
}

func (f *fakeMetrics) DefineMetric(_ context.Context, r *connect.Request[pb.DefineMetricRequest]) (*connect.Response[pb.DefineMetricResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := metric.FromProto(r.Msg.GetDefinition()).Validate(); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	made := proto.CloneOf(r.Msg.GetDefinition())
	made.CreateTime = ago(0)
	f.definitions[made.GetName()] = made
	return connect.NewResponse(&pb.DefineMetricResponse{Definition: made}), nil
}

func (f *fakeMetrics) ListMetricDefinitions(context.Context, *connect.Request[pb.ListMetricDefinitionsRequest]) (*connect.Response[pb.ListMetricDefinitionsResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.ListMetricDefinitionsResponse{}
	for _, name := range slices.Sorted(maps.Keys(f.definitions)) {
		answer.Definitions = append(answer.Definitions, f.definitions[name])
	}
	return connect.NewResponse(answer), nil
}

func (f *fakeMetrics) DeleteMetricDefinition(_ context.Context, r *connect.Request[pb.DeleteMetricDefinitionRequest]) (*connect.Response[pb.DeleteMetricDefinitionResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.definitions[r.Msg.GetName()] == nil {
		return nil, missing("metric", r.Msg.GetName())
	}
	delete(f.definitions, r.Msg.GetName())
	return connect.NewResponse(&pb.DeleteMetricDefinitionResponse{}), nil
}

func (f *fakeMetrics) PushMetrics(_ context.Context, r *connect.Request[pb.PushMetricsRequest]) (*connect.Response[pb.PushMetricsResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.PushMetricsResponse{Hosts: []string{firstOf(r.Msg.GetHost(), "kvm-1")}}
	for i, sample := range r.Msg.GetSamples() {
		if sample.GetTime() == nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("a sample without a time: trying again would store another"))
		}
		if f.definitions[sample.GetName()] == nil {
			answer.RefusedCount++
			answer.Refused = append(answer.Refused, &pb.RefusedSample{Index: uint32(i), Reason: "unknown_metric", Message: "metric " + sample.GetName() + " is not in the registry"})
			continue
		}
		answer.Stored++
	}
	return connect.NewResponse(answer), nil
}

// QueryMetrics answers one series, with a value at each time of the question, and a warning.
func (f *fakeMetrics) QueryMetrics(_ context.Context, r *connect.Request[pb.QueryMetricsRequest], stream *connect.ServerStream[pb.QueryMetricsResponse]) error {
	if r.Msg.GetQuery() == "sum(" {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("parse error: unclosed left parenthesis"))
	}
	if r.Msg.GetExplain() || r.Msg.GetAnalyze() {
		return stream.Send(&pb.QueryMetricsResponse{Summary: plannedQuery(r.Msg)})
	}
	if r.Msg.GetQuery() == "lat_seconds" {
		return stream.Send(queriedHistograms(r.Msg.GetTime().AsTime().UnixMilli()))
	}
	series := &pb.QueriedSeries{Labels: map[string]string{"host": "kvm-1"}}
	at, end, step := r.Msg.GetTime().AsTime(), r.Msg.GetTime().AsTime(), time.Second
	if r.Msg.GetStart() != nil {
		at, end, step = r.Msg.GetStart().AsTime(), r.Msg.GetEnd().AsTime(), r.Msg.GetStep().AsDuration()
	}
	for ; !at.After(end); at = at.Add(step) {
		series.Times, series.Values = append(series.Times, at.UnixMilli()), append(series.Values, float64(at.Unix()%100))
	}
	if err := stream.Send(&pb.QueryMetricsResponse{Series: []*pb.QueriedSeries{series}}); err != nil {
		return err
	}
	return stream.Send(&pb.QueryMetricsResponse{Summary: &pb.QuerySummary{Warnings: []string{"1 of 2 hosts did not answer, and their series are missing: kvm-2"}}})
}

// queriedHistograms are one as JSON, one with a sum that JSON does not have, and something to note.
func queriedHistograms(at int64) *pb.QueryMetricsResponse {
	p := query.Point{T: at}
	if err := json.Unmarshal([]byte(`{"Count":2,"PositiveSpans":[{"Offset":0,"Length":1}],"PositiveBuckets":[2]}`), &p.H); err != nil {
		panic(err)
	}
	p.H.Sum = math.NaN()
	packed, err := query.PackHistogram(p)
	if err != nil {
		panic(err)
	}
	return &pb.QueryMetricsResponse{
		Series: []*pb.QueriedSeries{{
			Labels: map[string]string{"host": "kvm-1"}, Times: []int64{at - 1000, at}, Values: []float64{0, math.NaN()},
			Histograms:       map[uint32]string{0: `{"Count":1,"Sum":0.5,"PositiveSpans":[{"Offset":0,"Length":1}],"PositiveBuckets":[1]}`},
			PackedHistograms: map[uint32][]byte{1: packed},
		}},
		Summary: &pb.QuerySummary{Infos: []string{"lat_seconds is no counter"}},
	}
}

// GetMetricLimits tells the limits that were set, and of two hosts.
func (f *fakeMetrics) GetMetricLimits(context.Context, *connect.Request[pb.GetMetricLimitsRequest]) (*connect.Response[pb.GetMetricLimitsResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &pb.GetMetricLimitsResponse{Limits: &pb.MetricLimits{}, Revision: f.limited, Shares: []*pb.MetricShare{{HostName: "kvm-1", Active: proto.Uint64(900)}, {HostName: "kvm-2"}}}
	if f.limits != nil {
		answer.Limits = proto.CloneOf(f.limits)
	}
	for _, share := range answer.GetShares() {
		share.Series = answer.GetLimits().GetClusterSeries() / 2
		share.Held = share.GetSeries()
	}
	return connect.NewResponse(answer), nil
}

// SetMetricLimits refuses a change that was made from older limits.
func (f *fakeMetrics) SetMetricLimits(_ context.Context, r *connect.Request[pb.SetMetricLimitsRequest]) (*connect.Response[pb.SetMetricLimitsResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := metric.ValidateLimits(r.Msg.GetLimits()); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if r.Msg.GetRevision() != f.limited {
		return nil, connect.NewError(connect.CodeAborted, errors.New("stale"))
	}
	f.limits = proto.CloneOf(r.Msg.GetLimits())
	f.limited++
	return connect.NewResponse(&pb.SetMetricLimitsResponse{Limits: f.limits, Revision: f.limited}), nil
}

// ExploreCardinality answers with what was asked in the name of a group.
func (f *fakeMetrics) ExploreCardinality(_ context.Context, r *connect.Request[pb.ExploreCardinalityRequest]) (*connect.Response[pb.ExploreCardinalityResponse], error) {
	m := r.Msg
	return connect.NewResponse(&pb.ExploreCardinalityResponse{
		Series: 51204, SeriesBefore: 1400, GroupCount: 12, Warnings: []string{"1 of 2 hosts did not answer, and their series are missing: kvm-2"},
		Groups: []*pb.CardinalityCount{
			{Name: "request_id", Series: 51004, SeriesBefore: 1200, Values: 48211, ValuesBefore: 1000, Left: 212, LeftBefore: 200},
			{Name: fmt.Sprintf("%s/%s/%s/%d/%s", m.GetSelector(), m.GetBy(), m.GetSince().AsDuration(), m.GetTop(), m.GetDrop()), Series: 200, SeriesBefore: 200, Estimated: true},
		},
		Findings: []*pb.CardinalityFinding{{Text: "label request_id of metric http_requests_total: 48,211 values"}},
	}), nil
}

// plannedQuery says how the fake cluster would compute a query, or what that took.
func plannedQuery(r *pb.QueryMetricsRequest) *pb.QuerySummary {
	if r.GetQuery() == "old" {
		return &pb.QuerySummary{} // a controller of before
	}
	if r.GetAnalyze() {
		return &pb.QuerySummary{Warnings: []string{"kvm-2 is missing"}, Analysis: &pb.QueryAnalysis{
			Elapsed: durationpb.New(12345 * time.Microsecond), Controller: durationpb.New(2345 * time.Microsecond), PeakSamples: 480, Series: 2,
			Cache: &pb.QueryCacheUse{Steps: 241, KnownSteps: 200},
			Hosts: []*pb.QueriedHost{
				{Name: "kvm-1", Elapsed: durationpb.New(9 * time.Millisecond), Samples: 9600, Series: 40, Bytes: 4096, Calls: 1},
				{Name: "kvm-2", Elapsed: durationpb.New(10 * time.Millisecond), Calls: 2, Retries: 1, Error: "unavailable"},
			},
		}}
	}
	return &pb.QuerySummary{Explanation: &pb.QueryExplanation{
		Expression: "topk(2, avg(up))", Controller: `topk(2, {__part__="0"})`, Steps: 241,
		Parts:      []*pb.QueryPart{{Expressions: []string{"sum(up)", "count(up)"}, Merge: "average", Tiers: map[string]uint32{"raw": 1, "5m:last": 2}}},
		AskedHosts: []string{"kvm-1", "kvm-2", "kvm-4"}, PrunedHosts: []string{"kvm-3"}, Relays: 1,
		Series: []*pb.SelectorEstimate{{Selector: `{__name__="up"}`, Least: 2, Likely: 3}},
		Cache:  &pb.QueryCacheUse{Steps: 241, UnusedReason: "host kvm-2 does not tell what has changed"},
	}}
}
