// Package normal brings expressions of PromQL into one form, so that equal questions are seen to be equal, and says which
// samples an expression reads.
package normal

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Tree brings a tree into its form, in place: what has no order is sorted, and what is there twice is once. Its text is
// then the same for expressions that differ in no more than that, in blanks, and in how numbers are written.
func Tree(tree parser.Expr) {
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			n.LabelMatchers = Matchers(n.LabelMatchers)
		case *parser.AggregateExpr:
			n.Grouping = names(n.Grouping)
		case *parser.BinaryExpr:
			if m := n.VectorMatching; m != nil {
				m.MatchingLabels, m.Include = names(m.MatchingLabels), names(m.Include)
			}
		}
		return nil
	})
}

// Matchers sorts by label and leaves doubles out.
func Matchers(all []*labels.Matcher) []*labels.Matcher {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *labels.Matcher) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
	return slices.CompactFunc(sorted, func(a, b *labels.Matcher) bool {
		return a.Name == b.Name && a.Type == b.Type && a.Value == b.Value
	})
}

// names sorts a list of labels. One that is absent stays so: it is printed otherwise than one that is empty.
func names(all []string) []string {
	if all == nil {
		return nil
	}
	sorted := slices.Sorted(slices.Values(all))
	return slices.Compact(sorted)
}

// Bare is an expression without the brackets around it.
func Bare(e parser.Expr) parser.Expr {
	for {
		inner, is := e.(*parser.ParenExpr)
		if !is {
			return e
		}
		e = inner.Expr
	}
}
