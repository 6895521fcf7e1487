package query_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/index"
	"github.com/novacron/novacron/tsdb/query"
)

// FuzzParseSelector reads selectors of any text, as people give them to commands, and asks an index by those that make
// sense: nothing panics or takes memory that the text does not explain, what is printed means the same, and the index
// finds what looking at each series finds.
func FuzzParseSelector(f *testing.F) {
	for _, text := range []string{
		`up`, `{__name__=~"cpu.*",host!~"a|b"}`, `cpu{host="a",mode!=""}`, `{"härte",le=~".+"}`, `x{a=~"(?i:web)-[0-9]{2,4}|db|"}`,
		`{a=~"(a|b)(c|d)(e|f)(g|h)(i|j)(k|l)"}`, `{a=~"((((x{1,30}){1,30})))"}`, `{a!~"|x"}`, "{a=\"\\x00\\u00e9\"}", `up[5m]`, `{`, `{}`,
		`{a=~"` + strings.Repeat("(", 200) + strings.Repeat(")*", 200) + `"}`,
	} {
		f.Add(text)
	}
	series := index.New(index.Limits{}, time.Now)
	var all []labels.Labels
	for _, words := range [][]string{
		{"__name__", "up"}, {"__name__", "cpu_seconds", "host", "a"}, {"__name__", "cpu_seconds", "host", "b", "mode", "idle"},
		{"__name__", "härte", "le", "+Inf", "a", "web-12"}, {"a", "x", "b", "\x00"}, {"a", "aceg", "host", ""},
	} {
		lset := labels.FromStrings(words...)
		if _, _, err := series.GetOrCreate(lset); err != nil {
			f.Fatal(err)
		}
		all = append(all, lset)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		selector, err := query.ParseSelector(text)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
			t.Fatalf("%d bytes of memory for a text of %d", took, len(text))
		}
		if err != nil {
			if len(err.Error()) > 20*len(text)+2000 {
				t.Fatalf("an error of %d bytes about a text of %d", len(err.Error()), len(text))
			}
			return
		}
		var printed []string
		for _, m := range selector {
			printed = append(printed, m.String())
		}
		again, err := query.ParseSelector("{" + strings.Join(printed, ",") + "}")
		if err != nil || !slices.EqualFunc(selector, again, func(a, b *labels.Matcher) bool { return a.String() == b.String() }) {
			t.Fatalf("%q is printed as %q, which is %v (%v)", text, printed, again, err)
		}
		found, err := series.Select(t.Context(), selector...)
		if err != nil {
			t.Fatal(err)
		}
		for id, lset := range all {
			matches := !slices.ContainsFunc(selector, func(m *labels.Matcher) bool { return !m.Matches(lset.Get(m.Name)) })
			if matches != found.Contains(uint32(id)) {
				t.Fatalf("%s: the index says %v of %s, its labels %v", text, !matches, lset, matches)
			}
		}
	})
}
