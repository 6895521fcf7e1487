package rpc

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate/explore"
)

// cardinalityGroups are the groupings of the protocol.
var cardinalityGroups = map[novacronv1.CardinalityGroup]string{
	novacronv1.CardinalityGroup_CARDINALITY_GROUP_UNSPECIFIED: explore.ByMetric,
	novacronv1.CardinalityGroup_CARDINALITY_GROUP_METRIC:      explore.ByMetric,
	novacronv1.CardinalityGroup_CARDINALITY_GROUP_LABEL:       explore.ByLabel,
	novacronv1.CardinalityGroup_CARDINALITY_GROUP_PAIR:        explore.ByPair,
	novacronv1.CardinalityGroup_CARDINALITY_GROUP_HOST:        explore.ByHost,
	novacronv1.CardinalityGroup_CARDINALITY_GROUP_JOB:         explore.ByJob,
}

// ExploreCardinality has all shards count their series.
func (s *metricService) ExploreCardinality(ctx context.Context, r *connect.Request[novacronv1.ExploreCardinalityRequest]) (*connect.Response[novacronv1.ExploreCardinalityResponse], error) {
	m := r.Msg
	by, known := cardinalityGroups[m.GetBy()]
	switch {
	case !known:
		return nil, invalid(fmt.Errorf("by: %v is not known here", m.GetBy()))
	case len(m.GetSelector()) > maxQuery:
		return nil, invalid(fmt.Errorf("selector: %d bytes, at most %d", len(m.GetSelector()), maxQuery))
	case m.GetTop() > explore.MaxTop:
		return nil, invalid(fmt.Errorf("top: %d, at most %d", m.GetTop(), explore.MaxTop))
	}
	answer, err := explore.Explore(ctx, s.Metrics.Fleet.WithComplete(m.GetComplete()).Explore, explore.Ask{
		Selector: m.GetSelector(), By: by, Since: m.GetSince().AsDuration(), Top: int(m.GetTop()), Drop: m.GetDrop(), Now: s.Now(),
	})
	if err != nil {
		return nil, queryFailed(ctx, err)
	}
	return connect.NewResponse(answer.Proto()), nil
}
