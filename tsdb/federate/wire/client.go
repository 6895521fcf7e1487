package wire

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"

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
	// RPC makes the calls, but those of Evaluate, which HTTP makes to URL.
	RPC  agentv1connect.ShardServiceClient
	HTTP connect.HTTPClient
	URL  *url.URL
	// MaxBytes bounds what one answer of raw series may hold; 0 is DefaultMaxBytes.
	MaxBytes int64
}

var _ federate.Shard = Client{}

// NewClient calls the shard at the URL of a host's API. Answers are small or packed already: compressing them again costs
// more than it saves.
func NewClient(caller connect.HTTPClient, base string) (Client, error) {
	at, err := url.Parse(base)
	if err != nil {
		return Client{}, err
	}
	at.Path = strings.TrimSuffix(at.Path, "/") + agentv1connect.ShardServiceEvaluateProcedure
	return Client{
		RPC:  agentv1connect.NewShardServiceClient(caller, base, connect.WithReadMaxBytes(messageMax), connect.WithAcceptCompression("gzip", nil, nil)),
		HTTP: caller, URL: at,
	}, nil
}

// Evaluate has the shard compute.
func (c Client) Evaluate(ctx context.Context, e federate.Evaluation) (federate.Partial, error) {
	stream, err := open(ctx, c.HTTP, c.URL, evaluationTo(e))
	if err != nil {
		return federate.Partial{}, fromConnect(err)
	}
	defer stream.close()
	answer, hold := newCollector(e), func(bytes int64) error { return federate.Hold(ctx, bytes) }
	for {
		switch more, err := stream.next(nil); {
		case err != nil:
			return federate.Partial{}, fromConnect(err)
		case !more:
			return answer.finish()
		}
		if err := answer.receive(stream.message(), hold); err != nil {
			return federate.Partial{}, err
		}
	}
}

func evaluationTo(e federate.Evaluation) *agentv1.EvaluateRequest {
	return &agentv1.EvaluateRequest{
		Exprs: e.Exprs, Start: e.Start, End: e.End, Step: e.Step, Lookback: e.Lookback.Milliseconds(), MaxCells: uint64(max(e.MaxCells, 0)), Plain: true,
		Ranks: ranksTo(e.Ranks), Sample: uint32(max(e.Sample, 0)),
	}
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
		before := got.bytes
		if err := got.add(&builder, stream.Msg()); err != nil {
			return nil, err
		}
		if err := federate.Hold(ctx, got.bytes-before); err != nil {
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
	return answer.Msg.GetValues(), federate.Hold(ctx, int64(proto.Size(answer.Msg)))
}

// Exemplars asks the shard.
func (c Client) Exemplars(ctx context.Context, minT, maxT int64, matchers ...*labels.Matcher) ([]engine.SeriesExemplars, error) {
	answer, err := c.RPC.ListExemplars(ctx, connect.NewRequest(&agentv1.ListExemplarsRequest{Min: minT, Max: maxT, Matchers: matchersTo(matchers)}))
	if err != nil {
		return nil, fromConnect(err)
	}
	if err := federate.Hold(ctx, int64(proto.Size(answer.Msg))); err != nil {
		return nil, err
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
	s, _, err := c.summarize(ctx, known)
	return s, err
}

// summarize gives the key of the shard besides, where it has one.
func (c Client) summarize(ctx context.Context, known uint64) (s federate.Summary, key sealKey, err error) {
	answer, err := c.RPC.Summarize(ctx, connect.NewRequest(&agentv1.SummarizeRequest{Known: known}))
	if err != nil {
		return s, key, fromConnect(err)
	}
	s = federate.Summary{Version: answer.Msg.GetVersion(), Known: knownFrom(answer.Msg)}
	for _, l := range answer.Msg.GetLabels() {
		if s.Labels == nil {
			s.Labels = map[string][]uint64{}
		}
		s.Labels[l.GetName()] = l.GetValues()
	}
	return s, sealKeyFrom(answer.Msg), nil
}
