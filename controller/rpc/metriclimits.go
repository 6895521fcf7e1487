package rpc

import (
	"cmp"
	"context"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/novacron/novacron/controller/state"
	"github.com/novacron/novacron/metric"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// limitsFor are the limits of series on a host.
func limitsFor(view state.View, hostID string) *agentv1.MetricLimitIntent {
	record, _ := view.MetricLimits()
	intent := &agentv1.MetricLimitIntent{Limits: record.GetLimits(), Share: shareOf(record, hostID).GetSeries()}
	if intent.GetLimits() == nil {
		intent.Limits = &novacronv1.MetricLimits{}
	}
	return intent
}

// shareOf is the share of a host, nil where it has none.
func shareOf(record *statev1.MetricLimitsRecord, hostID string) *novacronv1.MetricShare {
	at, has := slices.BinarySearchFunc(record.GetShares(), hostID, func(s *novacronv1.MetricShare, id string) int { return cmp.Compare(s.GetHostId(), id) })
	if !has {
		return nil
	}
	return record.GetShares()[at]
}

// GetMetricLimits tells the limits, and of each host what it may have and has.
func (s *metricService) GetMetricLimits(context.Context, *connect.Request[novacronv1.GetMetricLimitsRequest]) (*connect.Response[novacronv1.GetMetricLimitsResponse], error) {
	view := s.Store.View()
	record, _ := view.MetricLimits()
	answer := &novacronv1.GetMetricLimitsResponse{Limits: record.GetLimits(), Revision: record.GetRevision()}
	if answer.GetLimits() == nil {
		answer.Limits = &novacronv1.MetricLimits{}
	}
	for id, host := range view.Hosts("") {
		share := &novacronv1.MetricShare{HostId: id}
		if has := shareOf(record, id); has != nil {
			share = proto.CloneOf(has)
		}
		share.HostName = host.GetName()
		if active, told := s.Series.Active(id); told {
			share.Active = &active
		}
		answer.Shares = append(answer.Shares, share)
	}
	slices.SortFunc(answer.GetShares(), func(a, b *novacronv1.MetricShare) int { return cmp.Compare(a.GetHostName(), b.GetHostName()) })
	return connect.NewResponse(answer), nil
}

// SetMetricLimits checks limits and commits them.
func (s *metricService) SetMetricLimits(ctx context.Context, r *connect.Request[novacronv1.SetMetricLimitsRequest]) (*connect.Response[novacronv1.SetMetricLimitsResponse], error) {
	limits := r.Msg.GetLimits()
	if limits == nil {
		limits = &novacronv1.MetricLimits{}
	}
	if err := metric.ValidateLimits(limits); err != nil {
		return nil, invalid(err)
	}
	value, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMetricLimits{PutMetricLimits: &statev1.PutMetricLimits{Limits: limits, Revision: r.Msg.GetRevision()}}
	})
	if err != nil {
		return nil, err
	}
	record := value.(*statev1.MetricLimitsRecord)
	return connect.NewResponse(&novacronv1.SetMetricLimitsResponse{Limits: record.GetLimits(), Revision: record.GetRevision()}), nil
}
