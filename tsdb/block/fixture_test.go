package block

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// sample is one sample of any type, in a form that can be compared.
type sample struct {
	t    int64
	kind chunkenc.ValueType
	v    float64
	st   int64
}

// content is what a block has, or should have: samples by the text of their labels.
type content map[string][]sample

func lset(i int) labels.Labels {
	return labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%5), "instance", fmt.Sprintf("host-%03d", i/5), "job", "node")
}

// point makes the histogram that stands for a value.
func point(v float64) *histogram.Histogram {
	return &histogram.Histogram{
		Count: uint64(v), Sum: v, Schema: 1, ZeroThreshold: 0.01,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []int64{int64(v)},
	}
}

// encode makes a chunk of samples of one type.
func encode(t require.TestingT, kind chunk.Kind, samples []sample) Chunk {
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
		return xorChunk(t, times, values)
	case chunk.KindDense:
		return merge.WithStarts(merge.NewDense(nil, nil, times, values), starts)
	case chunk.KindHistogram:
		return merge.WithStarts(merge.NewHistograms(times, hs), starts)
	default:
		return merge.WithStarts(merge.NewFloatHistograms(times, fhs), starts)
	}
}

func xorChunk(t require.TestingT, times []int64, values []float64) Chunk {
	var x chunk.XOR
	buf := make([]byte, 24*len(times)+64)
	for i, at := range times {
		if !x.Append(buf, at, values[i]) {
			require.Fail(t, "the buffer is too small")
		}
	}
	return Chunk{Kind: chunk.KindXOR, Min: times[0], Max: times[len(times)-1], Count: len(times), Values: x.AppendTo(nil, buf)}
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

// rows is a series with its chunks.
type rows struct {
	lset   labels.Labels
	chunks []Chunk
}

func sortSeries(series []rows) {
	slices.SortFunc(series, func(a, b rows) int { return labels.Compare(a.lset, b.lset) })
}

// write makes a block of series, which it sorts, and returns its folder.
func write(t require.TestingT, parent string, meta Meta, series []rows, segment int64) Meta {
	sortSeries(series)
	w, err := create(parent, meta, segment)
	require.NoError(t, err)
	for _, s := range series {
		require.NoError(t, w.Add(s.lset, s.chunks))
	}
	meta, err = w.Commit()
	require.NoError(t, err)
	return meta
}

// mixed makes a block's worth of series of all kinds from a seed: most are of one scrape and share their times.
func mixed(t require.TestingT, seed uint64, series int, from int64) (lists []rows, want content) {
	return mixedSince(t, seed, series, from, func(int, int64) int64 { return 0 })
}

// mixedSince is mixed with start times of a function of the series and the time; chunks of the head have none.
func mixedSince(t require.TestingT, seed uint64, series int, from int64, since func(int, int64) int64) (lists []rows, want content) {
	random := rand.New(rand.NewPCG(seed, 7))
	want = content{}
	kinds := []chunk.Kind{chunk.KindXOR, chunk.KindDense, chunk.KindDense, chunk.KindHistogram, chunk.KindFloatHistogram}
	var scrape []int64
	for at := from; len(scrape) < 60; at += 15000 {
		scrape = append(scrape, at+int64(random.IntN(8)))
	}
	for i := range series {
		s := rows{lset: lset(i)}
		key := s.lset.String()
		kind := kinds[i%len(kinds)]
		shift := int64(0)
		if i%7 == 6 {
			shift = int64(random.IntN(1000))
		}
		for c := range 3 {
			var samples []sample
			for _, at := range scrape[c*20 : c*20+20] {
				s := sample{t: at + shift, kind: typeOf(kind), v: float64(random.IntN(1000))}
				if kind != chunk.KindXOR {
					s.st = since(i, s.t)
				}
				samples = append(samples, s)
			}
			s.chunks = append(s.chunks, encode(t, kind, samples))
			want[key] = append(want[key], samples...)
		}
		lists = append(lists, s)
	}
	sortSeries(lists)
	return lists, want
}

// readAll reads everything in a block between two times, in the order of its series.
func readAll(t require.TestingT, b *Block, span merge.Interval, matchers ...*labels.Matcher) (content, error) {
	set, err := b.Select(context.Background(), matchers, span.Min, span.Max)
	require.NoError(t, err)
	defer set.Close()
	got := content{}
	var it merge.Iterator
	var last labels.Labels
	for set.Next() {
		require.Negative(t, labels.Compare(last, set.Labels()), "series come in order")
		last = set.Labels()
		it.Reset(span.Min, span.Max, set.Source())
		if samples := drain(t, &it); len(samples) > 0 {
			got[last.String()] = samples
		}
		if it.Err() != nil {
			return got, it.Err()
		}
	}
	return got, set.Err()
}

func drain(t require.TestingT, it chunkenc.Iterator) (samples []sample) {
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		s := sample{t: it.AtT(), st: it.AtST(), kind: kind}
		switch kind {
		case chunkenc.ValHistogram:
			_, h := it.AtHistogram(nil)
			require.Equal(t, point(h.Sum).PositiveBuckets, h.PositiveBuckets)
			s.v = h.Sum
		case chunkenc.ValFloatHistogram:
			_, h := it.AtFloatHistogram(nil)
			s.v = h.Sum
		default:
			_, s.v = it.At()
		}
		samples = append(samples, s)
	}
	return samples
}

// within is the part of a content in a span.
func (c content) within(span merge.Interval) content {
	part := content{}
	for key, samples := range c {
		kept := slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.t < span.Min || s.t > span.Max })
		if len(kept) > 0 {
			part[key] = kept
		}
	}
	return part
}

// without is a content after a deletion.
func (c content) without(span merge.Interval, of func(key string) bool) content {
	left := maps.Clone(c)
	for key, samples := range c {
		if !of(key) {
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(samples), func(s sample) bool { return s.t >= span.Min && s.t <= span.Max })
		if left[key] = kept; len(kept) == 0 {
			delete(left, key)
		}
	}
	return left
}

func open(t testing.TB, dir string) *Block {
	t.Helper()
	b, err := Open(dir, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// randomOf is chance from a seed.
func randomOf(seed uint64) func(what string, n int) int {
	random := rand.New(rand.NewPCG(seed, 11))
	return func(_ string, n int) int { return random.IntN(n) }
}
