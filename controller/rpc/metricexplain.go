package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
)

// explain says how a question would be answered, and what that does not take into account.
func (s *metricService) explain(ctx context.Context, r *novacronv1.QueryMetricsRequest) (*novacronv1.QueryExplanation, []string, error) {
	times, err := s.timesOf(r)
	if err != nil {
		return nil, nil, err
	}
	e, err := s.Metrics.Explain(ctx, r.GetQuery(), times)
	if err != nil {
		return nil, nil, err
	}
	return explanationTo(e), e.Warnings, nil
}

func explanationTo(e federate.Explanation) *novacronv1.QueryExplanation {
	out := &novacronv1.QueryExplanation{
		Expression: e.Expr, Controller: e.Controller, Steps: uint32(e.Steps), RawSelectors: e.Raw,
		AskedHosts: e.Asked, PrunedHosts: e.Pruned, Relays: uint32(e.Relays), Cache: cacheUseTo(e.Cache), Evaluator: e.Evaluator,
	}
	for _, part := range e.Parts {
		p := &novacronv1.QueryPart{Expressions: part.Exprs, Merge: part.Merge.String(), Tiers: map[string]uint32{}}
		for tier, hosts := range part.Tiers {
			p.Tiers[tier] = uint32(hosts)
		}
		out.Parts = append(out.Parts, p)
	}
	for _, s := range e.Series {
		out.Series = append(out.Series, &novacronv1.SelectorEstimate{Selector: s.Selector, Least: s.Least, Likely: s.Likely})
	}
	return out
}

func cacheUseTo(c federate.CacheUse) *novacronv1.QueryCacheUse {
	return &novacronv1.QueryCacheUse{Steps: uint32(c.Steps), KnownSteps: uint32(c.Known), UnusedReason: c.Not}
}

func analysisTo(a federate.Analysis) *novacronv1.QueryAnalysis {
	out := &novacronv1.QueryAnalysis{
		Elapsed: durationpb.New(a.Elapsed), Controller: durationpb.New(a.Controller), PeakSamples: a.Peak, Series: int64(a.Series),
		Cache: cacheUseTo(a.Cache), RawReason: a.Again,
	}
	for _, h := range a.Hosts {
		out.Hosts = append(out.Hosts, &novacronv1.QueriedHost{
			Name: h.Name, Elapsed: durationpb.New(h.Elapsed), Samples: h.Samples, Series: h.Series, Bytes: h.Bytes,
			Calls: uint32(h.Calls), Retries: uint32(h.Retries), Hedges: uint32(h.Hedges), Error: h.Error,
		})
	}
	return out
}
