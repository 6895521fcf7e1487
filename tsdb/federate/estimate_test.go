package federate

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/query"
)

// estimateWithin is the factor by which an estimate of the series of a query may be off what its analysis counts: what two
// of its parts read is counted for each of them, and estimated once.
const estimateWithin = 2

// TestEstimatesAreWhatAnalysesCount has series that come and go: estimates count those that a query reads, at the times
// of each of its selectors, and a selector at two times is two.
func TestEstimatesAreWhatAnalysesCount(t *testing.T) {
	p := newPast(t, 2)
	generation := func(gen string, n int, oldest, newest time.Duration) {
		for i := range n {
			p.write(t, i%2, labels.FromStrings("__name__", "g", "i", fmt.Sprint(i), "gen", gen), oldest, newest, func(int64) float64 { return 1 })
		}
	}
	generation("old", 300, 9*time.Hour, 7*time.Hour)
	generation("middle", 200, 6*time.Hour, 4*time.Hour)
	generation("new", 100, 2*time.Hour, 0)
	for i := range 40 {
		p.write(t, i%2, labels.FromStrings("__name__", "c_total", "i", fmt.Sprint(i)), 2*time.Hour, 0, func(at int64) float64 { return float64(at) })
	}
	for i := range p.directory.members {
		p.directory.members[i].Shard = tellingShard{p.directory.members[i].Shard}
	}
	q := Questions{Engine: p.plain, Fleet: p.fleet}
	old := p.now.Add(-8 * time.Hour).Unix()
	for expr, want := range map[string]int64{
		`sum(g)`:                        100,
		`g`:                             100,
		`g{gen="old"}`:                  0,
		`sum(g offset 5h)`:              200,
		`sum(g) - sum(g offset 5h)`:     300,
		`sum(g) - sum(g offset 8h)`:     400,
		fmt.Sprintf(`sum(g @ %d)`, old): 300,
		fmt.Sprintf(`sum(g) / sum(g @ %d) / sum(c_total)`, old): 440,
		`max_over_time(sum(g)[30m:1m])`:                         100,
		`max_over_time(sum(g)[30m:1m] offset 5h)`:               200,
		`sum(rate(c_total[5m])) / sum(c_total)`:                 40,
		`sum(g) + sum(g)`:                                       100,
		`topk(3, g) and g{gen="new"}`:                           200,
		`sum(g @ start()) + sum(g @ end())`:                     200,
		`sum(g) - sum(g offset 1m)`:                             200,
		`sum(rate(c_total[5m])) / sum(rate(c_total[1h]))`:       80,
		`sum_over_time(g[5h30m])`:                               300,
	} {
		r := hour(p)
		e, err := q.Explain(context.Background(), expr, r)
		require.NoError(t, err, expr)
		_, a, err := Analyze(context.Background(), func(ctx context.Context) (query.Answer, error) { return q.Range(ctx, expr, r, true) })
		require.NoError(t, err, expr)
		estimated, counted := int64(0), int64(0)
		for _, one := range e.Series {
			estimated += one.Likely
		}
		for _, h := range a.Hosts {
			counted += h.Series
		}
		assert.Equal(t, want, estimated, expr)
		assert.LessOrEqual(t, float64(estimated), estimateWithin*float64(counted), expr)
		assert.GreaterOrEqual(t, estimateWithin*float64(estimated), float64(counted), expr)
	}
}

// TestEstimatesTellTimesApart where a query reads a selector more than once.
func TestEstimatesTellTimesApart(t *testing.T) {
	p := newPast(t, 1)
	p.write(t, 0, labels.FromStrings("__name__", "g"), 2*time.Hour, 0, func(int64) float64 { return 1 })
	e, err := (Questions{Engine: p.plain, Fleet: p.fleet}).Explain(context.Background(), `g - g offset 1d + h + g{}`, query.Range{Start: p.now})
	require.NoError(t, err)
	require.Len(t, e.Series, 3)
	assert.Equal(t, `{__name__="g"} from 1970-01-02T03:41:40Z to 1970-01-02T03:46:40Z`, e.Series[0].Selector)
	assert.Equal(t, `{__name__="g"} from 1970-01-01T03:41:40Z to 1970-01-01T03:46:40Z`, e.Series[1].Selector)
	assert.Equal(t, `{__name__="h"}`, e.Series[2].Selector)
}

// tellingShard counts what it gives, as shards of other hosts do.
type tellingShard struct{ Shard }

func (s tellingShard) Select(ctx context.Context, sel engine.Selection) (engine.SeriesSet, error) {
	counted, err := s.Shard.Select(ctx, sel)
	if err != nil {
		return nil, err
	}
	defer counted.Close()
	n := int64(0)
	for counted.Next() {
		n++
	}
	set, err := s.Shard.Select(ctx, sel)
	return tellingSet{set, n}, err
}

func (s tellingShard) Estimate(ctx context.Context, e Estimation) ([]engine.Estimate, error) {
	return s.Shard.(Estimator).Estimate(ctx, e)
}

type tellingSet struct {
	engine.SeriesSet
	n int64
}

func (s tellingSet) Count() (series, samples int64) { return s.n, 0 }
