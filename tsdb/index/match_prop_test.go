package index

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	someNames    = []string{"__name__", "a", "b", "job", "ünïcode"}
	someValues   = []string{"", "x", "y", "xy", "xyz", "foo", "foobar", "FOO", "a\nb", "ß", "1", "12", "123"}
	somePatterns = []string{
		"", ".*", ".+", "x", "x|y", "x|", "foo.*", "foo.+", "(?i)foo", ".*o.*", ".+o", "x?", "[xy]+", "1[0-9]*", "(foo|x).*", "foo(bar)?", "(|foo)", "a.b",
		"(?i)(foo|x)", "^x$", "xy|xyz|foo.*", ".*|x", "[^x]*", "\\d+", "(?:x|y)z?", "ß",
	}
)

func drawLabels(t *rapid.T) labels.Labels {
	builder := labels.NewScratchBuilder(len(someNames))
	for _, name := range someNames {
		if value := rapid.SampledFrom(someValues).Draw(t, name); value != "" {
			if rapid.IntRange(0, 3).Draw(t, "unusual") == 0 {
				value += fmt.Sprint(rapid.IntRange(0, 2000).Draw(t, "tail"))
			}
			builder.Add(name, value)
		}
	}
	if lset := builder.Labels(); !lset.IsEmpty() {
		return lset
	}
	return labels.FromStrings("a", "x")
}

func drawMatcher(t *rapid.T) *labels.Matcher {
	kind := rapid.SampledFrom([]labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}).Draw(t, "kind")
	values := someValues
	if kind == labels.MatchRegexp || kind == labels.MatchNotRegexp {
		values = somePatterns
	}
	name := rapid.SampledFrom(append([]string{"missing"}, someNames...)).Draw(t, "name")
	return labels.MustNewMatcher(kind, name, rapid.SampledFrom(values).Draw(t, "value"))
}

// naive is the definition of a selection.
func naive(series map[uint32]labels.Labels, matchers []*labels.Matcher) *roaring.Bitmap {
	found := roaring.New()
	for id, lset := range series {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) }) {
			found.Add(id)
		}
	}
	return found
}

// TestMemSelectsLikeAScan makes and removes series at random and compares every answer with one look at all of them.
func TestMemSelectsLikeAScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := New(DefaultLimits(), time.Now)
		live := map[uint32]labels.Labels{}
		t.Repeat(map[string]func(*rapid.T){
			"make": func(t *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(t, "count") {
					lset := drawLabels(t)
					id, created, err := m.GetOrCreate(lset)
					require.NoError(t, err)
					known, there := live[id]
					require.Equal(t, created, !there)
					require.True(t, created || labels.Equal(known, lset))
					live[id] = lset
				}
			},
			"remove": func(t *rapid.T) {
				ids := roaring.New()
				for id := range live {
					if rapid.Bool().Draw(t, "leaves") {
						ids.Add(id)
						delete(live, id)
					}
				}
				m.Remove(ids)
			},
			"select": func(t *rapid.T) {
				matchers := rapid.SliceOfN(rapid.Custom(drawMatcher), 0, 4).Draw(t, "matchers")
				found, err := m.Select(t.Context(), matchers...)
				require.NoError(t, err)
				require.Equal(t, naive(live, matchers).ToArray(), found.ToArray(), "%v", matchers)
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(live), m.Len())
				for id, want := range live {
					lset, ok := m.Labels(id)
					require.True(t, ok)
					require.Equal(t, want.String(), lset.String())
				}
			},
		})
	})
}
