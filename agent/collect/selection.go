package collect

import (
	"fmt"
	"regexp"
	"time"

	"github.com/novacron/novacron/tsdb"
)

// Selection is a query as a collector honours it.
type Selection struct {
	names    map[string]bool
	filters  []labelFilter
	from, to time.Time
	limit    int
}

type labelFilter struct {
	label string
	keeps func(value string) bool
}

// Select compiles a query. A collector does not aggregate: that is the shard's.
func Select(query tsdb.MetricsQuery) (Selection, error) {
	if query.Aggregation != "" || len(query.GroupBy) > 0 {
		return Selection{}, fmt.Errorf("collecting with aggregation %q and %d labels to group by: a source is read as it is; ask the shard for aggregates", query.Aggregation, len(query.GroupBy))
	}
	s := Selection{names: map[string]bool{}, from: query.TimeRange.Start, to: query.TimeRange.End, limit: query.Limit}
	for _, name := range query.MetricNames {
		s.names[name] = true
	}
	for _, f := range query.Filters {
		keeps, err := comparison(f)
		if err != nil {
			return Selection{}, err
		}
		s.filters = append(s.filters, labelFilter{f.Label, keeps})
	}
	return s, nil
}

func comparison(f tsdb.MetricFilter) (func(string) bool, error) {
	switch f.Operator {
	case tsdb.FilterEqual:
		return func(v string) bool { return v == f.Value }, nil
	case tsdb.FilterNotEqual:
		return func(v string) bool { return v != f.Value }, nil
	case tsdb.FilterMatches, tsdb.FilterNotMatches:
		pattern, err := regexp.Compile("^(?s:" + f.Value + ")$")
		if err != nil {
			return nil, fmt.Errorf("filter of label %s: %w", f.Label, err)
		}
		wanted := f.Operator == tsdb.FilterMatches
		return func(v string) bool { return pattern.MatchString(v) == wanted }, nil
	}
	return nil, fmt.Errorf("filter of label %s: operator %q; use =, !=, =~ or !~", f.Label, f.Operator)
}

// Wants tells whether a metric is asked for: what is not need not be read.
func (s Selection) Wants(name string) bool { return len(s.names) == 0 || s.names[name] }

// Keep leaves what was asked for.
func (s Selection) Keep(metrics []Metric) []Metric {
	kept := metrics[:0]
	for _, m := range metrics {
		if s.limit > 0 && len(kept) == s.limit {
			break
		}
		if s.keeps(m) {
			kept = append(kept, m)
		}
	}
	return kept
}

func (s Selection) keeps(m Metric) bool {
	if !s.Wants(m.Name) || !s.from.IsZero() && m.Timestamp.Before(s.from) || !s.to.IsZero() && m.Timestamp.After(s.to) {
		return false
	}
	for _, f := range s.filters {
		value := m.Labels[f.label]
		if f.label == "source" && value == "" {
			value = m.Source
		}
		if !f.keeps(value) {
			return false
		}
	}
	return true
}
