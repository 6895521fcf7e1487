// Package wire carries the questions of tsdb/federate to the shards of other hosts, and their answers back.
package wire

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/labels"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// messageBytes is about how much travels in one message of a stream.
const messageBytes = 256 << 10

func labelsTo(lset labels.Labels) []string {
	all := make([]string, 0, 2*lset.Len())
	lset.Range(func(l labels.Label) { all = append(all, l.Name, l.Value) })
	return all
}

// labelsFrom reads names and values in turns; the names are in order, as labelsTo wrote them.
func labelsFrom(builder *labels.ScratchBuilder, pairs []string) (labels.Labels, error) {
	if len(pairs)%2 != 0 {
		return labels.EmptyLabels(), errors.New("a series has a label without a value")
	}
	builder.Reset()
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 && pairs[i] <= pairs[i-2] {
			return labels.EmptyLabels(), fmt.Errorf("the labels of a series are not in order: %q after %q", pairs[i], pairs[i-2])
		}
		builder.Add(pairs[i], pairs[i+1])
	}
	return builder.Labels(), nil
}

// matchTypes are the kinds of matchers on their way.
var matchTypes = map[labels.MatchType]agentv1.LabelMatcher_Type{
	labels.MatchEqual: agentv1.LabelMatcher_TYPE_EQUAL, labels.MatchNotEqual: agentv1.LabelMatcher_TYPE_NOT_EQUAL,
	labels.MatchRegexp: agentv1.LabelMatcher_TYPE_REGEXP, labels.MatchNotRegexp: agentv1.LabelMatcher_TYPE_NOT_REGEXP,
}

func matchersTo(matchers []*labels.Matcher) []*agentv1.LabelMatcher {
	all := make([]*agentv1.LabelMatcher, len(matchers))
	for i, m := range matchers {
		all[i] = &agentv1.LabelMatcher{Type: matchTypes[m.Type], Name: m.Name, Value: m.Value}
	}
	return all
}

// maxMatchers bounds those of one selector.
const maxMatchers = 1000

func matchersFrom(all []*agentv1.LabelMatcher) ([]*labels.Matcher, error) {
	if len(all) > maxMatchers {
		return nil, fmt.Errorf("%d matchers in one selector, at most %d are taken", len(all), maxMatchers)
	}
	matchers := make([]*labels.Matcher, 0, len(all))
	for _, m := range all {
		one, err := matcherFrom(m)
		if err != nil {
			return nil, err
		}
		matchers = append(matchers, one)
	}
	return matchers, nil
}

func matcherFrom(m *agentv1.LabelMatcher) (*labels.Matcher, error) {
	for kind, on := range matchTypes {
		if on == m.GetType() {
			return labels.NewMatcher(kind, m.GetName(), m.GetValue())
		}
	}
	return nil, fmt.Errorf("matcher of label %q: kind %v is not known", m.GetName(), m.GetType())
}

// toConnect is an error on its way: a refusal keeps its limit. Where the caller's time is up, as for one that waited for
// its turn, whatever the error says of it is no answer to the question.
func toConnect(ctx context.Context, err error) error {
	var limit *query.LimitError
	var refused *federate.RefusedError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return connect.NewError(connect.CodeUnavailable, err)
	case errors.As(err, &limit):
		out := connect.NewError(connect.CodeResourceExhausted, err)
		if detail, bad := connect.NewErrorDetail(&agentv1.QueryLimit{Limit: limit.Limit, Reached: limit.Reached, Max: limit.Max, Way: limit.Way}); bad == nil {
			out.AddDetail(detail)
		}
		return out
	case errors.As(err, &refused), errors.Is(err, query.ErrHistogramWindows):
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return connect.NewError(connect.CodeUnavailable, err)
}

// fromConnect is an error that has arrived. What went wrong on this side, such as an answer that cannot be read, is no
// refusal of the shard.
func fromConnect(err error) error {
	var failed *connect.Error
	if !errors.As(err, &failed) || !connect.IsWireError(failed) {
		return err
	}
	for _, detail := range failed.Details() {
		value, bad := detail.Value()
		if limit, is := value.(*agentv1.QueryLimit); is && bad == nil {
			return &federate.RefusedError{Err: &query.LimitError{Limit: limit.GetLimit(), Reached: limit.GetReached(), Max: limit.GetMax(), Way: limit.GetWay()}}
		}
	}
	if failed.Code() == connect.CodeInvalidArgument {
		return &federate.RefusedError{Err: errors.New(failed.Message())}
	}
	return err
}
