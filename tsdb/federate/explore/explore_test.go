package explore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/memory"
	"github.com/novacron/novacron/tsdb/federate/explore"
)

// now is when the tests ask.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is series with the spans that they have samples in, by what they are.
type world struct {
	series map[string]labels.Labels
	now    map[string]bool
	before map[string]bool
}

func newWorld() world {
	return world{map[string]labels.Labels{}, map[string]bool{}, map[string]bool{}}
}

func (w world) put(lset labels.Labels, isNow, isBefore bool) {
	key := lset.String()
	w.series[key] = lset
	w.now[key] = w.now[key] || isNow
	w.before[key] = w.before[key] || isBefore
}

// distinct counts different texts of the series of a span.
func (w world) distinct(in map[string]bool, text func(labels.Labels) (string, bool)) uint64 {
	found := map[string]bool{}
	for key, lset := range w.series {
		if !in[key] {
			continue
		}
		if t, counts := text(lset); counts {
			found[t] = true
		}
	}
	return uint64(len(found))
}

func without(lset labels.Labels, label string) string {
	return labels.NewBuilder(lset).Del(label).Labels().String()
}

func open(t require.TestingT) engine.Engine {
	return memory.Open(memory.Options{Now: func() time.Time { return now }})
}

// store puts a series into a store, with a sample in each span that it is in.
func store(t require.TestingT, e engine.Engine, lset labels.Labels, isNow, isBefore bool) {
	ref, err := e.Ref(lset)
	require.NoError(t, err)
	batch := engine.Batch{}
	if isBefore {
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: now.Add(-25 * time.Hour).UnixMilli(), V: 1})
	}
	if isNow {
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: now.Add(-time.Hour).UnixMilli(), V: 1})
	}
	done, err := e.Append(context.Background(), batch)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
}

// asker unites the answers of stores by the names of their hosts.
func asker(stores map[string]engine.Engine) explore.Asker {
	return func(ctx context.Context, q explore.Question) (*explore.Merger, []string, error) {
		m := explore.NewMerger()
		for host, e := range stores {
			r, err := explore.Count(ctx, e, host, q)
			if err != nil {
				return nil, nil, err
			}
			m.Add(host, q, r)
		}
		return m, nil, nil
	}
}

// TestNumbersAreThoseOfCountingByHand draws series over hosts, some of which several hosts have, and compares each number of
// each grouping with a count of texts. It is the same whether one store has all of them or each host its own.
func TestNumbersAreThoseOfCountingByHand(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		all, whole, parts := newWorld(), open(r), map[string]engine.Engine{}
		hosts := []string{"h1", "h2", "h3"}
		for _, host := range hosts {
			parts[host] = open(r)
		}
		few := rapid.IntRange(0, 2)
		for range rapid.IntRange(0, 60).Draw(r, "series") {
			at := rapid.SampledFrom(hosts).Draw(r, "host")
			b := labels.NewBuilder(labels.FromStrings("__name__", rapid.SampledFrom([]string{"m1", "m2"}).Draw(r, "name")))
			if rapid.Bool().Draw(r, "own") { // else it may be of several hosts
				b.Set("host", at)
			}
			for _, label := range []string{"a", "job", "id"} {
				if n := few.Draw(r, label); n > 0 {
					b.Set(label, fmt.Sprint(n))
				}
			}
			isNow, isBefore := rapid.Bool().Draw(r, "now"), rapid.Bool().Draw(r, "before")
			if !isNow && !isBefore {
				continue
			}
			all.put(b.Labels(), isNow, isBefore)
			store(r, whole, b.Labels(), isNow, isBefore)
			store(r, parts[at], b.Labels(), isNow, isBefore)
		}
		drop := rapid.SampledFrom([]string{"", "a", "id", "host", "job"}).Draw(r, "drop")
		selector, selected := "", all
		if rapid.Bool().Draw(r, "selected") {
			selector, selected = `m1{job!="1"}`, newWorld()
			for key, lset := range all.series {
				if lset.Get("__name__") == "m1" && lset.Get("job") != "1" {
					selected.put(lset, all.now[key], all.before[key])
				}
			}
		}
		for _, by := range explore.Groupings() {
			a := explore.Ask{Selector: selector, By: by, Now: now, Top: 1000}
			if by != explore.ByLabel && by != explore.ByValue {
				a.Drop = drop
			}
			one, err := explore.Explore(context.Background(), asker(map[string]engine.Engine{"all": whole}), a)
			require.NoError(r, err)
			many, err := explore.Explore(context.Background(), asker(parts), a)
			require.NoError(r, err)
			one.Warnings, many.Warnings = nil, nil // they name the hosts
			require.Equal(r, one, many, by)
			selected.check(r, by, a.Drop, one)
		}
	})
}

// check compares an answer with counts by hand.
func (w world) check(t require.TestingT, by, drop string, got explore.Answer) {
	itself := func(lset labels.Labels) (string, bool) { return lset.String(), true }
	require.Equal(t, w.distinct(w.now, itself), got.Total.Series)
	require.Equal(t, w.distinct(w.before, itself), got.Total.SeriesBefore)
	names := map[string]bool{}
	for _, row := range got.Rows {
		names[row.Name] = true
		in := func(lset labels.Labels) bool {
			switch by {
			case explore.ByMetric:
				return lset.Get("__name__") == row.Name
			case explore.ByLabel:
				return lset.Has(row.Name)
			case explore.ByValue:
				found := false
				lset.Range(func(l labels.Label) { found = found || l.Name+"="+l.Value == row.Name })
				return found
			}
			return lset.Get(by) == row.Name
		}
		of := func(text func(labels.Labels) string) func(labels.Labels) (string, bool) {
			return func(lset labels.Labels) (string, bool) { return text(lset), in(lset) }
		}
		want := explore.Row{Name: row.Name, Series: w.distinct(w.now, of(labels.Labels.String)), SeriesBefore: w.distinct(w.before, of(labels.Labels.String))}
		dropped := drop
		if by == explore.ByLabel {
			dropped = row.Name
			value := of(func(lset labels.Labels) string { return lset.Get(row.Name) })
			want.Values, want.ValuesBefore = w.distinct(w.now, value), w.distinct(w.before, value)
		}
		if dropped != "" {
			left := of(func(lset labels.Labels) string { return without(lset, dropped) })
			want.Left, want.LeftBefore = w.distinct(w.now, left), w.distinct(w.before, left)
		}
		require.Equal(t, want, row, "by %s", by)
	}
	require.Len(t, names, len(got.Rows))
	for _, f := range got.Findings {
		in := func(lset labels.Labels) (string, bool) {
			return without(lset, f.Label), lset.Get("__name__") == f.Metric
		}
		require.Equal(t, w.distinct(w.now, in), f.Left, "what %s leaves of %s", f.Label, f.Metric)
	}
}

// TestRunawayLabelIsFound has a label of one metric grow, and others stay.
func TestRunawayLabelIsFound(t *testing.T) {
	e := open(t)
	for i := range 12 {
		store(t, e, labels.FromStrings("__name__", "cpu", "host", "h1", "vm", fmt.Sprint(i)), true, true)
		store(t, e, labels.FromStrings("__name__", "requests", "host", "h1", "code", fmt.Sprint(i%4), "path", fmt.Sprint(i)), false, true)
	}
	for i := range 1200 {
		store(t, e, labels.FromStrings("__name__", "requests", "host", "h1", "code", fmt.Sprint(i%4), "path", fmt.Sprint(i%12), "request_id", fmt.Sprint(i)), true, false)
	}
	got, err := explore.Explore(t.Context(), asker(map[string]engine.Engine{"h1": e}), explore.Ask{Now: now})
	require.NoError(t, err)
	require.Len(t, got.Findings, 1)
	assert.Equal(t, "label request_id of metric requests: 1,200 values, 100 % of its growth in 24 h; dropping it leaves 12 of 1,200 series", got.Findings[0].String())
	assert.Equal(t, "requests", got.Rows[0].Name)
	assert.Equal(t, int64(1188), got.Rows[0].Growth())

	got, err = explore.Explore(t.Context(), asker(map[string]engine.Engine{"h1": e}), explore.Ask{Now: now, Selector: "requests", By: explore.ByLabel, Since: 3 * time.Hour})
	require.NoError(t, err)
	require.Len(t, got.Findings, 1)
	assert.Equal(t, "request_id", got.Findings[0].Label)
	assert.Empty(t, got.Warnings)

	got, err = explore.Explore(t.Context(), asker(map[string]engine.Engine{"h1": e}), explore.Ask{Now: now, Since: 48 * time.Hour})
	require.NoError(t, err)
	require.Len(t, got.Warnings, 1)
	assert.Contains(t, got.Warnings[0], "no samples as old as 48 h")
}

func TestQuestionsThatMakeNoSense(t *testing.T) {
	for want, a := range map[string]explore.Ask{
		"since":    {Since: -time.Hour},
		"top":      {Top: 20_000},
		"by":       {By: "colour"},
		"selector": {Selector: "{"},
		"__name__": {Drop: "__name__"},
		"drop":     {By: explore.ByLabel, Drop: "id"},
	} {
		_, err := explore.Explore(t.Context(), nil, a)
		assert.ErrorContains(t, err, want)
	}
}
