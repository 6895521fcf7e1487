package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// source is what the evaluation of matchers needs of an index. The caller may change the bitmaps that it returns.
// Series may be made between two calls, each at once with all of its labels, but none may vanish.
type source interface {
	// every returns all series.
	every() (*roaring.Bitmap, error)
	// having returns the series with a label of this name.
	having(name string) (*roaring.Bitmap, error)
	// equal returns the series with one of these values for a label; none of them is empty.
	equal(ctx context.Context, name string, values []string) (*roaring.Bitmap, error)
	// union returns the series with a label of this name whose value begins with the prefix and fits.
	union(ctx context.Context, name, prefix string, fits func(value string) bool) (*roaring.Bitmap, error)
	// filter returns those of the series whose label of this name, empty where they have none, fits.
	filter(ctx context.Context, ids *roaring.Bitmap, name string, fits func(value string) bool) (*roaring.Bitmap, error)
	// count is the number of values of a label, and at most how many series have one of some values, or any for nil.
	count(name string, values []string) (all, series int, err error)
}

// evaluate returns the series that all matchers match, a missing label counting as an empty value. Without a matcher
// these are all series.
func evaluate(ctx context.Context, src source, matchers []*labels.Matcher) (*roaring.Bitmap, error) {
	steps, err := order(src, matchers)
	if err != nil {
		return nil, err
	}
	// The first set decides which series there are: what is made later is not in it, and all sets that come later
	// know what is in it. So a set that is taken away must not come first.
	var found *roaring.Bitmap
	if len(steps) == 0 || steps[0].without {
		if found, err = src.every(); err != nil {
			return nil, err
		}
	}
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if found, err = s.apply(ctx, src, found); err != nil {
			return nil, fmt.Errorf("matcher %s: %w", s.matcher, err)
		}
		if found.IsEmpty() {
			break
		}
	}
	return found, nil
}

// order turns matchers into steps: cheap before dear, sets that are kept before those that are taken away, small sets
// before large ones.
func order(src source, matchers []*labels.Matcher) ([]step, error) {
	steps := make([]step, len(matchers))
	for i, m := range matchers {
		s := plan(m)
		var values []string
		if s.kind == kindOne {
			values = s.values
		}
		var err error
		if s.total, s.size, err = src.count(m.Name, values); err != nil {
			return nil, fmt.Errorf("matcher %s: %w", m, err)
		}
		steps[i] = s
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.size, b.size))
	})
	return steps, nil
}

// step is a matcher turned into the set of those series that have its label with certain values. A matcher that does
// not match the empty value keeps the answer to that set. One that does takes away the set of the series that have a
// value which it does not match, and so leaves those without the label.
type step struct {
	matcher *labels.Matcher
	kind    kind
	without bool
	values  []string // of kindOne and kindOther
	prefix  string   // of kindFit
	fits    func(value string) bool
	// total is the number of values that the label has, size a bound of the set.
	total, size int
}

// kind says by which values a step's set is made.
type kind uint8

const (
	kindNone  kind = iota // by none
	kindOne               // by each of some values
	kindAny               // by any value
	kindOther             // by any but some values
	kindFit               // by those that fit
)

func (s step) rank() int {
	switch {
	case s.kind == kindNone && !s.without:
		return 0
	case s.kind == kindFit && s.without:
		return 4
	case s.kind == kindFit:
		return 3
	case s.without:
		return 2
	}
	return 1
}

// plan is the step of a matcher.
func plan(m *labels.Matcher) step {
	s := step{matcher: m, without: m.Matches("")}
	negative := m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp
	// The set is made by the values that the pattern matches where the pattern does not match the empty value, and by
	// those that it does not match where it does.
	inverse := s.without != negative
	values, told := listed(m)
	switch {
	case told && inverse:
		s.kind, s.values = kindOther, values
	case told:
		s.kind, s.values = kindOne, values
	case m.Value == ".*":
		s.kind = kindNone
	case m.Value == ".+":
		s.kind = kindAny
	case inverse:
		s.kind, s.fits = kindFit, func(value string) bool { return m.Matches(value) == negative }
	default:
		s.kind, s.prefix, s.fits = kindFit, m.Prefix(), func(value string) bool { return m.Matches(value) != negative }
	}
	return s.simplified()
}

// listed are the values but the empty one that the pattern of a matcher matches, where they can be told.
func listed(m *labels.Matcher) (values []string, told bool) {
	switch m.Type {
	case labels.MatchEqual, labels.MatchNotEqual:
		values = []string{m.Value}
	case labels.MatchRegexp, labels.MatchNotRegexp:
		if m.Value == "" {
			return nil, true
		}
		values = slices.Clone(m.SetMatches())
	}
	told = len(values) > 0
	return slices.DeleteFunc(values, func(value string) bool { return value == "" }), told
}

func (s step) simplified() step {
	switch {
	case s.kind == kindOne && len(s.values) == 0:
		s.kind = kindNone
	case s.kind == kindOther && len(s.values) == 0:
		s.kind = kindAny
	}
	return s
}

// apply narrows down what was found; nil stands for all series.
func (s step) apply(ctx context.Context, src source, found *roaring.Bitmap) (*roaring.Bitmap, error) {
	// Few series are asked for their value rather than many values for their series.
	if s.kind == kindFit && found != nil && found.GetCardinality() < uint64(s.total) {
		return src.filter(ctx, found, s.matcher.Name, s.matcher.Matches)
	}
	set, err := s.set(ctx, src)
	switch {
	case err != nil:
		return nil, err
	case s.without:
		found.AndNot(set)
	case found == nil:
		return set, nil
	default:
		found.And(set)
	}
	return found, nil
}

func (s step) set(ctx context.Context, src source) (*roaring.Bitmap, error) {
	name := s.matcher.Name
	switch s.kind {
	case kindOne:
		return src.equal(ctx, name, s.values)
	case kindAny:
		return src.having(name)
	case kindOther:
		set, err := src.having(name)
		if err != nil {
			return nil, err
		}
		except, err := src.equal(ctx, name, s.values)
		if err != nil {
			return nil, err
		}
		set.AndNot(except)
		return set, nil
	case kindFit:
		return src.union(ctx, name, s.prefix, s.fits)
	}
	return roaring.New(), nil
}
