package wire

import (
	"context"
	"fmt"
	"math"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// Server answers for a shard.
type Server struct {
	Shard federate.Shard
	// Summary tells the labels of the shard; nil tells nothing, so that the shard is always asked.
	Summary func(context.Context) (federate.Summary, error)
	// Survey tells what the shard has; nil tells nothing.
	Survey federate.Surveyor
	// Relaying asks other shards for controllers, and answers them by way of others; nil does neither.
	Relaying *Relay
}

var _ agentv1connect.ShardServiceHandler = Server{}

// Bounds of one evaluation. Steps are in ms.
const (
	maxExprs = 256
	maxStep  = math.MaxInt64 / int64(time.Millisecond) // what a time.Duration holds
)

// Evaluate computes, and streams the rows.
func (s Server) Evaluate(ctx context.Context, r *connect.Request[agentv1.EvaluateRequest], stream *connect.ServerStream[agentv1.EvaluateResponse]) error {
	return s.evaluate(ctx, r.Msg, stream.Send)
}

func (s Server) evaluate(ctx context.Context, m *agentv1.EvaluateRequest, send func(*agentv1.EvaluateResponse) error) error {
	e, err := evaluationFrom(m)
	if err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	p, err := s.Shard.Evaluate(ctx, e)
	if err != nil {
		return toConnect(ctx, err)
	}
	return sendRows(p, m.GetPlain(), send)
}

func evaluationFrom(m *agentv1.EvaluateRequest) (federate.Evaluation, error) {
	e := federate.Evaluation{
		Exprs: m.GetExprs(), Start: m.GetStart(), End: m.GetEnd(), Step: m.GetStep(),
		Lookback: time.Duration(m.GetLookback()) * time.Millisecond, MaxCells: int(min(m.GetMaxCells(), 1<<30)),
	}
	span := uint64(e.End) - uint64(e.Start) // of any two times
	switch {
	case len(e.Exprs) > maxExprs:
		return e, fmt.Errorf("%d expressions at once, at most %d", len(e.Exprs), maxExprs)
	case e.End < e.Start || e.Step < 0 || span > math.MaxInt64 || e.Step > maxStep:
		return e, fmt.Errorf("the times from %d to %d by %d are none", e.Start, e.End, e.Step)
	case e.Step > 0 && span/uint64(e.Step) >= query.MaxSteps:
		return e, fmt.Errorf("%d steps, at most %d: take a longer one", span/uint64(e.Step)+1, query.MaxSteps)
	}
	e.Sample = int(min(m.GetSample(), 1<<30))
	var err error
	e.Ranks, err = ranksFrom(m.GetRanks(), len(e.Exprs), e.Steps())
	return e, err
}

// Select streams raw series.
func (s Server) Select(ctx context.Context, r *connect.Request[agentv1.SelectRequest], stream *connect.ServerStream[agentv1.SelectResponse]) error {
	matchers, err := matchersFrom(r.Msg.GetMatchers())
	if err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	set, err := s.Shard.Select(ctx, engine.Selection{Min: r.Msg.GetMin(), Max: r.Msg.GetMax(), Matchers: matchers, Limit: int(r.Msg.GetLimit()), Sorted: true})
	if err != nil {
		return toConnect(ctx, err)
	}
	defer set.Close()
	return toConnect(ctx, sendSeries(ctx, set, stream.Send))
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
	if err := ctx.Err(); err != nil {
		return err // what is cut is no answer
	}
	if err := set.Err(); err != nil {
		return err
	}
	if len(message.Series) > 0 {
		return send(message)
	}
	return nil
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
		return nil, toConnect(ctx, err)
	}
	out := &agentv1.ListLabelsResponse{Values: values}
	if err := fits(out, fmt.Sprintf("a list of %d names or values of labels", len(values)), "give a limit, or name more labels in the selector"); err != nil {
		return nil, toConnect(ctx, err)
	}
	return connect.NewResponse(out), nil
}

// fits refuses an answer that is too large for a message: the caller could not read it, and would take the host for one
// that does not answer.
func fits(answer proto.Message, what, way string) error {
	if n := proto.Size(answer); n > messageMax {
		return &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d for %s of one host", n, what), Max: fmt.Sprint(messageMax), Way: way}
	}
	return nil
}

// ListExemplars lists exemplars.
func (s Server) ListExemplars(ctx context.Context, r *connect.Request[agentv1.ListExemplarsRequest]) (*connect.Response[agentv1.ListExemplarsResponse], error) {
	matchers, err := matchersFrom(r.Msg.GetMatchers())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	all, err := s.Shard.Exemplars(ctx, r.Msg.GetMin(), r.Msg.GetMax(), matchers...)
	if err != nil {
		return nil, toConnect(ctx, err)
	}
	out := &agentv1.ListExemplarsResponse{}
	for _, one := range all {
		series := &agentv1.ListExemplarsResponse_Series{Labels: labelsTo(one.Labels)}
		for _, e := range one.Exemplars {
			series.Exemplars = append(series.Exemplars, &agentv1.ListExemplarsResponse_Exemplar{Labels: labelsTo(e.Labels), Value: e.Value, Time: e.Ts, HasTime: e.HasTs})
		}
		out.Series = append(out.Series, series)
	}
	if err := fits(out, fmt.Sprintf("the exemplars of %d series", len(all)), "name more labels in the selector, or ask for less time"); err != nil {
		return nil, toConnect(ctx, err)
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
		return nil, toConnect(ctx, err)
	}
	out := &agentv1.SummarizeResponse{Version: summary.Version, Revision: revisionTo(summary.Known.Revision), Series: uint64(summary.Known.Series)}
	if s.Relaying != nil {
		out.SealNumber = s.Relaying.keys.number()
		out.SealKey = s.Relaying.keys.key(out.GetSealNumber())
	}
	if summary.Version != r.Msg.GetKnown() {
		for name, values := range summary.Labels {
			out.Labels = append(out.Labels, &agentv1.LabelSummary{Name: name, Values: values})
		}
	}
	return connect.NewResponse(out), nil
}
