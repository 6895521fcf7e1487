package merge

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
)

// sample is one sample of any type, in a form that can be compared.
type sample struct {
	t    int64
	kind chunkenc.ValueType
	v    float64
	st   int64
}

// point makes the histogram that stands for a value.
func point(v float64) *histogram.Histogram {
	return &histogram.Histogram{
		Count: uint64(v), Sum: v, Schema: 1, ZeroThreshold: 0.01,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []int64{int64(v)},
	}
}

// encode makes a chunk of samples of one type.
func encode(t testing.TB, samples []sample, kind chunk.Kind) Chunk {
	t.Helper()
	var times, starts []int64
	var values []float64
	var hs []*histogram.Histogram
	var fhs []*histogram.FloatHistogram
	for _, s := range samples {
		times, starts, values = append(times, s.t), append(starts, s.st), append(values, s.v)
		hs, fhs = append(hs, point(s.v)), append(fhs, point(s.v).ToFloat(nil))
	}
	switch kind {
	case chunk.KindXOR:
		return bounds(Chunk{Kind: kind, Values: xor(t, times, values)}, times)
	case chunk.KindDense:
		return WithStarts(NewDense(nil, nil, times, values), starts)
	case chunk.KindHistogram:
		return WithStarts(NewHistograms(times, hs), starts)
	case chunk.KindFloatHistogram:
		return WithStarts(NewFloatHistograms(times, fhs), starts)
	default:
		c, ok := NewRaw(&Columns{Type: chunkenc.ValFloat, Times: times, Values: values, Starts: starts})
		require.True(t, ok)
		return c
	}
}

func typeOf(kind chunk.Kind) chunkenc.ValueType {
	switch kind {
	case chunk.KindHistogram:
		return chunkenc.ValHistogram
	case chunk.KindFloatHistogram:
		return chunkenc.ValFloatHistogram
	default:
		return chunkenc.ValFloat
	}
}

// at reads where the iterator stands.
func at(t require.TestingT, it chunkenc.Iterator, kind chunkenc.ValueType) sample {
	s := sample{t: it.AtT(), st: it.AtST(), kind: kind}
	var same int64
	switch kind {
	case chunkenc.ValHistogram:
		var h *histogram.Histogram
		same, h = it.AtHistogram(nil)
		s.v = h.Sum
		_, f := it.AtFloatHistogram(nil)
		require.Equal(t, h.Sum, f.Sum)
	case chunkenc.ValFloatHistogram:
		var h *histogram.FloatHistogram
		same, h = it.AtFloatHistogram(nil)
		s.v = h.Sum
	default:
		same, s.v = it.At()
	}
	require.Equal(t, s.t, same)
	return s
}

// world is sources beside what must be read from them.
type world struct {
	sources []Source
	want    []sample
}

// drawWorld makes up sources of random chunks whose times collide often.
func drawWorld(t *rapid.T, tb testing.TB) world {
	var w world
	best := map[int64]sample{}
	ranks := map[int64]uint64{}
	for s := range rapid.IntRange(0, 4).Draw(t, "sources") {
		source := Source{Rank: uint64(rapid.IntRange(0, 2).Draw(t, "rank"))}
		at := int64(rapid.IntRange(0, 30).Draw(t, "start"))
		if rapid.IntRange(0, 2).Draw(t, "deletes") == 0 {
			for range rapid.IntRange(1, 3).Draw(t, "intervals") {
				from := int64(rapid.IntRange(0, 150).Draw(t, "from"))
				source.Deleted = append(source.Deleted, Interval{from, from + int64(rapid.IntRange(0, 20).Draw(t, "for"))})
			}
			source.Deleted = Join(source.Deleted)
		}
		for c := range rapid.IntRange(0, 4).Draw(t, "chunks") {
			kind := chunk.Kind(rapid.IntRange(0, 4).Draw(t, "kind"))
			var samples []sample
			started := kind != chunk.KindXOR && rapid.Bool().Draw(t, "started")
			for range rapid.IntRange(1, 12).Draw(t, "samples") {
				at += int64(rapid.IntRange(1, 4).Draw(t, "step"))
				one := sample{t: at, kind: typeOf(kind), v: float64(s*1000000 + c*10000 + int(at))}
				if started {
					one.st = max(0, at-int64(rapid.IntRange(0, 9).Draw(t, "since")))
				}
				samples = append(samples, one)
			}
			source.Chunks = append(source.Chunks, encode(tb, samples, kind))
			for _, one := range samples {
				gone := slices.ContainsFunc(source.Deleted, func(i Interval) bool { return i.Contains(Interval{one.t, one.t}) })
				if _, has := best[one.t]; !gone && (!has || source.Rank >= ranks[one.t]) {
					best[one.t], ranks[one.t] = one, source.Rank
				}
			}
		}
		w.sources = append(w.sources, source)
	}
	for _, s := range best {
		w.want = append(w.want, s)
	}
	sort.Slice(w.want, func(i, j int) bool { return w.want[i].t < w.want[j].t })
	return w
}

// TestIterator reads random sources, with random steps and leaps, as a plain list would be read.
func TestIterator(t *testing.T) {
	it := &Iterator{}
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, t)
		from, until := int64(math.MinInt64), int64(math.MaxInt64)
		if rapid.Bool().Draw(rt, "bounded") {
			from = int64(rapid.IntRange(-5, 120).Draw(rt, "from"))
			until = from + int64(rapid.IntRange(0, 100).Draw(rt, "length"))
			w.want = slices.DeleteFunc(w.want, func(s sample) bool { return s.t < from || s.t > until })
		}
		it.Reset(from, until, w.sources...)
		place := -1
		for place < len(w.want) {
			var kind chunkenc.ValueType
			if rapid.IntRange(0, 4).Draw(rt, "leap") == 0 {
				t := int64(rapid.IntRange(0, 180).Draw(rt, "to"))
				kind = it.Seek(t)
				if place < 0 || w.want[place].t < t {
					place++
					for place < len(w.want) && w.want[place].t < t {
						place++
					}
				}
			} else {
				kind = it.Next()
				place++
			}
			if place == len(w.want) {
				require.Equal(rt, chunkenc.ValNone, kind)
				require.NoError(rt, it.Err())
				require.Equal(rt, chunkenc.ValNone, it.Next(), "it stays at the end")
				return
			}
			require.Equal(rt, w.want[place].kind, kind, "at %d", w.want[place].t)
			require.Equal(rt, w.want[place], at(rt, it, kind))
		}
	})
}

// TestHistogramsAreCopies holds that nobody can change what the next reader sees.
func TestHistogramsAreCopies(t *testing.T) {
	raw, _ := NewRaw(&Columns{Type: chunkenc.ValHistogram, Times: []int64{1, 2}, Histograms: []*histogram.Histogram{point(1), point(2)}})
	floats := encode(t, []sample{{t: 3, v: 3}}, chunk.KindFloatHistogram)
	read := func() (sums []float64) {
		var it Iterator
		it.Reset(All.Min, All.Max, Source{Chunks: []Chunk{raw, floats}})
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValHistogram {
				_, h := it.AtHistogram(nil)
				sums = append(sums, h.Sum+float64(h.PositiveBuckets[0]))
				h.Sum, h.PositiveBuckets[0] = -1, -1
			}
			_, h := it.AtFloatHistogram(nil)
			sums = append(sums, h.Sum+h.PositiveBuckets[0])
			h.Sum, h.PositiveBuckets[0] = -1, -1
		}
		return sums
	}
	first := read()
	require.Equal(t, []float64{2, 2, 4, 4, 6}, first)
	require.Equal(t, first, read())
}

// TestHints holds that a hint of a reset is kept within a source, and given up where another sample came between.
func TestHints(t *testing.T) {
	run := func(from int64, hints ...histogram.CounterResetHint) Chunk {
		var times []int64
		var hs []*histogram.Histogram
		for i, hint := range hints {
			h := point(float64(i + 1))
			h.CounterResetHint = hint
			times, hs = append(times, from+int64(i)*10), append(hs, h)
		}
		c, _ := NewRaw(&Columns{Type: chunkenc.ValHistogram, Times: times, Histograms: hs})
		return c
	}
	const u, n, r, g = histogram.UnknownCounterReset, histogram.NotCounterReset, histogram.CounterReset, histogram.GaugeType
	for _, test := range []struct {
		name    string
		sources []Source
		want    []histogram.CounterResetHint
	}{
		{"one source", []Source{{Chunks: []Chunk{run(0, u, n, r), run(30, n, n)}}}, []histogram.CounterResetHint{u, n, r, n, n}},
		{"another comes between", []Source{{Chunks: []Chunk{run(0, u, n, n)}}, {Chunks: []Chunk{run(15, r)}}}, []histogram.CounterResetHint{u, n, u, u}},
		{"one is replaced", []Source{{Chunks: []Chunk{run(0, u, n, n)}}, {Chunks: []Chunk{run(10, r)}, Rank: 1}}, []histogram.CounterResetHint{u, u, u}},
		{"one is deleted", []Source{{Chunks: []Chunk{run(0, u), run(10, n), run(20, n, n)}, Deleted: []Interval{{10, 10}}}}, []histogram.CounterResetHint{u, u, n}},
		{"one within a chunk is deleted", []Source{{Chunks: []Chunk{run(0, u, n, n, n)}, Deleted: []Interval{{10, 10}}}}, []histogram.CounterResetHint{u, u, n}},
		{"gauges stay", []Source{{Chunks: []Chunk{run(0, g, g, g)}, Deleted: []Interval{{10, 10}}}, {Chunks: []Chunk{run(5, g)}}}, []histogram.CounterResetHint{g, g, g}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var it Iterator
			it.Reset(All.Min, All.Max, test.sources...)
			var got []histogram.CounterResetHint
			for it.Next() != chunkenc.ValNone {
				_, h := it.AtHistogram(nil)
				_, f := it.AtFloatHistogram(nil)
				require.Equal(t, h.CounterResetHint, f.CounterResetHint)
				got = append(got, h.CounterResetHint)
			}
			require.Equal(t, test.want, got)
		})
	}
}

// TestDamage holds that a chunk that lies about itself is an error, and that the rest is read when the caller likes.
func TestDamage(t *testing.T) {
	good := encode(t, []sample{{t: 1, v: 1}, {t: 2, v: 2}}, chunk.KindDense)
	for name, spoil := range map[string]func(c *Chunk){
		"count":   func(c *Chunk) { c.Count-- },
		"first":   func(c *Chunk) { c.Min-- },
		"last":    func(c *Chunk) { c.Max++ },
		"kind":    func(c *Chunk) { c.Kind = 77 },
		"times":   func(c *Chunk) { c.Times = c.Times[:1] },
		"values":  func(c *Chunk) { c.Values = c.Values[:1] },
		"windows": func(c *Chunk) { c.Kind = chunk.KindWindows },
		"length":  func(c *Chunk) { *c = Chunk{Kind: chunk.KindHistogram, Min: 1, Max: 2, Count: 2, Values: []byte{200}} },
	} {
		t.Run(name, func(t *testing.T) {
			bad := encode(t, []sample{{t: 3, v: 3}, {t: 4, v: 4}}, chunk.KindDense)
			spoil(&bad)
			after := encode(t, []sample{{t: 5, v: 5}}, chunk.KindXOR)
			source := Source{Chunks: []Chunk{good, bad, after}}
			var it Iterator
			it.Reset(All.Min, All.Max, source)
			n := 0
			for it.Next() != chunkenc.ValNone {
				n++
			}
			require.Equal(t, 2, n)
			require.Error(t, it.Err())
			require.Equal(t, chunkenc.ValNone, it.Next(), "an error ends the walk")

			var seen []error
			it.OnDamage(func(err error) error { seen = append(seen, err); return nil })
			it.Reset(All.Min, All.Max, source)
			for n = 0; it.Next() != chunkenc.ValNone; n++ {
			}
			require.NoError(t, it.Err())
			require.Equal(t, 3, n)
			require.Len(t, seen, 1)
		})
	}
}

func TestWindows(t *testing.T) {
	make := func(from int64, n int, v float64) Chunk {
		var w chunk.Windows
		for i := range n {
			w.End = append(w.End, from+int64(i)*10)
			w.FirstT, w.LastT = append(w.FirstT, from-9), append(w.LastT, from-1)
			for _, column := range []*[]float64{&w.Count, &w.Sum, &w.Min, &w.Max, &w.Last, &w.First, &w.Increase} {
				*column = append(*column, v+float64(i))
			}
		}
		return NewWindows(&w)
	}
	var it Iterator
	var got chunk.Windows
	sources := []Source{
		{Chunks: []Chunk{make(10, 3, 1), make(40, 2, 100)}, Deleted: []Interval{{20, 20}}},
		{Chunks: []Chunk{make(30, 2, 7)}, Rank: 1},
	}
	require.NoError(t, Windows(&got, &it, 10, 45, chunk.AllColumns, sources...))
	require.Equal(t, []int64{10, 30, 40}, got.End)
	require.Equal(t, []float64{1, 7, 8}, got.Sum)
	require.Equal(t, got.Sum, got.Increase)
	require.NoError(t, Windows(&got, &it, 0, 9, chunk.AllColumns, Source{Chunks: []Chunk{encode(t, []sample{{t: 5, v: 3}}, chunk.KindXOR)}}))
	require.Len(t, got.End, 3, "samples are no windows")
	require.Len(t, got.LastT, 3)

	it.Reset(0, 100, sources...)
	require.Equal(t, chunkenc.ValNone, it.Next())
	require.ErrorIs(t, it.Err(), ErrWindows)
}

func TestJoinAndKeep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Interval
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			from := int64(rapid.IntRange(0, 50).Draw(t, "from"))
			all = append(all, Interval{from, from + int64(rapid.IntRange(0, 9).Draw(t, "for"))})
		}
		var times []int64
		var want []int
		for at := range int64(70) {
			times = append(times, at)
			if !slices.ContainsFunc(all, func(i Interval) bool { return i.Contains(Interval{at, at}) }) {
				want = append(want, int(at))
			}
		}
		joined := Join(slices.Clone(all))
		for i := 1; i < len(joined); i++ {
			require.Greater(t, joined[i].Min, joined[i-1].Max+1)
		}
		require.Equal(t, want, keep(nil, times, joined))
	})
	require.Equal(t, []Interval{{1, math.MaxInt64}}, Join([]Interval{{5, 6}, {1, math.MaxInt64}}))
}

func xor(t testing.TB, times []int64, values []float64) []byte {
	t.Helper()
	var x chunk.XOR
	buf := make([]byte, 32*(len(times)+1))
	for i, at := range times {
		require.True(t, x.Append(buf, at, values[i]))
	}
	return x.AppendTo(nil, buf)
}

// BenchmarkIterator reads a day of one series at 15 s.
func BenchmarkIterator(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []chunk.Kind{chunk.KindXOR, chunk.KindDense} {
		b.Run(fmt.Sprint(kind), func(b *testing.B) {
			var chunks []Chunk
			size := map[chunk.Kind]int{chunk.KindXOR: 120, chunk.KindDense: 480}[kind]
			v := 0.0
			for at := int64(0); at < 5760; {
				var samples []sample
				for range size {
					v += float64(random.IntN(100))
					samples = append(samples, sample{t: at*15000 + int64(random.IntN(8)), v: v})
					at++
				}
				chunks = append(chunks, encode(b, samples, kind))
			}
			var it Iterator
			n := 0
			for b.Loop() {
				it.Reset(All.Min, All.Max, Source{Chunks: chunks})
				for it.Next() != chunkenc.ValNone {
					_, v := it.At()
					if v >= 0 {
						n++
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/sample")
		})
	}
}
