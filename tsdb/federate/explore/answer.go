package explore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/novacron/novacron/tsdb/query"
)

// What people may group by. ByHost and ByJob are the values of those labels, ByValue is what people call ByPair.
const (
	ByHost  = "host"
	ByJob   = "job"
	ByValue = "value"
)

// Groupings are all that people may group by; ByPair is taken for ByValue, too.
func Groupings() []string { return []string{ByMetric, ByLabel, ByValue, ByHost, ByJob} }

// AskError tells which field of an Ask makes no sense: selector, by, since, top or drop. Callers name it as they call it.
type AskError struct {
	Field string
	// Why tells the value, and what it could be.
	Why error
}

func (e *AskError) Error() string { return e.Field + " " + e.Why.Error() }

// Unwrap gives what is wrong without the field.
func (e *AskError) Unwrap() error { return e.Why }

func wrong(field, format string, args ...any) error {
	return &AskError{field, fmt.Errorf(format, args...)}
}

const (
	// window is how long a series counts after its last sample.
	window = 2 * time.Hour
	// DefaultSince is with how long ago series are compared, longestSince the most.
	DefaultSince = 24 * time.Hour
	longestSince = 10 * 365 * 24 * time.Hour
	// DefaultTop is how many groups are told, MaxTop the most.
	DefaultTop = 10
	MaxTop     = 10_000
	// maxFindings is of how many metrics the label is looked for that made them grow.
	maxFindings = 3
	// maxTried is of how many labels of a metric, those that seem best, it is asked what is left without them.
	maxTried = 5
	// maxNamed bounds the hosts that a warning names.
	maxNamed = 10
)

// Ask is a question of people.
type Ask struct {
	// Selector is one of PromQL, empty for all series.
	Selector string
	// By is one of Groupings, or ByPair; empty is ByMetric.
	By string
	// Since is with how long ago to compare (DefaultSince), Top how many groups to tell (DefaultTop).
	Since time.Duration
	Top   int
	// Drop is the label to count the groups without.
	Drop string
	// Now is the end of what is counted.
	Now time.Time
}

// Answer tells where series come from.
type Answer struct {
	Total Row
	// Rows are the largest groups.
	Rows []Row
	// Groups is how many there are.
	Groups   int
	Findings []Finding
	Warnings []string
}

// Asker has a question answered by all shards. Its warnings tell what is missing.
type Asker func(ctx context.Context, q Question) (*Merger, []string, error)

// question checks an ask and makes it one for shards.
func (a Ask) question() (Question, error) {
	q := Question{Drop: a.Drop}
	switch {
	case a.Since < 0 || a.Since > longestSince:
		return q, wrong("since", "%s: give a length of time up to 10 years", a.Since)
	case a.Top < 0 || a.Top > MaxTop:
		return q, wrong("top", "%d: give 1 to %d", a.Top, MaxTop)
	case a.Drop == nameLabel:
		return q, wrong("drop", "__name__: the name of a metric cannot be dropped")
	case a.Drop != "" && (a.By == ByLabel || a.By == ByPair || a.By == ByValue):
		return q, wrong("drop", "is for groups by %s, %s or %s, and these are by %s; by %s tells of every label by itself", ByMetric, ByHost, ByJob, a.By, ByLabel)
	}
	switch a.By {
	case "", ByMetric:
		q.By = []string{ByMetric}
	case ByLabel:
		q.By = []string{ByLabel}
	case ByPair, ByValue:
		q.By = []string{ByPair}
	case ByHost, ByJob:
		q.By, q.Of = []string{ByValues}, a.By
	default:
		return q, wrong("by", "%.60q: group by %s", a.By, strings.Join(Groupings(), ", "))
	}
	if a.Selector != "" {
		matchers, err := parser.NewParser(query.ParserOptions()).ParseMetricSelector(a.Selector)
		if err != nil {
			return q, wrong("selector", "%.200q: %w", a.Selector, err)
		}
		q.Matchers = matchers
	}
	since := cmp.Or(a.Since, DefaultSince)
	long, now, before := min(window, since).Milliseconds(), a.Now.UnixMilli(), a.Now.Add(-since).UnixMilli()
	q.Now, q.Before = Span{now - long, now}, Span{before - long, before}
	if long == since.Milliseconds() {
		q.Before.Max = q.Now.Min - 1 // no sample counts for both
	}
	return q, nil
}

// Check tells why a question makes no sense.
func (a Ask) Check() error {
	_, err := a.question()
	return err
}

// Explore answers a question of people.
func Explore(ctx context.Context, ask Asker, a Ask) (Answer, error) {
	q, err := a.question()
	if err != nil {
		return Answer{}, err
	}
	m, warnings, err := ask(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	rows, cut := m.Rows(q.By[0])
	answer := Answer{Total: m.Total(), Groups: len(rows), Warnings: warnings}
	if cut > 0 {
		answer.Warnings = append(answer.Warnings, "there are more groups than can be counted, the small ones are missing: name a metric in the selector")
	}
	if len(m.Young) > 0 {
		answer.Warnings = append(answer.Warnings, young(m.Young, cmp.Or(a.Since, DefaultSince)))
	}
	top := cmp.Or(a.Top, DefaultTop)
	answer.Rows = rows[:min(top, len(rows))]
	since := cmp.Or(a.Since, DefaultSince)
	if metric := onlyMetric(q.Matchers); q.By[0] == ByLabel && metric != "" {
		answer.Findings, err = find(ctx, ask, q, metric, answer.Total, rows)
	} else if q.By[0] == ByMetric && a.Drop == "" {
		answer.Findings, err = findings(ctx, ask, q, rows)
	}
	for i := range answer.Findings {
		answer.Findings[i].Since = since
	}
	return answer, err
}

// young says which shards have nothing to compare with.
func young(names []string, since time.Duration) string {
	slices.Sort(names)
	text := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if text != "" { // a folder has no name
		text = " on " + text
	}
	return fmt.Sprintf("no samples as old as %s%s: all series there count as new", short(since), text)
}

// onlyMetric is the metric that matchers name; empty where there may be several.
func onlyMetric(matchers []*labels.Matcher) string {
	for _, m := range matchers {
		if m.Name == nameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// findings look at the metrics that grew most or, where none did, at the largest.
func findings(ctx context.Context, ask Asker, q Question, rows []Row) (all []Finding, err error) {
	grown := slices.Clone(rows)
	slices.SortStableFunc(grown, func(a, b Row) int { return cmp.Compare(b.Growth(), a.Growth()) })
	if len(grown) > 0 && grown[0].Growth() <= 0 {
		grown = rows
	}
	for _, row := range grown[:min(len(grown), maxFindings)] {
		if row.Name == "" || grown[0].Growth() > 0 && row.Growth() <= 0 {
			continue
		}
		m, _, err := ask(ctx, q.of(row.Name, ByLabel, "")) // what is missing has been told
		if err != nil {
			return nil, err
		}
		labels, _ := m.Rows(ByLabel)
		some, err := find(ctx, ask, q, row.Name, m.Total(), labels)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// of is the question about one metric.
func (q Question) of(metric, by, drop string) Question {
	q.By, q.Drop = []string{by}, drop
	q.Matchers = append(slices.Clone(q.Matchers), labels.MustNewMatcher(labels.MatchEqual, nameLabel, metric))
	return q
}

// find looks for the label of a metric to tell of; there is one, or none. For labels that some series lack the hosts are asked
// what is really left, for as many as may be tried.
func find(ctx context.Context, ask Asker, q Question, metric string, total Row, byLabel []Row) ([]Finding, error) {
	all, tried := candidates(metric, total, byLabel), 0
	for i := range all {
		c := &all[i]
		if !c.partial || tried == maxTried {
			continue
		}
		tried++
		m, _, err := ask(ctx, q.of(metric, ByMetric, c.Label))
		if err != nil {
			return nil, err
		}
		if rows, _ := m.Rows(ByMetric); len(rows) == 1 {
			c.leaves(rows[0])
		}
	}
	rank(all)
	if f, found := best(all); found {
		return []Finding{f}, nil
	}
	return nil, nil
}
