package wire

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
)

// Server answers for a shard.
type Server struct {
	Shard federate.Shard
	// Summary tells the labels of the shard; nil tells nothing, so that the shard is always asked.
	Summary func(context.Context) (federate.Summary, error)
}

var _ agentv1connect.ShardServiceHandler = Server{}

// maxExprs and maxSteps bound one evaluation.
const (
	maxExprs = 256
	maxSteps = 11_000
)

// Evaluate computes, and streams the rows.
func (s Server) Evaluate(ctx context.Context, r *connect.Request[agentv1.EvaluateRequest], stream *connect.ServerStream[agentv1.EvaluateResponse]) error {
	e, err := evaluationFrom(r.Msg)
	if err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	p, err := s.Shard.Evaluate(ctx, e)
	if err != nil {
		return toConnect(err)
	}
	return sendRows(p, stream.Send)
}

func evaluationFrom(m *agentv1.EvaluateRequest) (federate.Evaluation, error) {
	e := federate.Evaluation{
		Exprs: m.GetExprs(), Start: m.GetStart(), End: m.GetEnd(), Step: m.GetStep(),
		Lookback: time.Duration(m.GetLookback()) * time.Millisecond, MaxCells: int(min(m.GetMaxCells(), 1<<30)),
	}
	switch {
	case len(e.Exprs) > maxExprs:
		return e, fmt.Errorf("%d expressions at once, at most %d", len(e.Exprs), maxExprs)
	case e.End < e.Start || e.Step < 0:
		return e, fmt.Errorf("the times from %d to %d by %d are none", e.Start, e.End, e.Step)
	case e.Step > 0 && (e.End-e.Start)/e.Step >= maxSteps:
		return e, fmt.Errorf("%d steps, at most %d: take a longer one", (e.End-e.Start)/e.Step+1, maxSteps)
	}
	return e, nil
}

// Select streams raw series.
func (s Server) Select(ctx context.Context, r *connect.Request[agentv1.SelectRequest], stream *connect.ServerStream[agentv1.SelectResponse]) error {
	matchers, err := matchersFrom(r.Msg.GetMatchers())
	if err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	set, err := s.Shard.Select(ctx, engine.Selection{Min: r.Msg.GetMin(), Max: r.Msg.GetMax(), Matchers: matchers, Limit: int(r.Msg.GetLimit()), Sorted: true})
	if err != nil {
		return toConnect(err)
	}
	defer set.Close()
	return toConnect(sendSeries(ctx, set, stream.Send))
}

func sendSeries(ctx context.Context, set engine.SeriesSet, send func(*agentv1.SelectResponse) error) error {
	message, size, pack := &agentv1.SelectResponse{}, 0, packer{}
	give := func(s *agentv1.RawSeries) error {
		message.Series = append(message.Series, s)
		if size += rawBytes(s); size < messageBytes {
			return nil
		}
		err := send(message)
		message, size = &agentv1.SelectResponse{}, 0
		return err
	}
	for set.Next() && ctx.Err() == nil {
		if err := pack.pack(set.At(), give); err != nil {
			return err
		}
	}
	if err := set.Err(); err != nil {
		return err
	}
	if len(message.Series) > 0 {
		return send(message)
	}
	return ctx.Err()
}

// ListLabels lists names or values.
func (s Server) ListLabels(ctx context.Context, r *connect.Request[agentv1.ListLabelsRequest]) (*connect.Response[agentv1.ListLabelsResponse], error) {
	m := r.Msg
	matchers, err := matchersFrom(m.GetMatchers())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	var values []string
	if m.GetName() == "" {
		values, err = s.Shard.LabelNames(ctx, m.GetMin(), m.GetMax(), int(m.GetLimit()), matchers...)
	} else {
		values, err = s.Shard.LabelValues(ctx, m.GetName(), m.GetMin(), m.GetMax(), int(m.GetLimit()), matchers...)
	}
	if err != nil {
		return nil, toConnect(err)
	}
	return connect.NewResponse(&agentv1.ListLabelsResponse{Values: values}), nil
}

// ListExemplars lists exemplars.
func (s Server) ListExemplars(ctx context.Context, r *connect.Request[agentv1.ListExemplarsRequest]) (*connect.Response[agentv1.ListExemplarsResponse], error) {
	matchers, err := matchersFrom(r.Msg.GetMatchers())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	all, err := s.Shard.Exemplars(ctx, r.Msg.GetMin(), r.Msg.GetMax(), matchers...)
	if err != nil {
		return nil, toConnect(err)
	}
	out := &agentv1.ListExemplarsResponse{}
	for _, one := range all {
		series := &agentv1.ListExemplarsResponse_Series{Labels: labelsTo(one.Labels)}
		for _, e := range one.Exemplars {
			series.Exemplars = append(series.Exemplars, &agentv1.ListExemplarsResponse_Exemplar{Labels: labelsTo(e.Labels), Value: e.Value, Time: e.Ts, HasTime: e.HasTs})
		}
		out.Series = append(out.Series, series)
	}
	return connect.NewResponse(out), nil
}

// Summarize tells the labels where they have changed.
func (s Server) Summarize(ctx context.Context, r *connect.Request[agentv1.SummarizeRequest]) (*connect.Response[agentv1.SummarizeResponse], error) {
	if s.Summary == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("this shard has no summary"))
	}
	summary, err := s.Summary(ctx)
	if err != nil {
		return nil, toConnect(err)
	}
	out := &agentv1.SummarizeResponse{Version: summary.Version}
	if summary.Version != r.Msg.GetKnown() {
		for name, values := range summary.Labels {
			out.Labels = append(out.Labels, &agentv1.LabelSummary{Name: name, Values: values})
		}
	}
	return connect.NewResponse(out), nil
}
