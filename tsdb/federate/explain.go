package federate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// Explanation is how a query is computed.
type Explanation struct {
	// Expr is the expression in its normal form, Controller what the controller computes of the parts.
	Expr, Controller string
	// Steps is how often it is evaluated.
	Steps int
	Parts []ExplainedPart
	// Raw are the selectors whose series the controller reads from the hosts.
	Raw []string
	// Asked and Pruned are names of hosts: those that may have series for it, and those that have none.
	Asked, Pruned []string
	// Relays is how many of them are asked about the others; 0 where each is asked itself, as for an Analysis.
	Relays int
	// Series are estimates for the selectors, each once for the times that it reads.
	Series []SelectorEstimate
	Cache  CacheUse
	// Evaluator is what computes on the controller: «fast», or «PromQL» with the reason.
	Evaluator string
	// Warnings tell what the estimates lack.
	Warnings []string
}

// ExplainedPart is what the hosts compute.
type ExplainedPart struct {
	Exprs []string
	Merge Merge
	// Tiers counts hosts by what they read, as «raw» or «5m:max»; «unknown» are those that do not tell.
	Tiers map[string]int
}

// SelectorEstimate is about how many series a selector has between the times that it reads.
type SelectorEstimate struct {
	// Selector is as it is written, followed by the times where the query reads it at others, too.
	Selector string
	engine.Estimate
}

func (m Merge) String() string {
	return [...]string{Union: "union", Sum: "sum", Min: "min", Max: "max", Group: "group", Average: "average", Quantile: "quantile"}[m]
}

// Explain says how an expression is computed at some times. Without a step it is evaluated once, at the start. Nothing
// is read but indexes.
func (q Questions) Explain(ctx context.Context, expr string, r query.Range) (Explanation, error) {
	if r.Step == 0 {
		r.End = r.Start
	} else if err := r.Check(); err != nil {
		return Explanation{}, err
	}
	times := q.Engine.times(nil, r.Start, r.End, r.Step)
	p, err := plan(expr, times)
	if err != nil {
		return Explanation{}, err
	}
	out := Explanation{Expr: p.expr, Controller: p.rest, Steps: times.Steps()}
	members := q.Fleet.directory.Members()
	var known map[string]Known
	if knower, knows := q.Fleet.directory.(Knower); knows {
		known = knower.Known(ctx, members)
	}
	out.Cache = q.Engine.peek(ctx, q.Fleet, p)
	asked, isAsked := q.Fleet.members(p.selectors()...), map[string]bool{}
	for _, m := range asked {
		isAsked[m.Name] = true
	}
	for _, m := range members {
		if isAsked[m.Name] {
			out.Asked = append(out.Asked, m.Name)
		} else {
			out.Pruned = append(out.Pruned, m.Name)
		}
	}
	if len(p.parts) > 0 {
		out.Relays = q.Fleet.relays(asked)
	}
	for _, part := range p.parts {
		out.Parts = append(out.Parts, ExplainedPart{part.Exprs, part.Merge, tiersOf(part, times, asked, known)})
	}
	for _, matchers := range p.raw {
		out.Raw = append(out.Raw, textOf(matchers))
	}
	if out.Evaluator, err = q.Engine.evaluator(ctx, q.Fleet, p, r); err != nil {
		return Explanation{}, err
	}
	var silent *MissingError
	if out.Series, silent, err = q.Fleet.estimates(ctx, p); silent != nil {
		out.Warnings = append(out.Warnings, "there are more series than estimated: "+silent.Error())
	}
	return out, err
}

// evaluator tells what the controller would evaluate a plan with.
func (e *Engine) evaluator(ctx context.Context, fleet *Fleet, p *planned, r query.Range) (string, error) {
	var prepared promql.Query
	var err error
	if p.times.Step == 0 {
		prepared, err = e.inner.NewInstantQuery(ctx, fleet, nil, p.rest, r.Start)
	} else {
		prepared, err = e.inner.NewRangeQuery(ctx, fleet, nil, p.rest, r.Start, r.End, r.Step)
	}
	if err != nil {
		return "", err
	}
	defer prepared.Close()
	path, known := query.PathOf(prepared)
	switch {
	case known && path.Fast:
		return "fast", nil
	case path.Why != "":
		return "PromQL: " + path.Why, nil
	}
	return "PromQL", nil
}

// peek tells what the cache has for a plan.
func (e *Engine) peek(ctx context.Context, fleet *Fleet, p *planned) CacheUse {
	use := CacheUse{Steps: p.times.Steps()}
	if e.cache == nil {
		use.Not = noCache
		return use
	}
	if p.times.Step == 0 {
		use.Not = oneTime
		return use
	}
	q := e.cachedQuery(nil, fleet, p, nil)
	if _, use.Not = q.settled(); use.Not != "" {
		return use
	}
	state, not := q.state(ctx)
	if use.Not = not; not == "" {
		use.Known = e.cache.Peek(q.key, state, q.start, q.end)
	}
	return use
}

// tiersOf is what hosts read for a part, by how far back their tiers go.
func tiersOf(part Part, times Evaluation, members []Member, known map[string]Known) map[string]int {
	tiers, texts := map[string]int{}, map[[3]int64]string{}
	for _, m := range members {
		of := known[m.Name].Revision
		if of.Epoch == 0 {
			tiers["unknown"]++
			continue
		}
		if texts[of.Since] == "" {
			texts[of.Since] = tierOf(part.Exprs[0], times, of.Since)
		}
		tiers[texts[of.Since]]++
	}
	return tiers
}

func tierOf(expr string, times Evaluation, since [3]int64) string {
	text, _, err := query.Rewrite(expr, query.Plan{
		Start: times.Start, End: max(times.Start, times.End), Step: times.Step, Lookback: times.Lookback.Milliseconds(), Tiers: query.Tiers{Since: since},
	})
	if err != nil {
		return "unknown"
	}
	tree, err := parser.NewParser(query.ParserOptions()).ParseExpr(text)
	if err != nil {
		return "unknown"
	}
	var all []string
	for _, matchers := range parser.ExtractSelectors(tree) {
		at := slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == query.TierLabel })
		tier := engine.TierRaw.String()
		if at >= 0 {
			tier = matchers[at].Value
		}
		all = append(all, tier)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// Analysis is what a query took.
type Analysis struct {
	// Elapsed is the whole time; Controller is that of it in which no host had still to answer.
	Elapsed, Controller time.Duration
	// Peak is how many samples the controller held at one time, Series how many the answer has.
	Peak   int64
	Series int
	Hosts  []HostTrace
	Cache  CacheUse
	// Again says why raw series were read after the hosts had computed; empty where they were not.
	Again string
}

// Analyze tells what it takes to ask.
func Analyze(ctx context.Context, ask func(context.Context) (query.Answer, error)) (query.Answer, Analysis, error) {
	trace := &Trace{}
	began := time.Now()
	answer, err := ask(WithTrace(ctx, trace))
	took := time.Since(began)
	return answer, Analysis{
		Elapsed: took, Controller: max(0, took-trace.Waited()), Peak: answer.Stats.Peak, Series: len(answer.Rows()),
		Hosts: trace.Hosts(), Cache: trace.Cache(), Again: trace.Again(),
	}, err
}
