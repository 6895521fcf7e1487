package wire

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/labels"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
)

var _ federate.Estimator = Client{}

// Estimate has the shard count.
func (c Client) Estimate(ctx context.Context, e federate.Estimation) ([]engine.Estimate, error) {
	m := &agentv1.EstimateRequest{Min: e.Min, Max: e.Max}
	for _, matchers := range e.Selectors {
		m.Selectors = append(m.Selectors, &agentv1.LabelMatchers{Matchers: matchersTo(matchers)})
	}
	for _, b := range e.Bounds {
		m.Bounds = append(m.Bounds, &agentv1.TimeBounds{Min: b.Min, Max: b.Max})
	}
	answer, err := c.RPC.Estimate(ctx, connect.NewRequest(m))
	if err != nil {
		return nil, fromConnect(err)
	}
	var all []engine.Estimate
	for _, one := range answer.Msg.GetEstimates() {
		all = append(all, engine.Estimate{Least: one.GetLeast(), Likely: one.GetLikely()})
	}
	return all, nil
}

// Estimate counts series.
func (s Server) Estimate(ctx context.Context, r *connect.Request[agentv1.EstimateRequest]) (*connect.Response[agentv1.EstimateResponse], error) {
	estimator, can := s.Shard.(federate.Estimator)
	if !can {
		return nil, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("this shard does not count series"))
	}
	e, err := estimationFrom(r.Msg)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	counts, err := estimator.Estimate(ctx, e)
	if err != nil {
		return nil, toConnect(ctx, err)
	}
	out := &agentv1.EstimateResponse{}
	for _, n := range counts {
		out.Estimates = append(out.Estimates, &agentv1.SeriesEstimate{Least: n.Least, Likely: n.Likely})
	}
	return connect.NewResponse(out), nil
}

func estimationFrom(m *agentv1.EstimateRequest) (federate.Estimation, error) {
	e := federate.Estimation{Min: m.GetMin(), Max: m.GetMax(), Selectors: make([][]*labels.Matcher, 0, min(len(m.GetSelectors()), maxExprs))}
	if n := len(m.GetSelectors()); n > maxExprs {
		return e, fmt.Errorf("%d selectors at once, at most %d", n, maxExprs)
	}
	if n := len(m.GetBounds()); n != 0 && n != len(m.GetSelectors()) {
		return e, fmt.Errorf("bounds for %d of %d selectors: give them for all, or for none", n, len(m.GetSelectors()))
	}
	for _, b := range m.GetBounds() {
		e.Bounds = append(e.Bounds, federate.Bounds{Min: b.GetMin(), Max: b.GetMax()})
	}
	for _, one := range m.GetSelectors() {
		matchers, err := matchersFrom(one.GetMatchers())
		if err != nil {
			return e, err
		}
		e.Selectors = append(e.Selectors, matchers)
	}
	return e, nil
}

// Count is how many series and samples there are.
func (r *received) Count() (series, samples int64) {
	for _, s := range r.series {
		for _, piece := range s.pieces {
			samples += int64(piece.GetFloats().GetCount()) + int64(piece.GetHistograms().GetCount())
		}
	}
	return int64(len(r.series)), samples
}
