//go:build promql_v316

package query

import "github.com/prometheus/prometheus/promql/parser"

// ParserOptions are the parts of PromQL that are on beyond its stable core. Since v0.316.0, expressions of durations and
// extended range selectors belong to the core. The tests against upstream's newest scripts are built with it.
func ParserOptions() parser.Options {
	return parser.Options{EnableExperimentalFunctions: true, EnableBinopFillModifiers: true, EnableUnquotedUTF8Names: true}
}
