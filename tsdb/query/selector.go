package query

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Selector chooses the series that all matchers match.
type Selector = []*labels.Matcher

// ParseSelector reads a selector of series, such as vm_cpu_seconds_total{vm_name=~"web.*"}.
func ParseSelector(text string) (Selector, error) {
	matchers, err := parser.NewParser(ParserOptions()).ParseMetricSelector(text)
	if err != nil {
		return nil, fmt.Errorf("selector %.200q: %w", text, err)
	}
	return matchers, nil
}
