package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

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

// ErrHistogramWindows is that native histograms were met where a column other than last was asked for: they have no
// other, and the same question has to be asked of the raw samples.
var ErrHistogramWindows = errors.New("windows of native histograms have only the column last: ask for that, or for raw samples")

// floatSet holds that there are no histograms in its series.
type floatSet struct{ storage.SeriesSet }

func (s floatSet) At() storage.Series { return floatSeries{s.SeriesSet.At()} }

type floatSeries struct{ storage.Series }

func (s floatSeries) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	it, ours := old.(*floatIterator)
	if !ours {
		it = &floatIterator{}
	}
	*it = floatIterator{Iterator: s.Series.Iterator(it.Iterator)}
	return it
}

type floatIterator struct {
	chunkenc.Iterator
	err error
}

func (it *floatIterator) Next() chunkenc.ValueType { return it.check(it.Iterator.Next()) }

func (it *floatIterator) Seek(t int64) chunkenc.ValueType { return it.check(it.Iterator.Seek(t)) }

func (it *floatIterator) check(kind chunkenc.ValueType) chunkenc.ValueType {
	if kind == chunkenc.ValHistogram || kind == chunkenc.ValFloatHistogram {
		it.err = ErrHistogramWindows
	}
	if it.err != nil {
		return chunkenc.ValNone
	}
	return kind
}

func (it *floatIterator) Err() error {
	if it.err != nil {
		return it.err
	}
	return it.Iterator.Err()
}
