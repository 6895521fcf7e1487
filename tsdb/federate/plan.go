package federate

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/novacron/novacron/tsdb/federate/normal"
	"github.com/novacron/novacron/tsdb/query"
)

// planned is how an expression is going to be computed.
type planned struct {
	// expr is the expression in its normal form, rest what the controller computes of the parts.
	expr, rest string
	parts      []Part
	// raw are the selectors whose series the controller reads.
	raw   [][]*labels.Matcher
	reach normal.Reach
	// rows are the selectors whose series the parts give a row for each, rawReads those of raw.
	rows, rawReads []normal.Read
	times          Evaluation
	// tree is expr.
	tree parser.Expr
}

func plan(expr string, times Evaluation) (*planned, error) {
	rest, parts, err := Split(expr)
	if err != nil {
		return nil, err
	}
	parse := parser.NewParser(query.ParserOptions()).ParseExpr
	tree, err := parse(expr)
	if err != nil {
		return nil, err
	}
	normal.Tree(tree)
	tree = normal.Bare(tree)
	p := &planned{expr: tree.String(), rest: rest, parts: parts, reach: normal.Of(tree, times.Lookback), times: times, tree: tree}
	p.rows = rowsFrom(parts, times.Lookback)
	left, err := parse(rest)
	if err != nil {
		return p, nil //nolint:nilerr // Split has read it, too
	}
	p.raw = slices.DeleteFunc(parser.ExtractSelectors(left), ofPart)
	p.rawReads = slices.DeleteFunc(normal.Of(left, times.Lookback).Reads, func(r normal.Read) bool { return ofPart(r.Matchers) })
	return p, nil
}

// between is the same plan for some of its times.
func (p *planned) between(start, end int64) *planned {
	next := *p
	next.times.Start, next.times.End = start, end
	return &next
}

// ranged tells whether it can be evaluated for a range: PromQL says what is wrong with others.
func (p *planned) ranged() bool {
	kind := p.tree.Type()
	return kind == parser.ValueTypeVector || kind == parser.ValueTypeScalar
}

// statement is the expression with its times, for a range.
func (p *planned) statement(start, end time.Time, step time.Duration) parser.Statement {
	return &parser.EvalStmt{Expr: p.tree, Start: start, End: end, Interval: step, LookbackDelta: p.times.Lookback}
}

func ofPart(selector []*labels.Matcher) bool {
	return slices.ContainsFunc(selector, func(m *labels.Matcher) bool { return m.Name == PartLabel })
}

// selectors are all that are read, each once.
func (p *planned) selectors() [][]*labels.Matcher {
	var all [][]*labels.Matcher
	seen := map[string]bool{}
	for _, matchers := range p.reach.Selectors {
		if key := selectKey(nil, matchers); !seen[key] {
			seen[key] = true
			all = append(all, matchers)
		}
	}
	return all
}

// bounds are the times between which samples are read, in milliseconds.
func (p *planned) bounds() (minT, maxT int64) {
	minT, maxT = p.times.Start-p.reach.Back, p.times.End+p.reach.Ahead
	if p.reach.Fixed {
		minT, maxT = min(minT, p.reach.FixedFrom), max(maxT, p.reach.FixedUntil)
	}
	return minT, maxT
}

// rowsFrom are the selectors of the parts that give a row for each series that they read.
func rowsFrom(parts []Part, lookback time.Duration) (all []normal.Read) {
	for _, part := range parts {
		tree, err := parser.NewParser(query.ParserOptions()).ParseExpr(part.Exprs[0])
		if err != nil || part.Merge != Union || len(part.Selectors) != 1 {
			continue
		}
		if _, is := tree.(*parser.VectorSelector); is {
			all = append(all, normal.Of(tree, lookback).Reads...)
		}
	}
	return all
}
