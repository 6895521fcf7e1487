package enginetest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

func testLabels(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	a := ref(t, e, "__name__", "a", "x", "1")
	assert.Equal(t, a, ref(t, e, "x", "1", "__name__", "a"), "the order of labels says nothing")
	assert.Equal(t, a, ref(t, e, "x", "1", "__name__", "a", "empty", ""), "an empty label is none")
	b := ref(t, e, "__name__", "a", "x", "2")
	assert.NotEqual(t, a, b)
	store(t, e, floats(a, float64(at), 1))
	store(t, e, floats(b, float64(at), 2))
	for expr, want := range map[*labels.Matcher][]string{
		labels.MustNewMatcher(labels.MatchNotEqual, "x", "1"):    {`{__name__="a", x="2"}`},
		labels.MustNewMatcher(labels.MatchRegexp, "x", "1|2"):    {`{__name__="a", x="1"}`, `{__name__="a", x="2"}`},
		labels.MustNewMatcher(labels.MatchRegexp, "x", ".+"):     {`{__name__="a", x="1"}`, `{__name__="a", x="2"}`},
		labels.MustNewMatcher(labels.MatchNotRegexp, "x", "1.*"): {`{__name__="a", x="2"}`},
		labels.MustNewMatcher(labels.MatchEqual, "none", ""):     {`{__name__="a", x="1"}`, `{__name__="a", x="2"}`},
		labels.MustNewMatcher(labels.MatchEqual, "x", ""):        nil,
		labels.MustNewMatcher(labels.MatchNotEqual, "none", ""):  nil,
		labels.MustNewMatcher(labels.MatchRegexp, "none", ".*"):  {`{__name__="a", x="1"}`, `{__name__="a", x="2"}`},
		labels.MustNewMatcher(labels.MatchRegexp, "none", ".+"):  nil,
	} {
		var got []string
		s := every(expr)
		s.Sorted = true
		for _, found := range list(t, e, s) {
			got = append(got, found.labels)
		}
		assert.Equal(t, want, got, "%s", expr)
	}
}

func testLabelQueries(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	store(t, e, floats(ref(t, e, "__name__", "b", "x", "2"), float64(at), 1))
	store(t, e, floats(ref(t, e, "__name__", "a", "y", "1"), float64(at)+100_000, 1))
	check := func(want []string, minT, maxT int64, limit int, matchers ...*labels.Matcher) {
		t.Helper()
		got, err := e.LabelNames(t.Context(), at+minT, at+maxT, limit, matchers...)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	check([]string{"__name__", "x", "y"}, 0, 200_000, 0)
	check([]string{"__name__", "x"}, 0, 200_000, 2)
	check([]string{"__name__", "x"}, 0, 200_000, 0, match("__name__", "b")...)
	values, err := e.LabelValues(t.Context(), "__name__", at, at+200_000, 0)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, values)
	values, err = e.LabelValues(t.Context(), "__name__", at, at+200_000, 1)
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, values)
	values, err = e.LabelValues(t.Context(), "x", at, at+200_000, 0, match("__name__", "a")...)
	require.NoError(t, err)
	assert.Empty(t, values)
}

// testMatchers asks for series that all of several matchers take, negative and empty ones among them.
func testMatchers(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	all := map[string]labels.Labels{}
	for _, name := range []string{"up", "down"} {
		for _, host := range []string{"", "h1", "h2", "g1"} {
			l := lset("__name__", name, "host", host).WithoutEmpty() // an empty label is none
			all[l.String()] = l
			store(t, e, floats(ref(t, e, "__name__", name, "host", host), float64(at), 1))
		}
	}
	equal, not, re, notRe := labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp
	for _, matchers := range [][]*labels.Matcher{
		{labels.MustNewMatcher(equal, "__name__", "up"), labels.MustNewMatcher(re, "host", "h.*")},
		{labels.MustNewMatcher(equal, "__name__", "up"), labels.MustNewMatcher(notRe, "host", "h.*")},
		{labels.MustNewMatcher(equal, "__name__", "up"), labels.MustNewMatcher(not, "host", "")},
		{labels.MustNewMatcher(equal, "__name__", "up"), labels.MustNewMatcher(equal, "host", "")},
		{labels.MustNewMatcher(re, "__name__", "up|down"), labels.MustNewMatcher(re, "host", "|h1"), labels.MustNewMatcher(not, "host", "h2")},
		{labels.MustNewMatcher(notRe, "host", ".*1"), labels.MustNewMatcher(notRe, "__name__", "u.")},
		{labels.MustNewMatcher(equal, "__name__", "up"), labels.MustNewMatcher(equal, "__name__", "down")},
		{labels.MustNewMatcher(not, "host", "h1"), labels.MustNewMatcher(not, "host", "h2")},
		{labels.MustNewMatcher(re, "host", "(?i)H[12]")},
		{labels.MustNewMatcher(re, "host", "h")}, // anchored on both sides
	} {
		want := []string{}
		for text, l := range all {
			if labels.Selector(matchers).Matches(l) {
				want = append(want, text)
			}
		}
		got := []string{}
		for text := range sel(t, e, every(matchers...)) {
			got = append(got, text)
		}
		assert.ElementsMatch(t, want, got, "%v", matchers)
	}
}

// testLabelBounds: what has no sample in the bounds is not listed.
func testLabelBounds(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	const far = 30 * 3600 * 1000
	store(t, e, floats(ref(t, e, "__name__", "early", "x", "1"), float64(at), 1))
	store(t, e, floats(ref(t, e, "__name__", "late", "y", "1"), float64(at)+far, 1))
	for bounds, want := range map[[2]int64][2][]string{
		{at, at + 1}:                    {{"__name__", "x"}, {"early"}},
		{at + far, at + far}:            {{"__name__", "y"}, {"late"}},
		{at, at + far}:                  {{"__name__", "x", "y"}, {"early", "late"}},
		{at + far/2, at + far/2 + 1}:    {nil, nil},
		{at + 1, at}:                    {nil, nil},
		{math.MinInt64, math.MaxInt64}:  {{"__name__", "x", "y"}, {"early", "late"}},
		{math.MinInt64, at + far - 1}:   {{"__name__", "x"}, {"early"}},
		{at + 7_200_000, math.MaxInt64}: {{"__name__", "y"}, {"late"}},
	} {
		names, err := e.LabelNames(t.Context(), bounds[0], bounds[1], 0)
		require.NoError(t, err)
		assert.ElementsMatch(t, want[0], names, "from %d for %d", bounds[0]-at, bounds[1]-bounds[0])
		values, err := e.LabelValues(t.Context(), "__name__", bounds[0], bounds[1], 0)
		require.NoError(t, err)
		assert.ElementsMatch(t, want[1], values, "from %d for %d", bounds[0]-at, bounds[1]-bounds[0])
	}
}

// testSameRef has many callers ask for the same new series at the same time.
func testSameRef(t *testing.T, target Target) {
	e, at := target.Open(t), target.Start
	const callers, series = 8, 50
	var refs [callers][series]engine.Ref
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range series {
				r, err := e.Ref(lset("__name__", "a", "i", fmt.Sprint(i)))
				if assert.NoError(t, err) {
					refs[c][i] = r
				}
				_, err = e.Append(context.Background(), floats(r, float64(at+int64(c)), float64(i)))
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	for _, got := range refs {
		assert.Equal(t, refs[0], got)
	}
	found := sel(t, e, every())
	require.Len(t, found, series)
	for l, points := range found {
		assert.Len(t, points, callers, l)
	}
	assert.Equal(t, uint64(series), e.Cardinality(0).Series)
}
