package peer

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/query"
)

// How much one run of the test compares on each engine; NOVACRON_FAST_CASES asks for another number of questions.
const (
	fastWorlds    = 40
	fastQuestions = 60 // of each world
)

// TestFast asks random questions of the shapes that package fast evaluates, and of those next to them, about random
// series, and compares the answers with those of upstream's evaluator: bit for bit, with their order, annotations,
// errors and statistics.
func TestFast(t *testing.T) {
	questions := fastQuestions
	if text := os.Getenv("NOVACRON_FAST_CASES"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		questions = n / fastWorlds
	}
	for _, name := range []string{"memory", "durable"} {
		t.Run(name, func(t *testing.T) {
			seed, pairs, cases := firstSeed(t), newPairs(t), 0
			for world := range fastWorlds {
				seed := seed + uint64(world)
				cases += compareWorld(t, name, pairs, seed, questions)
			}
			paths := pathsOf(pairs)
			t.Logf("seed %d: %d cases, paths %+v", seed, cases, paths)
			assert.Greater(t, paths.Fast, int64(cases/2))
			assert.Positive(t, paths.FellBack, "some series had histograms")
		})
	}
}

// compareWorld asks about the series of one seed, which NOVACRON_SEED repeats.
func compareWorld(t *testing.T, name string, pairs []twins, seed uint64, questions int) (cases int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	store := engines[name].open(t, t.TempDir())
	fillFast(t, rng, store, 0, "c_total", "d_total", "dense_total", "g", "odd", "lone", "mixed")
	switch settle := engines[name].settle; {
	case rng.IntN(3) == 0:
		fillFast(t, rng, store, 0, "c_total", "g", "mixed") // in between, and at the same times
	case settle != nil:
		settle(t, store)
	}
	fillFast(t, rng, store, fastSealed, "c_total", "odd", "g")
	for range questions {
		pair := pairs[max(0, rng.IntN(10)-7)]
		q := fastQuestion(rng)
		if problem := pair.compare(t.Context(), query.NewQueryable(store), q); problem != "" {
			t.Fatalf("NOVACRON_SEED=%d: %s\n%s", seed, q, problem)
		}
		cases++
	}
	require.NoError(t, store.Close())
	return cases
}

// twins are an engine with package fast and one without, of the same limits.
type twins struct{ fast, plain *query.Engine }

// newPairs makes the pair of the default limits, and pairs with room for few samples.
func newPairs(t *testing.T) (all []twins) {
	open := func(bytes int64, plain bool) *query.Engine {
		e, err := query.New(query.Options{Limits: query.Limits{Bytes: bytes}, NoFast: plain})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	}
	for _, bytes := range []int64{0, 16 * 300, 16 * 3000} {
		all = append(all, twins{open(bytes, false), open(bytes, true)})
	}
	return all
}

func pathsOf(pairs []twins) (sum query.Evaluated) {
	for _, p := range pairs {
		e := p.fast.Evaluated()
		sum.Fast, sum.PromQL, sum.FellBack = sum.Fast+e.Fast, sum.PromQL+e.PromQL, sum.FellBack+e.FellBack
	}
	return sum
}

// fastAsked is a question. Where unordered is set, upstream aggregates what it takes from a map: in any order.
type fastAsked struct {
	expr       string
	start, end int64
	step       time.Duration // 0: at start
	perStep    bool
	lookback   time.Duration
	unordered  bool
}

func (q fastAsked) String() string {
	return fmt.Sprintf("%s\nfrom %d to %d by %s, lookback %s", q.expr, q.start, q.end, q.step, q.lookback)
}

// fastAnswer is all that an engine says.
type fastAnswer struct {
	err   string
	value any
	notes []string
	stats string
}

func (p twins) compare(ctx context.Context, store query.Queryable, q fastAsked) string {
	want, got := askFast(ctx, p.plain, store, q), askFast(ctx, p.fast, store, q)
	switch {
	case want.err != got.err:
		return fmt.Sprintf("error %q\nwant %q", got.err, want.err)
	case want.err != "":
		return ""
	case !slices.Equal(want.notes, got.notes):
		return fmt.Sprintf("notes %q\nwant %q", got.notes, want.notes)
	case want.stats != got.stats:
		return fmt.Sprintf("statistics %s\nwant %s\nfor %v", got.stats, want.stats, got.value)
	case q.unordered:
		return equalAnswers(want.value, got.value)
	}
	return sameAnswers(want.value, got.value)
}

func askFast(ctx context.Context, e *query.Engine, store query.Queryable, q fastAsked) (a fastAnswer) {
	prepared, err := prepareFast(ctx, e, store, q)
	if err != nil {
		return fastAnswer{err: "prepare: " + err.Error()}
	}
	result := prepared.Exec(ctx)
	if result.Err != nil {
		return fastAnswer{err: result.Err.Error()}
	}
	warnings, infos := result.Warnings.AsStrings(q.expr, 0, 0)
	a.notes = append(warnings, infos...)
	slices.Sort(a.notes)
	s := prepared.Stats().Samples
	a.stats = fmt.Sprint("peak ", s.PeakSamples, " total ", s.TotalSamples, s.TotalSamplesPerStep, " read ", s.SamplesRead, s.SamplesReadPerStep)
	a.value = result.Value
	return a
}

func prepareFast(ctx context.Context, e *query.Engine, store query.Queryable, q fastAsked) (promql.Query, error) {
	opts := query.Opts{PerStep: q.perStep, Lookback: q.lookback}
	if q.step == 0 {
		return e.NewInstantQuery(ctx, store, opts, q.expr, time.UnixMilli(q.start))
	}
	return e.NewRangeQuery(ctx, store, opts, q.expr, time.UnixMilli(q.start), time.UnixMilli(q.end), q.step)
}

// sameAnswers tells how two answers differ in a bit. All NaN are one.
func sameAnswers(want, got any) string {
	if describe(want) != describe(got) {
		return fmt.Sprintf("got\n%s\nwant\n%s", describe(got), describe(want))
	}
	return ""
}

// describe writes down an answer with all bits of its values.
func describe(answer any) string {
	var b strings.Builder
	bits := func(v float64) string {
		if math.IsNaN(v) {
			return "NaN"
		}
		return fmt.Sprintf("%v/%x", v, math.Float64bits(v))
	}
	switch v := answer.(type) {
	case promql.Vector:
		for _, s := range v {
			fmt.Fprintln(&b, s.Metric, s.T, bits(s.F), s.H, s.DropName)
		}
	case promql.Matrix:
		for _, s := range v {
			fmt.Fprint(&b, s.Metric, s.DropName)
			for _, p := range s.Floats {
				fmt.Fprint(&b, " ", p.T, " ", bits(p.F))
			}
			fmt.Fprintln(&b, s.Histograms)
		}
	default:
		fmt.Fprintf(&b, "%T %v", answer, answer)
	}
	return b.String()
}

// equalAnswers is for what upstream takes from a map: values are compared as numbers, as 0 and -0 depend on the order.
func equalAnswers(want, got any) string {
	a, b := valuesOf(want), valuesOf(got)
	equal := maps.EqualFunc(a, b, func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) })
	if equal {
		return ""
	}
	return fmt.Sprintf("got\n%s\nwant\n%s", describe(got), describe(want))
}

func valuesOf(answer any) map[string]float64 {
	all := map[string]float64{}
	switch v := answer.(type) {
	case promql.Vector:
		for _, s := range v {
			all[s.Metric.String()] = s.F
		}
	case promql.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				all[fmt.Sprint(s.Metric, p.T)] = p.F
			}
		}
	}
	return all
}
