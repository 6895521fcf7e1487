package durable_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// How much one run of TestWorlds does.
const (
	worlds     = 12
	worldSteps = 350
)

// worldSeed is the seed of the first world; NOVACRON_SEED repeats one.
func worldSeed(t *testing.T) uint64 {
	if text := os.Getenv("NOVACRON_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return seed
	}
	return uint64(time.Now().UnixNano())
}

// fromEnvironment is a number that a variable of the environment may set.
func fromEnvironment(t testing.TB, variable string, usual int) int {
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, variable)
	return n
}

// TestWorlds does random things to a store while its clock goes on by days: it is written to in and out of order, sealed,
// merged, rolled up, emptied by retention, rules, budgets and deletions, imported into, closed and killed. All the while
// it has to answer as a model made of maps does, and answers that stay open have to show what there was. NOVACRON_WORLDS
// is how many histories there are, NOVACRON_WORLD_STEPS how long each is.
func TestWorlds(t *testing.T) {
	n, length := fromEnvironment(t, "NOVACRON_WORLDS", worlds), fromEnvironment(t, "NOVACRON_WORLD_STEPS", worldSteps)
	if testing.Short() {
		n = min(n, 2)
	}
	first, steps := worldSeed(t), map[string]int{}
	for i := range uint64(n) {
		seed := first + i
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range length {
				w.step()
			}
			w.end()
			for what, n := range w.done {
				steps[what] += n
			}
		})
	}
	t.Logf("seed %d, %d worlds: %v", first, n, steps)
}

// world is a store and its model.
type world struct {
	*rand.Rand
	t         *testing.T
	dir       string
	opts      durable.Options
	clock     *hand
	store     *durable.Store
	model     *worldModel
	refs      map[string]engine.Ref
	open      []*openAnswer
	lost      []lostBlock // by the last upkeep
	allLost   []lostBlock
	dropped   [3]int64 // the ends of windows up to which a policy has dropped some, by tier
	retention durable.Retention
	number    uint64
	done      map[string]int
	trace     []string
}

// lostBlock is one that the disk budget has cost.
type lostBlock struct {
	tier     string
	from, to int64
}

const (
	worldSlots = 14
	stillSlots = 4 // whose windows are compared: floats that nobody deletes or imports
	spanMillis = int64(2 * 3_600_000)
)

func isStill(slot int) bool           { return slot < stillSlots }
func isStaleBits(bits uint64) bool    { return bits == value.StaleNaN }
func timeSince(t int64) time.Duration { return time.UnixMilli(t).Sub(start) }
func hours(n int) time.Duration       { return time.Duration(n) * time.Hour }
func (w *world) now() int64           { return w.clock.Now().UnixMilli() }
func everySeries(*worldSeries) bool   { return true }
func matchStill() *labels.Matcher     { return labels.MustNewMatcher(labels.MatchEqual, "group", "still") }
func matchLoose() *labels.Matcher     { return labels.MustNewMatcher(labels.MatchEqual, "group", "loose") }
func keepRule(k string) []*labels.Matcher {
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "keep", k)}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 0)), t: t, dir: filepath.Join(t.TempDir(), "0"), clock: &hand{now: start}, opts: options(),
		model: newWorldModel(), refs: map[string]engine.Ref{}, done: map[string]int{},
	}
	w.opts.AnyAge, w.opts.Ahead, w.opts.Clock = false, 0, w.clock.Now
	w.opts.Log = slog.New(&worldLog{w: w})
	w.retention = w.randomRetention()
	w.opts.Retention = w.retention
	w.start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d; the last steps:\n%s", seed, strings.Join(w.trace[max(0, len(w.trace)-60):], "\n"))
		}
	})
	return w
}

func (w *world) start() {
	s, err := durable.Open(w.dir, w.opts)
	require.NoError(w.t, err)
	w.store = s
}

// worldLog takes note of what is dropped for the budget. Nothing is damaged in these worlds, and nothing fails.
type worldLog struct {
	slog.Handler
	w *world
}

func (l *worldLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *worldLog) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "samples are dropped before") {
		var lost lostBlock
		r.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "tier":
				lost.tier = a.Value.String()
			case "from", "to":
				at, err := time.Parse("2006-01-02T15:04:05.000Z", a.Value.String())
				require.NoError(l.w.t, err)
				if a.Key == "from" {
					lost.from = at.UnixMilli()
				} else {
					lost.to = at.UnixMilli()
				}
			}
			return true
		})
		l.w.lost = append(l.w.lost, lost)
		return nil
	}
	require.Less(l.w.t, r.Level, slog.LevelWarn, r.Message)
	return nil
}

// step does something, and looks at the store.
func (w *world) step() {
	actions := []struct {
		name   string
		weight int
		do     func() string
	}{
		{"append", 40, w.append}, {"wait", 25, w.wait}, {"maintain", 12, w.maintain}, {"select", 15, w.selectSome},
		{"windows", 5, w.windows}, {"delete", 4, w.delete}, {"import", 3, w.importBlock}, {"reopen", 2, w.reopen},
		{"kill", 2, w.kill}, {"configure", 1, w.configure}, {"flush", 1, w.flush}, {"open", 8, w.openOne}, {"read on", 12, w.readOn},
		{"verify", 1, w.verify}, {"snapshot", 1, w.snapshot},
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	pick := w.IntN(total)
	for _, a := range actions {
		if pick -= a.weight; pick < 0 {
			w.trace = append(w.trace, fmt.Sprintf("%s %s", w.clock.Now().Format("Jan 2 15:04:05.000"), a.name))
			w.trace[len(w.trace)-1] += " " + a.do()
			w.done[a.name]++
			return
		}
	}
}

func (w *world) end() {
	w.maintain()
	w.selectBetween(math.MinInt64, math.MaxInt64)
	w.windows()
	w.verify()
	w.reopen()
	w.selectBetween(math.MinInt64, math.MaxInt64)
	w.windows()
	require.NoError(w.t, w.store.Close())
}

func (w *world) wait() string {
	var d time.Duration
	switch w.IntN(10) {
	case 0:
		d = time.Duration(w.Int64N(int64(hours(9))))
	case 1, 2:
		d = time.Duration(w.Int64N(int64(hours(3))))
	case 3, 4, 5:
		d = time.Duration(w.Int64N(int64(20 * time.Minute)))
	default:
		d = time.Duration(w.Int64N(int64(time.Minute)))
	}
	w.clock.set(w.clock.Now().Add(d))
	return d.String()
}

func (w *world) maintain() string {
	w.lost = nil
	require.NoError(w.t, w.store.Maintain(w.t.Context()))
	w.expire()
	for _, m := range w.store.Stats().Blocks {
		if w.retention.Bytes > 0 && m.MaxTime < w.now()-2*spanMillis {
			require.LessOrEqual(w.t, w.blockBytes(), uint64(w.retention.Bytes), "the budget is kept")
			break
		}
	}
	return fmt.Sprintf("%d blocks, %d lost", len(w.store.Stats().Blocks), len(w.lost))
}

func (w *world) blockBytes() (bytes uint64) {
	for _, m := range w.store.Stats().Blocks {
		bytes += m.Bytes
	}
	return bytes
}

// expire enters into the model what the upkeep may have dropped.
func (w *world) expire() {
	w.model.doubt(func(s *worldSeries, t int64) bool {
		if keep := w.keep(s, engine.TierRaw); keep > 0 && t < w.now()-keep {
			return true
		}
		return slices.ContainsFunc(w.lost, func(l lostBlock) bool { return l.tier == "raw" && l.from <= t && t <= l.to })
	})
	w.allLost = append(w.allLost, w.lost...)
	for _, keep := range append([]durable.Rule{{Keep: w.retention.Keep}}, w.retention.Rules...) {
		for tier, d := range []time.Duration{0, keep.Keep.FiveMinutes, keep.Keep.Hour} {
			if d > 0 {
				w.dropped[tier] = max(w.dropped[tier], w.now()-d.Milliseconds())
			}
		}
	}
}

// keep is how long, in milliseconds, the retention keeps a tier of a series.
func (w *world) keep(s *worldSeries, tier engine.Tier) int64 {
	of := w.retention.Keep
	for _, rule := range w.retention.Rules {
		if rule.Matchers[0].Matches(s.lset.Get("keep")) {
			of = rule.Keep
			break
		}
	}
	return [...]time.Duration{of.Raw, of.FiveMinutes, of.Hour}[tier].Milliseconds()
}

func (w *world) randomRetention() durable.Retention {
	keep := func() durable.Keep {
		return durable.Keep{Raw: hours([]int{0, 10, 30, 70}[w.IntN(4)]), FiveMinutes: hours([]int{0, 40, 90}[w.IntN(3)]), Hour: hours([]int{0, 120}[w.IntN(2)])}
	}
	r := durable.Retention{Keep: keep()}
	if w.IntN(2) == 0 {
		r.Rules = append(r.Rules, durable.Rule{Matchers: keepRule("short"), Keep: keep()})
	}
	if w.IntN(2) == 0 {
		r.Rules = append(r.Rules, durable.Rule{Matchers: keepRule("long"), Keep: keep()})
	}
	if w.IntN(4) == 0 {
		r.Bytes = 100_000 + w.Int64N(400_000)
	}
	return r
}

func (w *world) configure() string {
	w.retention = w.randomRetention()
	w.opts.Retention = w.retention
	tiers := []durable.TierWindows{{Tier: engine.TierFiveMinutes}, {Tier: engine.TierHour, After: hours([]int{0, 10}[w.IntN(2)])}}
	w.opts.Tiers = tiers
	w.store.Configure(w.retention, tiers)
	return fmt.Sprintf("%+v", w.retention)
}

func (w *world) flush() string {
	require.NoError(w.t, w.store.Flush(w.t.Context()))
	return ""
}

func (w *world) selectSome() string {
	minT := w.now() - w.Int64N(80*3_600_000)
	maxT := minT + w.Int64N([]int64{60_000, 3_600_000, 80 * 3_600_000}[w.IntN(3)])
	if w.IntN(3) == 0 {
		minT, maxT = math.MinInt64, math.MaxInt64
	}
	w.selectBetween(minT, maxT)
	return fmt.Sprintf("%d to %d", minT, maxT)
}

func (w *world) selectBetween(minT, maxT int64, matchers ...*labels.Matcher) {
	found := w.readAll(w.store, engine.Selection{Min: minT, Max: maxT, Matchers: matchers, Sorted: w.IntN(2) == 0})
	require.NoError(w.t, w.model.compare(found, minT, maxT, everySeries))
}

func (w *world) readAll(s *durable.Store, sel engine.Selection) map[string]map[int64]cell {
	set, err := s.Select(w.t.Context(), sel)
	require.NoError(w.t, err)
	found := map[string]map[int64]cell{}
	var it chunkenc.Iterator
	for set.Next() {
		name := set.At().Labels().Get("__name__")
		require.NotContains(w.t, found, name)
		it = set.At().Iterator(it)
		found[name], err = readWorldSeries(it)
		require.NoError(w.t, err, name)
	}
	require.NoError(w.t, set.Err())
	require.NoError(w.t, set.Close())
	return found
}
