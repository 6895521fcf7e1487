package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	promindex "github.com/prometheus/prometheus/tsdb/index"
	"github.com/prometheus/prometheus/tsdb/tombstones"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/transfer"
)

// now is when everything is imported.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *durable.Store {
	s, err := durable.Open(dir, durable.Options{
		Maintain: -1, Sync: time.Hour, Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func options(t *testing.T) transfer.Options { return transfer.Options{Scratch: t.TempDir(), Now: now} }

// content is everything in a store: series and their samples as text, stale markers and histograms too.
func content(t *testing.T, s engine.Engine) map[string][]string {
	set, err := s.Select(t.Context(), engine.Selection{Max: math.MaxInt64 / 4})
	require.NoError(t, err)
	all := map[string][]string{}
	for set.Next() {
		var samples []string
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			switch kind {
			case chunkenc.ValFloat:
				at, v := it.At()
				samples = append(samples, fmt.Sprintf("%d %x", at, math.Float64bits(v)))
			default:
				at, h := it.AtFloatHistogram(nil)
				samples = append(samples, fmt.Sprintf("%d %s", at, h))
			}
		}
		require.NoError(t, it.Err())
		all[set.At().Labels().String()] = samples
	}
	require.NoError(t, set.Err())
	require.NoError(t, set.Close())
	return all
}

func sample(t int64, v float64) string { return fmt.Sprintf("%d %x", t, math.Float64bits(v)) }

const base = 1_770_000_000 // seconds

func TestOpenMetrics(t *testing.T) {
	text := `# TYPE http counter
# HELP http What came in.
http_total{code="200"} 5 1770000000.001
http_total{code="200"} 7 1770000015.127
http_total{code="500"} 1 1770000000 # {trace="x"} 0.5 1770000000
# TYPE temp gauge
temp -Inf 1770000030.5
temp 1e300 1770000000
# EOF
`
	s := open(t, t.TempDir())
	opts := options(t)
	described := map[string]string{}
	opts.Describe = func(name, kind, unit, help string) { described[name] += kind + unit + help + ";" }
	report, err := transfer.Text(t.Context(), strings.NewReader(text), transfer.OpenMetrics, s, opts)
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{
		`{__name__="http_total", code="200"}`: {sample(base*1000+1, 5), sample(base*1000+15127, 7)},
		`{__name__="http_total", code="500"}`: {sample(base*1000, 1)},
		`{__name__="temp"}`:                   {sample(base*1000, 1e300), sample(base*1000+30500, math.Inf(-1))},
	}, content(t, s))
	assert.Equal(t, int64(3), report.Series)
	assert.Equal(t, int64(5), report.Samples)
	assert.Equal(t, map[string]int64{transfer.LeftExemplars: 1}, report.LeftOut)
	assert.Contains(t, described["http_total"], "counter;")
	assert.Contains(t, described["temp"], "gauge")
}

func TestPrometheusText(t *testing.T) {
	text := "# TYPE a gauge\na{x=\"1\"} 1 1770000000000\na{x=\"1\"} 2\nb 3 1770000000500\n"
	s := open(t, t.TempDir())
	opts := options(t)
	_, err := transfer.Text(t.Context(), strings.NewReader(text), transfer.Prometheus, s, opts)
	require.ErrorContains(t, err, `line 3, "a{x=\"1\"} 2": the sample has no time`)
	assert.Empty(t, content(t, s))
	opts.Time = now.Add(-time.Hour)
	_, err = transfer.Text(t.Context(), strings.NewReader(text), transfer.Prometheus, s, opts)
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{
		`{__name__="a", x="1"}`: {sample(base*1000, 1), sample(opts.Time.UnixMilli(), 2)}, `{__name__="b"}`: {sample(base*1000+500, 3)},
	}, content(t, s))
}

// TestTextErrors names the line, and imports nothing.
func TestTextErrors(t *testing.T) {
	fill := strings.Repeat("filler{a=\"b\"} 1 1770000000\n", 20_000) // of several pieces
	for name, c := range map[string]struct {
		text, want string
		line       int
	}{
		"value":      {fill + "x{a=\"1\"} abc 1770000000\n# EOF\n", `x{a=\"1\"} abc`, 20_001},
		"braces":     {"x 1 1770000000\n\n" + "# HELP y z\n" + fill, "", 2},
		"no end":     {fill, "was cut short", 0},
		"behind end": {"x 1 1770000000\n# EOF\ny 1 1770000000\n", "more behind the end mark", 3},
		"ms as s":    {"x 1 1770000000\n" + fill + "x 1 1770000000000\n# EOF\n", "OpenMetrics has seconds", 20_002},
		"no time":    {"x 1\n# EOF\n", "has no time", 1},
		"byte 0":     {"x 1 1770000000\ny 1 177\x00\nz 1 1770000000\n# EOF\n", "it has a byte 0", 2},
		"labels":     {"y 1 1770000000\nx{a=\"" + strings.Repeat("v", 5000) + "\"} 1 1770000000\n# EOF\n", "value of 5000 bytes", 2},
		"long line":  {"x{a=\"" + strings.Repeat("v", 2<<20) + "\"} 1 1770000000\n# EOF\n", "token too long", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			_, err := transfer.Text(t.Context(), strings.NewReader(c.text), transfer.OpenMetrics, s, options(t))
			require.ErrorContains(t, err, c.want)
			if c.line > 0 {
				var at *transfer.TextError
				require.ErrorAs(t, err, &at)
				assert.Equal(t, c.line, at.Line)
			}
			assert.Empty(t, content(t, s))
		})
	}
	s := open(t, t.TempDir())
	_, err := transfer.Text(t.Context(), strings.NewReader("x 1 1770000000000\n\x00\nz 1 1770000000000\n"), transfer.Prometheus, s, options(t))
	require.ErrorContains(t, err, "it has a byte 0", "at which Prometheus's parser ends without a word")
	assert.Empty(t, content(t, s))
	broken := io.MultiReader(strings.NewReader(fill), brokenReader{})
	_, err = transfer.Text(t.Context(), broken, transfer.OpenMetrics, open(t, t.TempDir()), options(t))
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("the cable is out")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

// TestAnyOrder imports samples in any order with little memory: of equal times the last one stays.
func TestAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]map[int64]float64{}
	var text strings.Builder
	for i := range 20_000 {
		name, label := random.IntN(5), random.IntN(4)
		series := fmt.Sprintf(`{__name__="m%d", a="%d"}`, name, label)
		at := base*1000 + random.Int64N(10*24*3600)*1000
		if want[series] == nil {
			want[series] = map[int64]float64{}
		}
		want[series][at] = float64(i)
		fmt.Fprintf(&text, "m%d{a=\"%d\"} %d %d\n", name, label, i, at/1000)
	}
	text.WriteString("# EOF\n")
	s := open(t, t.TempDir())
	opts := options(t)
	opts.Buffer = 3000
	report, err := transfer.Text(t.Context(), strings.NewReader(text.String()), transfer.OpenMetrics, s, opts)
	require.NoError(t, err)
	check := func() {
		got := content(t, s)
		require.Len(t, got, len(want))
		for series, samples := range want {
			require.Len(t, got[series], len(samples), series)
			for at, v := range samples {
				require.Contains(t, got[series], sample(at, v))
			}
		}
	}
	check()
	assert.Greater(t, report.Blocks, int64(7))
	require.NoError(t, s.Maintain(t.Context())) // merges, and makes windows
	check()
	raw := 0
	for _, b := range s.Stats().Blocks {
		if b.Tier == engine.TierRaw {
			raw++
		}
	}
	assert.LessOrEqual(t, raw, 11, "a block a day")
	files, err := os.ReadDir(opts.Scratch)
	require.NoError(t, err)
	assert.Empty(t, files)
}

// TestRoundTrip exports what was written and imports that elsewhere.
func TestRoundTrip(t *testing.T) {
	s := open(t, t.TempDir())
	var batch engine.Batch
	random := rand.New(rand.NewPCG(3, 4))
	values := []float64{0, math.Copysign(0, -1), 1.5, -2e-308, math.SmallestNonzeroFloat64, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.Float64frombits(value.NormalNaN), 0.1, 1.0 / 3}
	for _, lset := range []labels.Labels{
		labels.FromStrings("__name__", "plain"), labels.FromStrings("__name__", "cpu_seconds_total", "A", "upper sorts before the name", "b", "x"),
		labels.FromStrings("__name__", "cpu_seconds_total", "b", "quotes \" \\ and\nlines"), labels.FromStrings("__name__", "dotted.name", "härte", "é"),
		labels.FromStrings("__name__", "cpu"), labels.FromStrings("__name__", "job:rate:5m", "job", "x"),
	} {
		ref, err := s.Ref(lset)
		require.NoError(t, err)
		for i := range 100 {
			at := now.Add(-20*time.Minute).UnixMilli() + int64(i)*3_001
			batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at, V: values[random.IntN(len(values))]})
		}
	}
	done, err := s.Append(t.Context(), batch)
	require.NoError(t, err)
	require.Empty(t, done.Refused)
	var text bytes.Buffer
	opts := transfer.ExportOptions{MaxTime: math.MaxInt64 / 4, Describe: func(name string) (kind, unit, help string) {
		return map[bool]string{true: "counter", false: "gauge"}[strings.HasSuffix(name, "_total")], "seconds", "What \\ it\nis."
	}}
	report, err := transfer.Export(t.Context(), s, &text, opts)
	require.NoError(t, err)
	assert.Equal(t, int64(600), report.Samples)
	assert.Contains(t, text.String(), "# TYPE cpu_seconds counter\n# UNIT cpu_seconds seconds\n# HELP cpu_seconds What \\\\ it\\nis.\n")
	for _, maintain := range []bool{false, true} {
		again := open(t, t.TempDir())
		_, err = transfer.Text(t.Context(), bytes.NewReader(text.Bytes()), transfer.OpenMetrics, again, options(t))
		require.NoError(t, err)
		if maintain {
			require.NoError(t, again.Maintain(t.Context()))
		}
		assert.Equal(t, content(t, s), content(t, again))
	}

	// Series that several selectors choose are there once.
	text.Reset()
	opts.Match = [][]*labels.Matcher{
		{labels.MustNewMatcher(labels.MatchEqual, "__name__", "cpu_seconds_total")}, {labels.MustNewMatcher(labels.MatchEqual, "b", "x")},
	}
	report, err = transfer.Export(t.Context(), s, &text, opts)
	require.NoError(t, err)
	assert.Equal(t, int64(200), report.Samples)
	assert.Equal(t, int64(2), report.Series)
}

// TestExportLeavesOut counts what OpenMetrics has no place for.
func TestExportLeavesOut(t *testing.T) {
	s := open(t, t.TempDir())
	ref, err := s.Ref(labels.FromStrings("__name__", "a"))
	require.NoError(t, err)
	at := now.UnixMilli()
	_, err = s.Append(t.Context(), engine.Batch{
		Samples:    []engine.Sample{{Ref: ref, T: at, V: 1}, {Ref: ref, T: at + 1, V: math.Float64frombits(value.StaleNaN)}},
		Histograms: []engine.HistogramSample{{Ref: ref, T: at + 2, Float: &histogram.FloatHistogram{}}},
	})
	require.NoError(t, err)
	var text bytes.Buffer
	report, err := transfer.Export(t.Context(), s, &text, transfer.ExportOptions{MaxTime: math.MaxInt64 / 4})
	require.NoError(t, err)
	assert.Equal(t, "a 1 1772366400\n# EOF\n", text.String())
	assert.Equal(t, map[string]int64{transfer.LeftStale: 1, transfer.LeftHistograms: 1}, report.LeftOut)
}

// TestPrometheusBlock imports a block with all kinds of samples, of several days, and deleted ones.
func TestPrometheusBlock(t *testing.T) {
	dir := t.TempDir()
	begin := now.Add(-80 * time.Hour).UnixMilli()
	want := writePromBlock(t, filepath.Join(dir, "01KBLOCK"), begin)
	blocks, err := transfer.PrometheusBlocks(dir)
	require.NoError(t, err)
	require.Len(t, blocks, 1)
	s := open(t, t.TempDir())
	report, err := transfer.PrometheusBlock(t.Context(), blocks[0], s, options(t))
	require.NoError(t, err)
	for _, maintain := range []bool{false, true} {
		if maintain {
			require.NoError(t, s.Maintain(t.Context()))
		}
		got := content(t, s)
		require.Len(t, got, len(want))
		for series, samples := range want {
			assert.Equal(t, samples, got[series], series)
		}
	}
	assert.Equal(t, int64(3), report.Series)
	assert.Equal(t, map[string]int64{transfer.LeftDeleted: 100}, report.LeftOut)
	assert.GreaterOrEqual(t, report.Blocks, int64(3))

	_, err = transfer.PrometheusBlocks(t.TempDir())
	require.ErrorContains(t, err, "no block of Prometheus")
	index := filepath.Join(blocks[0], "index")
	text, err := os.ReadFile(index)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(index, text[:len(text)/2], 0o600))
	empty := open(t, t.TempDir())
	_, err = transfer.PrometheusBlock(t.Context(), blocks[0], empty, options(t))
	require.ErrorContains(t, err, blocks[0])
	assert.Empty(t, content(t, empty))
}

// writePromBlock writes what Prometheus would, and returns the content without what is deleted.
func writePromBlock(t *testing.T, dir string, begin int64) map[string][]string {
	require.NoError(t, os.MkdirAll(dir, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "meta.json"), []byte(`{"version":1}`), 0o600))
	cw, err := chunks.NewWriter(filepath.Join(dir, "chunks"))
	require.NoError(t, err)
	iw, err := promindex.NewWriter(t.Context(), filepath.Join(dir, "index"))
	require.NoError(t, err)
	for _, symbol := range []string{"", "__name__", "a", "b", "floats", "histograms", "x"} {
		if symbol != "" {
			require.NoError(t, iw.AddSymbol(symbol))
		}
	}
	want := map[string][]string{}
	deleted := tombstones.NewMemTombstones()
	ref := promindex.EmptyPostings().At()
	for i, lset := range []labels.Labels{
		labels.FromStrings("__name__", "floats", "a", "b"), labels.FromStrings("__name__", "floats", "a", "x"), labels.FromStrings("__name__", "histograms"),
	} {
		var metas []chunks.Meta
		for c := range 40 {
			first := begin + int64(c*120)*60_000
			var chunk chunkenc.Chunk
			if i < 2 {
				chunk, want[lset.String()] = floatChunk(t, first, want[lset.String()])
			} else {
				chunk, want[lset.String()] = histogramChunk(t, first, want[lset.String()])
			}
			metas = append(metas, chunks.Meta{Chunk: chunk, MinTime: first, MaxTime: first + 119*60_000})
		}
		require.NoError(t, cw.WriteChunks(metas...))
		require.NoError(t, iw.AddSeries(ref, lset, metas...))
		ref++
	}
	require.NoError(t, cw.Close())
	require.NoError(t, iw.Close())

	r, err := promindex.NewFileReader(filepath.Join(dir, "index"), promindex.DecodePostingsRaw)
	require.NoError(t, err)
	name, all := promindex.AllPostingsKey()
	postings, err := r.Postings(t.Context(), name, all)
	require.NoError(t, err)
	require.True(t, postings.Next())
	deleted.AddInterval(postings.At(), tombstones.Interval{Mint: begin + 1000*60_000, Maxt: begin + 1099*60_000})
	require.NoError(t, r.Close())
	_, err = tombstones.WriteFile(slog.New(slog.DiscardHandler), dir, deleted)
	require.NoError(t, err)
	first := `{__name__="floats", a="b"}`
	want[first] = append(want[first][:1000:1000], want[first][1100:]...)
	return want
}

func floatChunk(t *testing.T, first int64, samples []string) (chunkenc.Chunk, []string) {
	chunk := chunkenc.NewXORChunk()
	app, err := chunk.Appender()
	require.NoError(t, err)
	for i := range int64(120) {
		v := float64(i) * 1.25
		if i == 60 {
			v = math.Float64frombits(value.StaleNaN)
		}
		app.Append(0, first+i*60_000, v)
		samples = append(samples, sample(first+i*60_000, v))
	}
	return chunk, samples
}

func histogramChunk(t *testing.T, first int64, samples []string) (chunkenc.Chunk, []string) {
	chunk := chunkenc.NewFloatHistogramChunk()
	app, err := chunk.Appender()
	require.NoError(t, err)
	for i := range int64(120) {
		h := &histogram.FloatHistogram{
			Schema: 2, Count: float64(i + 1), Sum: float64(i), ZeroThreshold: 0.01,
			PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{float64(i + 1)},
		}
		_, _, app, err = app.AppendFloatHistogram(nil, 0, first+i*60_000, h, false)
		require.NoError(t, err)
		samples = append(samples, fmt.Sprintf("%d %s", first+i*60_000, h))
	}
	return chunk, samples
}

// BenchmarkText imports 1,000 series with a sample a minute for a day.
func BenchmarkText(b *testing.B) {
	var text strings.Builder
	for series := range 1000 {
		for minute := range 1440 {
			fmt.Fprintf(&text, "vm_cpu_seconds_total{vm_name=\"vm-%d\",host=\"h1\"} %d %d\n", series, minute*series, base+minute*60)
		}
	}
	text.WriteString("# EOF\n")
	for b.Loop() {
		s, err := durable.Open(b.TempDir(), durable.Options{Maintain: -1, Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
		require.NoError(b, err)
		_, err = transfer.Text(b.Context(), strings.NewReader(text.String()), transfer.OpenMetrics, s, transfer.Options{Scratch: b.TempDir(), Now: now})
		require.NoError(b, err)
		require.NoError(b, s.Close())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000*1440), "ns/sample")
}
