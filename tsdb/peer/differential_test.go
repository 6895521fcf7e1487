package peer

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

// How much one run of the test compares.
const (
	histories = 25
	rounds    = 6
	asked     = 25 // questions after each round
)

// firstSeed is the seed of the first history; NOVACRON_SEED repeats one.
func firstSeed(t *testing.T) uint64 {
	if text := os.Getenv("NOVACRON_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return seed
	}
	return uint64(time.Now().UnixNano())
}

// TestDifferential writes random histories to each engine and to Prometheus's, closes and opens them now and then, and
// asks both the same.
func TestDifferential(t *testing.T) {
	for _, name := range []string{"memory", "durable"} {
		t.Run(name, func(t *testing.T) {
			seed, cases := firstSeed(t), 0
			for i := range uint64(histories) {
				t.Run(fmt.Sprint("seed=", seed+i), func(t *testing.T) { cases += compareHistory(t, engines[name], seed+i) })
			}
			t.Logf("differential engine=%s seed=%d histories=%d cases=%d", name, seed, histories, cases)
		})
	}
}

// pair is an engine and Prometheus's, with the same samples in them.
type pair struct {
	*rand.Rand
	subject          subject
	ourDir, theirDir string
	ours             engine.Engine
	theirs           *tsdb.DB
	written          [series]map[int64]sample // by time, for samples that are sent twice
	newest           [series]int64
}

// sample is a float or a histogram at a time.
type sample struct {
	v     float64
	whole *histogram.Histogram
	float *histogram.FloatHistogram
}

const (
	series = 9
	day    = int64(24 * 3600 * 1000)
	start  = int64(1_800_000_000_000)
)

func lsetOf(i int) labels.Labels {
	return labels.FromStrings("__name__", fmt.Sprint("m", i%2), "i", fmt.Sprint(i), "third", fmt.Sprint(i%3))
}

func compareHistory(t *testing.T, s subject, seed uint64) (cases int) {
	p := &pair{Rand: rand.New(rand.NewPCG(seed, 0)), subject: s, ourDir: t.TempDir(), theirDir: t.TempDir()}
	p.open(t)
	defer func() { p.close(t) }()
	for i := range p.written {
		p.written[i], p.newest[i] = map[int64]sample{}, start+p.Int64N(day/4)
	}
	for range rounds {
		for range 1 + p.IntN(4) {
			p.append(t)
		}
		if p.IntN(2) == 0 {
			p.reopen(t)
		}
		cases += p.ask(t)
	}
	if s.settle != nil {
		s.settle(t, p.ours)
		cases += p.ask(t)
		p.reopen(t)
		cases += p.ask(t)
	}
	return cases
}

func (p *pair) open(t *testing.T) {
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration, opts.OutOfOrderTimeWindow = 0, 10*day
	var err error
	p.theirs, err = tsdb.Open(p.theirDir, nil, nil, opts, nil)
	require.NoError(t, err)
	p.theirs.DisableCompactions()
	p.ours = p.subject.open(t, p.ourDir)
}

func (p *pair) close(t *testing.T) {
	require.NoError(t, p.theirs.Close())
	require.NoError(t, p.ours.Close())
}

// reopen does nothing to an engine that outlives nothing.
func (p *pair) reopen(t *testing.T) {
	if p.subject.settle == nil {
		return
	}
	p.close(t)
	p.open(t)
}

// append writes a batch to both.
func (p *pair) append(t *testing.T) {
	theirs, ours := p.theirs.AppenderV2(t.Context()), newShard(p.ours).AppenderV2(t.Context())
	sent := [series]map[int64]bool{} // Prometheus sees duplicates only of what is committed
	for range 1 + p.IntN(300) {
		i := p.IntN(series)
		at, s := p.draw(i)
		if sent[i] == nil {
			sent[i] = map[int64]bool{}
		}
		if sent[i][at] {
			continue
		}
		_, again := p.written[i][at]
		sent[i][at], p.written[i][at] = true, s
		for _, app := range []storage.AppenderV2{theirs, ours} {
			_, err := app.Append(0, lsetOf(i), 0, at, s.v, copied(s.whole), copiedFloat(s.float), storage.AppendV2Options{})
			if again && app == theirs && errors.Is(err, storage.ErrDuplicateSampleForTimestamp) {
				continue // the same sample, refused where floats and histograms are mixed: it has it
			}
			require.NoError(t, err)
		}
	}
	require.NoError(t, theirs.Commit())
	require.NoError(t, ours.Commit())
}

// draw makes the next sample of a series: mostly a new one, sometimes one of the past, or one that was sent already.
func (p *pair) draw(i int) (int64, sample) {
	step := []int64{1, 15_000, 60_000, 600_000, 3_600_000}[p.IntN(5)]
	switch p.IntN(10) {
	case 0:
		if times := slices.Sorted(maps.Keys(p.written[i])); len(times) > 0 {
			at := times[p.IntN(len(times))]
			return at, p.written[i][at]
		}
	case 1, 2:
		at := p.newest[i] - p.Int64N(day/4)
		if s, taken := p.written[i][at]; taken {
			return at, s
		}
		return at, p.value(i)
	}
	p.newest[i] += 1 + p.Int64N(step)
	return p.newest[i], p.value(i)
}

// value is a float for most series, and a histogram of one kind or the other for some.
func (p *pair) value(i int) sample {
	h := &histogram.Histogram{
		Schema: int32(p.IntN(3)), ZeroThreshold: 0.01, ZeroCount: p.Uint64N(5), Sum: p.Float64() * 100,
		PositiveSpans:   []histogram.Span{{Offset: int32(p.IntN(4)), Length: 2}, {Offset: 1 + int32(p.IntN(3)), Length: 1}},
		PositiveBuckets: []int64{int64(p.IntN(9)), int64(p.IntN(9)), int64(p.IntN(9))},
	}
	if p.IntN(4) == 0 {
		h.CounterResetHint = histogram.GaugeType
	}
	b := h.PositiveBuckets
	h.Count = h.ZeroCount + uint64(3*b[0]+2*b[1]+b[2])
	switch {
	case i == 6 || i == 8 && p.IntN(2) == 0:
		return sample{whole: h}
	case i == 7 || i == 8 && p.IntN(2) == 0:
		return sample{float: h.ToFloat(nil)}
	}
	special := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64}
	if i < 6 { // Prometheus writes those in series of histograms as histograms
		special = append(special, math.Float64frombits(value.StaleNaN))
	}
	switch n := p.IntN(40); {
	case n < len(special):
		return sample{v: special[n]}
	case n < 20:
		return sample{v: float64(p.IntN(1000)) / 10}
	}
	return sample{v: math.Float64frombits(p.Uint64())}
}

func copied(h *histogram.Histogram) *histogram.Histogram {
	if h == nil {
		return nil
	}
	return h.Copy()
}

func copiedFloat(h *histogram.FloatHistogram) *histogram.FloatHistogram {
	if h == nil {
		return nil
	}
	return h.Copy()
}

// ask compares the answers to random questions.
func (p *pair) ask(t *testing.T) int {
	for range asked {
		minT := start - day/2 + p.Int64N(3*day)
		maxT := minT + p.Int64N([]int64{60_000, 3_600_000, day, 4 * day}[p.IntN(4)])
		matchers := p.matchers()
		q, err := p.theirs.Querier(minT, maxT)
		require.NoError(t, err)
		want := drain(t, q, matchers)
		q, err = newShard(p.ours).Querier(minT, maxT)
		require.NoError(t, err)
		require.Equal(t, want, drain(t, q, matchers), "from %d to %d, %v", minT, maxT, matchers)
	}
	return asked
}

func (p *pair) matchers() []*labels.Matcher {
	var all []*labels.Matcher
	for range 1 + p.IntN(3) {
		name := []string{"__name__", "i", "third", "none"}[p.IntN(4)]
		pattern := map[string][]string{
			"__name__": {"m0", "m1", "m.", "m[01]", ""}, "i": {"3", "1|4|7", "[2-6]", "", ".+"}, "third": {"0", "1|2", ".*", ""}, "none": {"", ".*", "x", ".+"},
		}[name]
		all = append(all, labels.MustNewMatcher(labels.MatchType(p.IntN(4)), name, pattern[p.IntN(len(pattern))]))
	}
	return all
}

// drain reads everything that matches as text, by series; series without samples are left out.
func drain(t *testing.T, q storage.Querier, matchers []*labels.Matcher) map[string][]string {
	defer func() { require.NoError(t, q.Close()) }()
	answer := map[string][]string{}
	set := q.Select(t.Context(), true, nil, matchers...)
	var it chunkenc.Iterator
	for set.Next() {
		name := set.At().Labels().String()
		require.NotContains(t, answer, name)
		it = set.At().Iterator(it)
		var points []string
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			points = append(points, text(it, kind))
		}
		require.NoError(t, it.Err())
		if len(points) > 0 {
			answer[name] = points
		}
	}
	require.NoError(t, set.Err())
	return answer
}

// text shows a sample so that equal ones look the same: floats by their bits, histograms without what storing them may
// change, which are empty buckets and the hints of counters.
func text(it chunkenc.Iterator, kind chunkenc.ValueType) string {
	if kind == chunkenc.ValFloat {
		at, v := it.At()
		return fmt.Sprintf("%d %x", at, math.Float64bits(v))
	}
	at, h := it.AtFloatHistogram(nil)
	if h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return fmt.Sprintf("%d %v %d %s", at, kind, h.CounterResetHint, h.Copy().Compact(0)) // it may be the iterator's own
}
