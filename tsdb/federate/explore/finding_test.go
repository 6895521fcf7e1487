package explore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/federate/explore"
)

// without counts what is left of a metric without a label, now and before, and which part of its growth is gone then.
type withoutLabel struct {
	left, leftBefore uint64
	share            float64
}

// dropEach tries each label of a metric, by writing the series without it.
func (w world) dropEach(metric string) (series, before uint64, all map[string]withoutLabel) {
	names, all := map[string]bool{}, map[string]withoutLabel{}
	for _, lset := range w.series {
		if lset.Get("__name__") == metric {
			lset.Range(func(l labels.Label) { names[l.Name] = l.Name != "__name__" })
		}
	}
	count := func(in map[string]bool, label string) uint64 {
		return w.distinct(in, func(lset labels.Labels) (string, bool) { return without(lset, label), lset.Get("__name__") == metric })
	}
	series, before = count(w.now, ""), count(w.before, "")
	for name, is := range names {
		if !is {
			continue
		}
		one := withoutLabel{left: count(w.now, name), leftBefore: count(w.before, name)}
		if growth := int64(series) - int64(before); growth > 0 {
			one.share = max(0, min(1, 1-float64(int64(one.left)-int64(one.leftBefore))/float64(growth)))
		}
		all[name] = one
	}
	return series, before, all
}

// TestTheLabelThatIsFoundIsTheOneThatMadeItGrow draws series of one metric over hosts, and tries each label by hand: no other
// one takes more of the growth with it, and the numbers are those of trying.
func TestTheLabelThatIsFoundIsTheOneThatMadeItGrow(t *testing.T) {
	found := 0
	rapid.Check(t, func(r *rapid.T) {
		all, stores := newWorld(), map[string]engine.Engine{"h1": open(r), "h2": open(r)}
		wide := rapid.IntRange(0, 12)
		for range rapid.IntRange(1, 80).Draw(r, "series") {
			host := rapid.SampledFrom([]string{"h1", "h2"}).Draw(r, "host")
			b := labels.NewBuilder(labels.FromStrings("__name__", "m", "host", host, "a", fmt.Sprint(rapid.IntRange(1, 2).Draw(r, "a"))))
			if n := wide.Draw(r, "id"); n > 0 {
				b.Set("id", fmt.Sprint(n))
			}
			if n := rapid.IntRange(0, 3).Draw(r, "path"); n > 0 {
				b.Set("path", fmt.Sprint(n))
			}
			if rapid.IntRange(0, 4).Draw(r, "shared") == 0 {
				b.Del("host")
			}
			isNow, isBefore := rapid.IntRange(0, 3).Draw(r, "now") > 0, rapid.IntRange(0, 3).Draw(r, "before") == 0
			if isNow || isBefore {
				all.put(b.Labels(), isNow, isBefore)
				store(r, stores[host], b.Labels(), isNow, isBefore)
			}
		}
		series, before, tried := all.dropEach("m")
		for _, a := range []explore.Ask{{Now: now}, {Now: now, Selector: "m", By: explore.ByLabel}} {
			got, err := explore.Explore(context.Background(), asker(stores), a)
			require.NoError(r, err)
			if series <= before || len(got.Findings) == 0 {
				continue
			}
			found++
			f := got.Findings[0]
			want := tried[f.Label]
			require.Equal(r, []any{"m", series, before, want.left}, []any{f.Metric, f.Series, f.SeriesBefore, f.Left})
			require.InDelta(r, want.share, f.GrowthShare, 1e-9)
			for name, other := range tried {
				require.LessOrEqual(r, other.share, f.GrowthShare+1e-9, "%s, not %s: %+v", name, f.Label, tried)
			}
		}
	})
	assert.Positive(t, found)
}
