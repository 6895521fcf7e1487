package durable_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// injuries is how many damaged stores one run of TestDamageAtRest opens; NOVACRON_INJURIES is another number.
const injuries = 200

// TestDamageAtRest spoils one file of a whole store, which has a log, blocks of all sizes, windows and tombstones, and
// opens it: the damage is found and told, it costs no more than the file it is in, nobody reads what was never written,
// and the store goes on.
func TestDamageAtRest(t *testing.T) {
	n, seed := fromEnvironment(t, "NOVACRON_INJURIES", injuries), worldSeed(t)
	if testing.Short() {
		n = min(n, 50)
	}
	p := newPatient(t, seed)
	kinds := map[string]int{}
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		what := p.operate(t, rng, i)
		kinds[what]++
		if t.Failed() {
			t.Logf("seed %d, injury %d", seed, i)
			return
		}
	}
	t.Logf("seed %d, %d injuries: %v", seed, n, kinds)
}

// patient is a store at rest, and what is in it.
type patient struct {
	dir   string
	files []string // of which one is spoiled
	opts  durable.Options
	now   time.Time
	// sealed is the time from which on samples lie in the log alone.
	sealed int64
	metas  []block.Meta
	// want are all samples, written all values that a sample ever had, windows those of each tier.
	want    map[string]map[int64]cell
	written map[string]map[int64][]cell
	windows map[engine.Tier]map[string]map[int64]float64
}

// newPatient fills a store for three days.
func newPatient(t *testing.T, seed uint64) *patient {
	rng := rand.New(rand.NewPCG(seed, math.MaxUint64))
	l := newLive(t, func(o *durable.Options) { o.Retention.Raw = 60 * time.Hour })
	p := &patient{dir: l.dir, written: map[string]map[int64][]cell{}, windows: map[engine.Tier]map[string]map[int64]float64{}}
	number := uint64(0)
	for i := range 3 * 24 * 4 {
		l.clock.set(start.Add(time.Duration(i) * 15 * time.Minute))
		var batch engine.Batch
		for s := range 12 {
			name, at := fmt.Sprint("m", s), l.clock.Now().UnixMilli()-rng.Int64N(40)
			if rng.IntN(10) == 0 {
				at -= rng.Int64N(1_800_000) // late
			}
			ref, err := l.Ref(labels.FromStrings("__name__", name))
			require.NoError(t, err)
			number++
			c := cell{stored: stored{'f', math.Float64bits(float64(number) * 1.1)}}
			if s >= 10 {
				c.stored = stored{'h', number}
				batch.Histograms = append(batch.Histograms, engine.HistogramSample{Ref: ref, T: at, Int: numbered(number)})
			} else {
				batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at, V: math.Float64frombits(c.Bits)})
			}
			if p.written[name] == nil {
				p.written[name] = map[int64][]cell{}
			}
			p.written[name][at] = append(p.written[name][at], c)
		}
		done, err := l.Append(t.Context(), batch)
		require.NoError(t, err)
		require.Empty(t, done.Refused)
		if i%4 == 3 {
			require.NoError(t, l.Maintain(t.Context()))
		}
		if i%37 == 36 || i == 3*24*4-3 {
			from := l.clock.Now().UnixMilli() - rng.Int64N(4*3_600_000)
			require.NoError(t, l.Delete(t.Context(), from, from+3_600_000, only(fmt.Sprint("m", rng.IntN(10)))...))
		}
		if i == 3*24*4-1 {
			l.imported("old", start.Add(30*time.Hour), 20, func(i int) float64 { return float64(i) }) // unrolled.json
			from := l.clock.Now().Add(-20 * time.Hour).UnixMilli()
			require.NoError(t, l.Delete(t.Context(), from, from+3_600_000, only("m[1-4]")...)) // tombstones
		}
		if i%50 == 49 || i == 3*24*4-2 {
			l.reopen() // goes on with another segment of the log
		}
	}
	p.written["old"] = map[int64][]cell{}
	p.now, p.opts, p.sealed, p.metas = l.clock.Now(), l.opts, l.Stats().SealedUntil, l.Stats().Blocks
	var err error
	p.want, err = readCellsOf(l.Store)
	require.NoError(t, err)
	for _, tier := range []engine.Tier{engine.TierFiveMinutes, engine.TierHour} {
		p.windows[tier], err = readCounts(l.Store, tier)
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	require.NoError(t, filepath.WalkDir(l.dir, func(path string, entry os.DirEntry, err error) error {
		if info, _ := entry.Info(); err == nil && !entry.IsDir() && info.Size() > 0 {
			name, _ := filepath.Rel(l.dir, path)
			p.files = append(p.files, name)
		}
		return err
	}))
	levels := map[string]bool{}
	for _, m := range p.metas {
		levels[fmt.Sprint(m.Tier, m.Level)] = true
	}
	require.GreaterOrEqual(t, len(levels), 4, "small and merged blocks of samples, and windows: %v", levels)
	require.Contains(t, p.files, "unrolled.json")
	require.True(t, slices.ContainsFunc(p.files, func(f string) bool { return strings.HasSuffix(f, "tombstones") }))
	return p
}

// told collects what a store says of damage.
type told struct {
	slog.Handler
	errors, crashes int
}

func (h *told) Enabled(context.Context, slog.Level) bool { return true }
func (h *told) Handle(_ context.Context, r slog.Record) error {
	switch {
	case r.Level >= slog.LevelWarn:
		h.errors++
	case strings.Contains(r.Message, "cut short by a crash"):
		h.crashes++
	}
	return nil
}

// operate spoils a file of a copy, and looks at what is left of it.
func (p *patient) operate(t *testing.T, rng *rand.Rand, i int) string {
	dir := filepath.Join(filepath.Dir(p.dir), fmt.Sprint("injured", i))
	file := p.pick(rng)
	p.copyTo(t, dir, file)
	defer os.RemoveAll(dir)
	how := injure(t, rng, filepath.Join(dir, file))
	if how == "" {
		return "none"
	}
	kind := classOf(file)
	name := fmt.Sprintf("injury %d: %s of %s", i, how, file)
	t.Run(name, func(t *testing.T) { p.examine(t, dir, file, kind) })
	return kind
}

// copyTo makes a store of links, which nobody writes to, and of a copy of the file that is spoiled.
func (p *patient) copyTo(t *testing.T, dir, spoiled string) {
	for _, file := range p.files {
		if file == "head.image" && classOf(spoiled) == "log" {
			continue // it would spare reading the log
		}
		to := filepath.Join(dir, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o750))
		if file != spoiled {
			require.NoError(t, os.Link(filepath.Join(p.dir, file), to))
			continue
		}
		text, err := os.ReadFile(filepath.Join(p.dir, file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, text, 0o600))
	}
}

// pick takes each kind of file as often, however many of it there are.
func (p *patient) pick(rng *rand.Rand) string {
	byKind := map[string][]string{}
	var kinds []string
	for _, f := range p.files {
		k := classOf(f)
		if byKind[k] == nil {
			kinds = append(kinds, k)
		}
		byKind[k] = append(byKind[k], f)
	}
	of := byKind[kinds[rng.IntN(len(kinds))]]
	return of[rng.IntN(len(of))]
}

func classOf(file string) string {
	switch base := filepath.Base(file); {
	case strings.HasPrefix(file, "log"):
		return "log"
	case strings.HasPrefix(file, "blocks"):
		return strings.TrimRight(base, "0123456789")
	default:
		return base
	}
}

// injure does harm to a file, and says how; nothing where the file is as before.
func injure(t *testing.T, rng *rand.Rand, path string) string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before := slices.Clone(text)
	how := ""
	at := rng.IntN(len(text))
	switch rng.IntN(5) {
	case 0, 1:
		how = fmt.Sprintf("flipped bit at %d", at)
		text[at] ^= 1 << rng.IntN(8)
	case 2:
		how = fmt.Sprintf("zeros at %d", at)
		clear(text[at:min(at+512, len(text))])
	case 3:
		how = fmt.Sprintf("noise at %d", at)
		for i := at; i < min(at+512, len(text)); i++ {
			text[i] = byte(rng.Uint32())
		}
	case 4:
		how = fmt.Sprintf("cut at %d", at)
		text = text[:at]
	}
	if string(text) == string(before) {
		return ""
	}
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return how
}

// examine opens a spoiled store.
func (p *patient) examine(t *testing.T, dir, file, kind string) {
	opts, heard := p.opts, &told{}
	opts.Log = slog.New(heard)
	now := p.now
	opts.Clock = func() time.Time { return now }
	if strings.HasPrefix(file, "blocks") {
		require.True(t, verifyFinds(t, dir), "no verification finds it")
	}
	s, err := durable.Open(dir, opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	lost := p.compare(t, s, file, kind)
	for tier := range p.windows {
		lost += p.compareWindows(t, s, tier, file, kind)
	}
	_, err = s.LabelNames(t.Context(), 0, math.MaxInt64, 0)
	require.NoError(t, err)
	stats := s.Stats()
	isTold := stats.Damaged > 0 && heard.errors > 0 || len(stats.Unreadable) > 0 && heard.errors > 0 || kind == "log" && heard.crashes > 0
	require.True(t, isTold || lost == 0, "%d samples are lost and nobody was told", lost)
	if kind == "unrolled.json" {
		require.True(t, isTold, "damage was not told")
	}
	// It goes on: new samples, upkeep, and the same answers as far as they are not touched.
	now = now.Add(5 * time.Minute)
	ref, err := s.Ref(labels.FromStrings("__name__", "new"))
	require.NoError(t, err)
	_, err = s.Append(t.Context(), engine.Batch{Samples: []engine.Sample{{Ref: ref, T: now.UnixMilli(), V: 1}}})
	require.NoError(t, err)
	now = now.Add(7 * time.Hour)
	require.NoError(t, s.Maintain(t.Context()))
	p.compare(t, s, file, kind)
}

func verifyFinds(t *testing.T, dir string) bool {
	folders, err := block.List(filepath.Join(dir, "blocks"))
	require.NoError(t, err)
	for _, folder := range folders {
		if r, err := block.Verify(t.Context(), folder); err != nil || !r.OK() {
			return true
		}
	}
	return false
}

// hurt tells whether the samples or windows of a tier at a time may be lost.
func (p *patient) hurt(tier engine.Tier, t int64, file, kind string) bool {
	if kind == "log" {
		return tier == engine.TierRaw && t >= p.sealed || tier != engine.TierRaw && t+tier.Window() >= p.sealed
	}
	for _, m := range p.metas {
		if !strings.Contains(file, m.ID.String()) {
			continue
		}
		if m.Tier == engine.TierRaw { // windows that are made while reading are made of it
			return m.MinTime <= t && t-tier.Window() <= m.MaxTime
		}
		return m.Tier == tier && m.MinTime <= t && t <= m.MaxTime
	}
	return false
}

// compare counts the samples that are lost; none may be that are not hurt, and none may be others.
func (p *patient) compare(t *testing.T, s *durable.Store, file, kind string) (lost int) {
	got, err := readCellsOf(s)
	require.NoError(t, err)
	p.compareMatched(t, s, got)
	delete(got, "new")
	for name, cells := range p.want {
		for at, want := range cells {
			have, there := got[name][at]
			delete(got[name], at)
			switch {
			case have == want:
			case !there && p.hurt(engine.TierRaw, at, file, kind):
				lost++
			case kind == "log" && at >= p.sealed && slices.Contains(p.written[name][at], have):
				lost++ // the one that replaced it is lost
			default:
				require.Failf(t, "contained", "%s at %s holds %v, written was %v", name, clockOf(at), have, want)
			}
		}
	}
	for name, cells := range got {
		for at, have := range cells {
			ok := kind == "log" && at >= p.sealed && slices.Contains(p.written[name][at], have) // its deletion is lost
			require.True(t, ok, "%s at %s holds %v, which is deleted or was never written", name, clockOf(at), have)
			lost++
		}
	}
	return lost
}

// compareMatched asks for some of the series: what is found has to be those of all, whatever is damaged.
func (p *patient) compareMatched(t *testing.T, s *durable.Store, all map[string]map[int64]cell) {
	for _, m := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "m3"), labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m1.*"),
		labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "m5"), labels.MustNewMatcher(labels.MatchEqual, "other", ""),
	} {
		want := map[string]map[int64]cell{}
		for name, cells := range all {
			if (m.Name == "other" || m.Matches(name)) && len(cells) > 0 {
				want[name] = cells
			}
		}
		got, err := readCellsOf(s, m)
		require.NoError(t, err)
		maps.DeleteFunc(got, func(_ string, cells map[int64]cell) bool { return len(cells) == 0 })
		require.Equal(t, want, got, m.String())
	}
	names, err := s.LabelValues(t.Context(), "__name__", math.MinInt64, math.MaxInt64, 0)
	require.NoError(t, err)
	for name, cells := range all {
		require.True(t, len(cells) == 0 || slices.Contains(names, name), name)
	}
	for _, name := range names {
		require.True(t, p.want[name] != nil || name == "new", "no series has the name %q", name)
	}
}

func (p *patient) compareWindows(t *testing.T, s *durable.Store, tier engine.Tier, file, kind string) (lost int) {
	got, err := readCounts(s, tier)
	require.NoError(t, err)
	for name, windows := range p.windows[tier] {
		for end, want := range windows {
			have, there := got[name][end]
			delete(got[name], end)
			if there && have == want {
				continue
			}
			require.True(t, p.hurt(tier, end, file, kind), "%s: window of %s at %s counts %v, it has to count %v", name, tier, clockOf(end), have, want)
			lost++
		}
	}
	for name, windows := range got {
		for end := range windows {
			require.True(t, p.hurt(tier, end, file, kind), "%s: window of %s at %s was not there", name, tier, clockOf(end))
			lost++
		}
	}
	return lost
}

func readCellsOf(s *durable.Store, matchers ...*labels.Matcher) (map[string]map[int64]cell, error) {
	set, err := s.Select(context.Background(), engine.Selection{Min: math.MinInt64, Max: math.MaxInt64, Matchers: matchers})
	if err != nil {
		return nil, err
	}
	defer set.Close()
	all := map[string]map[int64]cell{}
	for set.Next() {
		name := set.At().Labels().Get("__name__")
		if all[name], err = readWorldSeries(set.At().Iterator(nil)); err != nil {
			return nil, err
		}
	}
	return all, set.Err()
}

// readCounts reads how many floats each window has.
func readCounts(s *durable.Store, tier engine.Tier) (map[string]map[int64]float64, error) {
	set, err := s.Select(context.Background(), engine.Selection{Min: math.MinInt64 / 4, Max: math.MaxInt64 / 4, Tier: tier, Column: engine.ColumnCount})
	if err != nil {
		return nil, err
	}
	defer set.Close()
	all := map[string]map[int64]float64{}
	for set.Next() {
		name := set.At().Labels().Get("__name__")
		all[name] = map[int64]float64{}
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValFloat {
				t, v := it.At()
				all[name][t] = v
			}
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
	}
	return all, set.Err()
}
