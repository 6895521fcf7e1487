package wire

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// DefaultMaxBytes bounds the raw series of one shard for one selector.
const DefaultMaxBytes = 64 << 20

// Client is the shard of another host.
type Client struct {
	RPC agentv1connect.ShardServiceClient
	// MaxBytes bounds what one answer of raw series may hold; 0 is DefaultMaxBytes.
	MaxBytes int64
}

var _ federate.Shard = Client{}

// Evaluate has the shard compute.
func (c Client) Evaluate(ctx context.Context, e federate.Evaluation) (federate.Partial, error) {
	stream, err := c.RPC.Evaluate(ctx, connect.NewRequest(&agentv1.EvaluateRequest{
		Exprs: e.Exprs, Start: e.Start, End: e.End, Step: e.Step, Lookback: e.Lookback.Milliseconds(), MaxCells: uint64(max(e.MaxCells, 0)),
	}))
	if err != nil {
		return federate.Partial{}, fromConnect(err)
	}
	defer stream.Close()
	answer := newCollector(e)
	for stream.Receive() {
		if err := answer.add(stream.Msg()); err != nil {
			return federate.Partial{}, err
		}
	}
	if err := stream.Err(); err != nil {
		return federate.Partial{}, fromConnect(err)
	}
	return answer.finish()
}

// Select reads raw series, all of them, before it returns.
func (c Client) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	stream, err := c.RPC.Select(ctx, connect.NewRequest(&agentv1.SelectRequest{Min: sel.Min, Max: sel.Max, Matchers: matchersTo(sel.Matchers), Limit: uint32(sel.Limit)}))
	if err != nil {
		return nil, fromConnect(err)
	}
	defer stream.Close()
	most := c.MaxBytes
	if most <= 0 {
		most = DefaultMaxBytes
	}
	got, builder := &received{}, labels.NewScratchBuilder(8)
	for stream.Receive() {
		if err := got.add(&builder, stream.Msg()); err != nil {
			return nil, err
		}
		if got.bytes > most {
			return nil, &federate.RefusedError{Err: &query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d for raw series of one host", got.bytes), Max: fmt.Sprint(most),
				Way: "aggregate, name more labels in the selectors, or ask for less time"}}
		}
	}
	if err := stream.Err(); err != nil {
		return nil, fromConnect(err)
	}
	return got, nil
}

// LabelNames asks the shard.
func (c Client) LabelNames(ctx context.Context, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return c.list(ctx, &agentv1.ListLabelsRequest{Min: minT, Max: maxT, Limit: uint32(limit), Matchers: matchersTo(matchers)})
}

// LabelValues asks the shard.
func (c Client) LabelValues(ctx context.Context, name string, minT, maxT int64, limit int, matchers ...*labels.Matcher) ([]string, error) {
	return c.list(ctx, &agentv1.ListLabelsRequest{Name: name, Min: minT, Max: maxT, Limit: uint32(limit), Matchers: matchersTo(matchers)})
}

func (c Client) list(ctx context.Context, m *agentv1.ListLabelsRequest) ([]string, error) {
	answer, err := c.RPC.ListLabels(ctx, connect.NewRequest(m))
	if err != nil {
		return nil, fromConnect(err)
	}
	return answer.Msg.GetValues(), nil
}

// Exemplars asks the shard.
func (c Client) Exemplars(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	answer, err := c.RPC.ListExemplars(ctx, connect.NewRequest(&agentv1.ListExemplarsRequest{Min: minT, Max: maxT, Matchers: matchersTo(matchers)}))
	if err != nil {
		return nil, fromConnect(err)
	}
	builder := labels.NewScratchBuilder(8)
	var all []engine.SeriesExemplars
	for _, s := range answer.Msg.GetSeries() {
		one := engine.SeriesExemplars{}
		if one.Labels, err = labelsFrom(&builder, s.GetLabels()); err != nil {
			return nil, err
		}
		for _, e := range s.GetExemplars() {
			lset, err := labelsFrom(&builder, e.GetLabels())
			if err != nil {
				return nil, err
			}
			one.Exemplars = append(one.Exemplars, exemplar.Exemplar{Labels: lset, Value: e.GetValue(), Ts: e.GetTime(), HasTs: e.GetHasTime()})
		}
		all = append(all, one)
	}
	return all, nil
}

// Summarize asks for the labels of the shard; a summary without labels says that the known one still holds.
func (c Client) Summarize(ctx context.Context, known uint64) (federate.Summary, error) {
	answer, err := c.RPC.Summarize(ctx, connect.NewRequest(&agentv1.SummarizeRequest{Known: known}))
	if err != nil {
		return federate.Summary{}, fromConnect(err)
	}
	s := federate.Summary{Version: answer.Msg.GetVersion()}
	for _, l := range answer.Msg.GetLabels() {
		if s.Labels == nil {
			s.Labels = map[string][]uint64{}
		}
		s.Labels[l.GetName()] = l.GetValues()
	}
	return s, nil
}
