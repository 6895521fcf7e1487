package agent

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/agent/collect"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb"
)

// sourcePush is the label «source» of what users push.
const sourcePush = "push"

// maxPushTold bounds how many refusals an answer tells one by one.
const maxPushTold = 100

// metricService stores what controllers pass on from users.
type metricService struct {
	registry *collect.Registry
	// sink is nil where the host keeps no metrics.
	sink collect.Sink
}

func (d *daemon) metricService() metricService {
	if d.metrics == nil {
		return metricService{registry: d.registry}
	}
	return metricService{registry: d.registry, sink: d.sink(d.registry)}
}

var _ agentv1connect.MetricAgentServiceHandler = metricService{}

// StoreMetrics lets the registry refuse what does not fit, and answers once the shard has stored the rest.
func (s metricService) StoreMetrics(ctx context.Context, r *connect.Request[agentv1.StoreMetricsRequest]) (*connect.Response[agentv1.StoreMetricsResponse], error) {
	if s.sink == nil {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("this host keeps no metrics, since its shard could not be opened: see the log of its agent"))
	}
	batch := make([]collect.Metric, len(r.Msg.GetSamples()))
	for i, sample := range r.Msg.GetSamples() {
		batch[i] = collect.Metric{Name: sample.GetName(), Labels: sample.GetLabels(), Value: sample.GetValue(), Source: sourcePush}
		if sample.GetTime().IsValid() { // without one it is refused
			batch[i].Timestamp = sample.GetTime().AsTime()
		}
	}
	answer, err := s.store(ctx, batch)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return connect.NewResponse(answer), nil
}

func (s metricService) store(ctx context.Context, batch []collect.Metric) (*agentv1.StoreMetricsResponse, error) {
	admitted, refused := s.registry.Admit(batch, collect.Limits{})
	answer := &agentv1.StoreMetricsResponse{}
	out := map[int]bool{}
	for _, one := range refused {
		out[one.Index] = true
		tell(answer, one.Index, string(one.Reason), one.Detail)
	}
	stored := len(admitted)
	err := s.sink.StoreMetrics(ctx, admitted)
	var some *tsdb.RefusedError
	switch {
	case errors.As(err, &some):
		stored -= some.Refused
		places := placesOf(len(batch), out)
		for _, one := range some.First {
			tell(answer, places[one.Index], one.Reason, one.Detail)
		}
	case err != nil:
		return nil, err
	}
	answer.Stored = uint32(max(0, stored))
	return answer, nil
}

// placesOf are the places in a batch of what was admitted of it.
func placesOf(batch int, out map[int]bool) (places []int) {
	for i := range batch {
		if !out[i] {
			places = append(places, i)
		}
	}
	return places
}

func tell(answer *agentv1.StoreMetricsResponse, index int, reason, detail string) {
	if len(answer.GetRefused()) < maxPushTold {
		answer.Refused = append(answer.Refused, &novacronv1.RefusedSample{Index: uint32(index), Reason: reason, Message: detail})
	}
}
