package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query/fast"
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

func choiceError(format string, args ...any) error {
	return &ChoiceError{fmt.Sprintf(format, args...)}
}

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
		return Choice{}, choiceError("%s=%q: write raw, or a tier (5m, 1h), a colon and a column (last, count, sum, min, max, counter)", TierLabel, text)
	}
	return c, nil
}

// ChoiceError is a matcher for TierLabel that chooses no tier.
type ChoiceError struct{ why string }

func (e *ChoiceError) Error() string { return e.why }

// TakeChoice tells the choice from the other matchers, which are those that the series have to match. Its errors are
// *ChoiceError.
func TakeChoice(matchers []*labels.Matcher) (Choice, []*labels.Matcher, error) {
	at := slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == TierLabel })
	if at < 0 {
		return Choice{}, matchers, nil
	}
	if matchers[at].Type != labels.MatchEqual {
		return Choice{}, nil, choiceError("the matcher %s: %s takes only =", matchers[at], TierLabel)
	}
	c, err := parseChoice(matchers[at].Value)
	rest := slices.Concat(matchers[:at], matchers[at+1:])
	if err == nil && slices.ContainsFunc(rest, func(m *labels.Matcher) bool { return m.Name == TierLabel }) {
		err = choiceError("%s is there twice in one selector: choose one tier", TierLabel)
	}
	return c, rest, err
}

// ErrHistogramWindows is that native histograms were met where a column other than last was asked for: they have no
// other, and the same question has to be asked of the raw samples.
var ErrHistogramWindows = errors.New("windows of native histograms have only the column last: ask for that, or for raw samples")

// floatSet holds that there are no histograms in its series.
type floatSet struct{ engine.SeriesSet }

func (s floatSet) At() engine.Series { return floatSeries{s.SeriesSet.At()} }

type floatSeries struct{ engine.Series }

func (s floatSeries) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	var again chunkenc.Iterator
	it, ours := old.(*floatIterator)
	arrays, are := old.(*floatArrays)
	switch {
	case ours:
		again = it.Iterator
	case are:
		again = arrays.Iterator
	}
	again = s.Series.Iterator(again)
	if _, has := again.(fast.Arrays); has {
		if !are {
			arrays = &floatArrays{}
		}
		arrays.floatIterator = floatIterator{Iterator: again}
		return arrays
	}
	if !ours {
		it = &floatIterator{}
	}
	*it = floatIterator{Iterator: again}
	return it
}

// floatArrays is a floatIterator over one that has its samples in arrays.
type floatArrays struct{ floatIterator }

// Floats implements fast.Arrays.
func (it *floatArrays) Floats(from int64) (times []int64, values []float64, starts []int64, kind chunkenc.ValueType) {
	times, values, starts, kind = it.Iterator.(fast.Arrays).Floats(from)
	return times, values, starts, it.check(kind)
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
