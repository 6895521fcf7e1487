//go:build !promql_v316

package query

import "github.com/prometheus/prometheus/promql/parser"

// ParserOptions are the parts of PromQL that are on beyond its stable core.
func ParserOptions() parser.Options {
	return parser.Options{
		EnableExperimentalFunctions: true, ExperimentalDurationExpr: true,
		EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true,
	}
}
