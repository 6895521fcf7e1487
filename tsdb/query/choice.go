package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/engine"
)

// TierLabel is the label by which a selector asks for windows in place of raw samples, as in
// metric{__tier__="1h:sum"}. No series has it: the Queryable takes it out of the matchers.
const TierLabel = "__tier__"

// Choice is a tier and the column of its windows. The zero value means raw samples.
type Choice struct {
	Tier   engine.Tier
	Column engine.Column
}

// tiers and columns are by their names in a Choice's text.
var (
	tiers   = map[string]engine.Tier{"5m": engine.TierFiveMinutes, "1h": engine.TierHour}
	columns = map[string]engine.Column{
		"last": engine.ColumnLast, "count": engine.ColumnCount, "sum": engine.ColumnSum,
		"min": engine.ColumnMin, "max": engine.ColumnMax, "counter": engine.ColumnCounter,
	}
)

// String is the value of TierLabel for a choice, as «1h:sum»; «raw» for raw samples.
func (c Choice) String() string {
	if c.Tier == engine.TierRaw {
		return "raw"
	}
	for name, column := range columns {
		if column == c.Column {
			return c.Tier.String() + ":" + name
		}
	}
	return c.Tier.String() + ":?"
}

func parseChoice(text string) (Choice, error) {
	tier, column, _ := strings.Cut(text, ":")
	c := Choice{tiers[tier], columns[column]}
	if text != c.String() {
		return Choice{}, fmt.Errorf("%s=%q: write raw, or a tier (5m, 1h), a colon and a column (last, count, sum, min, max, counter)", TierLabel, text)
	}
	return c, nil
}

// takeChoice tells the choice from the other matchers.
func takeChoice(matchers []*labels.Matcher) (Choice, []*labels.Matcher, error) {
	at := slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == TierLabel })
	if at < 0 {
		return Choice{}, matchers, nil
	}
	if matchers[at].Type != labels.MatchEqual {
		return Choice{}, nil, fmt.Errorf("the matcher %s: %s takes only =", matchers[at], TierLabel)
	}
	c, err := parseChoice(matchers[at].Value)
	rest := slices.Concat(matchers[:at], matchers[at+1:])
	if err == nil && slices.ContainsFunc(rest, func(m *labels.Matcher) bool { return m.Name == TierLabel }) {
		err = fmt.Errorf("%s is there twice in one selector: choose one tier", TierLabel)
	}
	return c, rest, err
}
