package block

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

// chunksOf lists the chunks of each series of a block.
func chunksOf(t require.TestingT, b *Block) (all [][]Chunk) {
	for series := range uint32(b.Meta().Series) {
		entry, err := b.index.Entry(series, nil)
		require.NoError(t, err)
		chunks, err := b.appendChunks(nil, series, entry, merge.All, nil)
		require.NoError(t, err)
		all = append(all, chunks)
	}
	return all
}

// TestPackAligns holds that merged chunks are cut at times of the clock, whatever the chunks were before, so that
// series of one scrape share all their time columns, and that merging again copies them.
func TestPackAligns(t *testing.T) {
	for name, test := range map[string]struct{ step, want int64 }{ // milliseconds between samples; and of a chunk
		"15s": {15_000, 2 * hour}, "60s": {60_000, 2 * hour}, "10s": {10_000, hour}, "1s": {1000, hour / 8}, "100ms": {100, hour / 128},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			var blocks []*Block
			for part := range int64(2) {
				var lists []rows
				for i := range 3 {
					s := rows{lset: lset(i)}
					var samples []sample
					for at := part * 3 * hour; at < (part+1)*3*hour; at += test.step {
						if samples = append(samples, sample{t: at + at/test.step%3, v: float64(at)}); len(samples) == 100+i*13 {
							s.chunks = append(s.chunks, encode(t, chunk.KindXOR, samples))
							samples = nil
						}
					}
					if len(samples) > 0 {
						s.chunks = append(s.chunks, encode(t, chunk.KindXOR, samples))
					}
					lists = append(lists, s)
				}
				meta := write(t, parent, Meta{Level: 1}, lists, maxSegment)
				blocks = append(blocks, open(t, filepath.Join(parent, meta.ID.String())))
			}
			var before [][]Chunk
			for round := range 2 {
				meta, err := Merge(context.Background(), parent, blocks, MergeOptions{})
				require.NoError(t, err)
				merged := open(t, filepath.Join(parent, meta.ID.String()))
				all := chunksOf(t, merged)
				for i, c := range all[0] {
					require.Equal(t, c.Min/test.want, c.Max/test.want, "a chunk keeps within its part of the clock")
					require.LessOrEqual(t, c.Count, chunkTarget)
					require.Greater(t, c.Count*2, int(test.want/test.step)*9/10)
					for _, other := range all {
						require.Equal(t, c.TimesAt, other[i].TimesAt, "series of one scrape share their times")
					}
					if round > 0 {
						require.Equal(t, before[0][i].Values, c.Values, "chunks are copied")
					}
				}
				report, err := Verify(context.Background(), merged.Dir())
				require.NoError(t, err)
				require.Equal(t, uint64(len(all[0])), report.Columns)
				before, blocks = all, []*Block{merged}
			}
		})
	}
}

// TestCut holds that parts are small enough, in order, and hold everything.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[int64]bool{}
		var times []int64
		most := rapid.IntRange(1, 20).Draw(t, "most")
		length := rapid.SampledFrom([]int64{64, 100, 7200}).Draw(t, "length")
		random := randomOf(rapid.Uint64().Draw(t, "seed"))
		for range rapid.IntRange(0, 300).Draw(t, "samples") {
			seen[1000+int64(random("at", int(length)))] = true
		}
		for at := int64(1000); at < 1000+length; at++ {
			if seen[at] {
				times = append(times, at)
			}
		}
		next := 0
		require.NoError(t, cut(times, 0, 999+length, length, most, func(from, to int) error {
			require.Equal(t, next, from)
			require.Greater(t, to, from)
			require.LessOrEqual(t, to-from, most)
			next = to
			return nil
		}))
		require.Equal(t, len(times), next)
	})
}

func TestCells(t *testing.T) {
	for _, tier := range tiers {
		length := cellLength(tier)
		for _, at := range []int64{0, 1, -1, length, length + 1, length - 1, -length, -length - 1, -length + 1, start} {
			cell := cellOf(tier, at)
			require.LessOrEqual(t, at, cellEnd(tier, cell))
			require.Greater(t, at, cellEnd(tier, cell-1))
		}
	}
	require.Equal(t, cellOf(engine.TierFiveMinutes, 24*hour), cellOf(engine.TierFiveMinutes, 1), "windows belong before their end")
}

// TestMergeWindows holds that windows of a rollup become long chunks, that later ones win, and that none are lost.
func TestMergeWindows(t *testing.T) {
	parent := t.TempDir()
	five := engine.TierFiveMinutes.Window()
	make := func(from, to, sum int64, sequence uint64) *Block {
		var w chunk.Windows
		for end := from + five; end <= to; end += five {
			w.End, w.FirstT, w.LastT = append(w.End, end), append(w.FirstT, end-five+1), append(w.LastT, end-1)
			for _, column := range []*[]float64{&w.Count, &w.Sum, &w.Min, &w.Max, &w.Last, &w.First, &w.Increase} {
				*column = append(*column, float64(sum))
			}
		}
		meta := write(t, parent, Meta{Tier: engine.TierFiveMinutes, Level: 1, Sequence: sequence}, []rows{{lset(1), []Chunk{merge.NewWindows(&w)}}}, maxSegment)
		return open(t, filepath.Join(parent, meta.ID.String()))
	}
	blocks := []*Block{make(6*hour, 12*hour, 3, 3), make(0, 6*hour, 1, 1), make(5*hour, 7*hour, 2, 2), make(12*hour, 24*hour, 4, 4)}
	require.NoError(t, blocks[1].Delete(0, hour))
	meta, err := Merge(context.Background(), parent, blocks, MergeOptions{})
	require.NoError(t, err)
	b := open(t, filepath.Join(parent, meta.ID.String()))
	chunks := chunksOf(t, b)[0]
	require.Len(t, chunks, 1)
	require.Equal(t, 276, chunks[0].Count)
	var w chunk.Windows
	var it merge.Iterator
	require.NoError(t, merge.Windows(&w, &it, 0, 24*hour, chunk.ColumnSum, merge.Source{Chunks: chunks}))
	for i, end := range w.End {
		want := 4.0
		switch {
		case end <= 5*hour:
			want = 1
		case end <= 6*hour:
			want = 2
		case end <= 12*hour:
			want = 3
		}
		require.InDelta(t, want, w.Sum[i], 0, "the window that ends at %d", end)
	}
	require.Empty(t, w.Count, "only what was asked for")

	raw := write(t, parent, Meta{}, []rows{{lset(1), []Chunk{encode(t, chunk.KindXOR, []sample{{t: 1}})}}}, maxSegment)
	_, err = Merge(context.Background(), parent, []*Block{b, open(t, filepath.Join(parent, raw.ID.String()))}, MergeOptions{})
	require.ErrorContains(t, err, "only blocks of one tier")
	_, err = Merge(context.Background(), parent, nil, MergeOptions{})
	require.ErrorContains(t, err, "no blocks")
}

// TestMergeGivesUpHints holds that a histogram does not say that its counter was not reset when what it was compared
// with is gone.
func TestMergeGivesUpHints(t *testing.T) {
	parent := t.TempDir()
	var times []int64
	var hs []*histogram.Histogram
	var fhs []*histogram.FloatHistogram
	for i := range int64(4) {
		h := point(float64(i + 1))
		h.CounterResetHint = histogram.NotCounterReset
		times, hs, fhs = append(times, i*1000), append(hs, h), append(fhs, h.ToFloat(nil))
	}
	meta := write(t, parent, Meta{}, []rows{{lset(1), []Chunk{merge.NewHistograms(times, hs)}}, {lset(2), []Chunk{merge.NewFloatHistograms(times, fhs)}}}, maxSegment)
	b := open(t, filepath.Join(parent, meta.ID.String()))
	require.NoError(t, b.Delete(1000, 1000))
	meta, err := Merge(context.Background(), parent, []*Block{b}, MergeOptions{})
	require.NoError(t, err)
	var it merge.Iterator
	for series, chunks := range chunksOf(t, open(t, filepath.Join(parent, meta.ID.String()))) {
		it.Reset(merge.All.Min, merge.All.Max, merge.Source{Chunks: chunks})
		run, ok := it.NextRun()
		require.True(t, ok)
		var hints []histogram.CounterResetHint
		for _, h := range run.Histograms {
			hints = append(hints, h.CounterResetHint)
		}
		for _, h := range run.Floats {
			hints = append(hints, h.CounterResetHint)
		}
		require.Equal(t, []histogram.CounterResetHint{histogram.UnknownCounterReset, histogram.UnknownCounterReset, histogram.NotCounterReset}, hints, "series %d", series)
	}
}

func TestLabels(t *testing.T) {
	parent := t.TempDir()
	ctx := context.Background()
	short := encode(t, chunk.KindXOR, []sample{{t: 10}, {t: 20}})
	long := encode(t, chunk.KindDense, []sample{{t: 10}, {t: 90}})
	meta := write(t, parent, Meta{}, []rows{
		{labels.FromStrings("__name__", "a", "only", "short"), []Chunk{short}},
		{labels.FromStrings("__name__", "b", "job", "x"), []Chunk{long}},
		{labels.FromStrings("__name__", "c", "job", "y"), []Chunk{long}},
	}, maxSegment)
	b := open(t, filepath.Join(parent, meta.ID.String()))
	names := func(from, until int64, limit int, by ...*labels.Matcher) []string {
		found, err := b.LabelNames(ctx, from, until, limit, by...)
		require.NoError(t, err)
		return found
	}
	values := func(name string, from, until int64, by ...*labels.Matcher) []string {
		found, err := b.LabelValues(ctx, name, from, until, 0, by...)
		require.NoError(t, err)
		return found
	}
	require.Equal(t, []string{"__name__", "job", "only"}, names(0, 100, 0))
	require.Equal(t, []string{"__name__"}, names(0, 100, 1))
	require.Equal(t, []string{"__name__", "job"}, names(30, 100, 0))
	require.Empty(t, names(91, 100, 0))
	x := labels.MustNewMatcher(labels.MatchEqual, "job", "x")
	require.Equal(t, []string{"b"}, values("__name__", 0, 100, x))
	require.Equal(t, []string{"x", "y"}, values("job", 30, 40))
	require.Empty(t, values("job", 0, 100, labels.MustNewMatcher(labels.MatchEqual, "job", "z")))
	require.NoError(t, b.Delete(0, 100, x))
	require.Equal(t, []string{"y"}, values("job", 0, 100))
	require.NoError(t, b.Close())
	_, err := b.LabelNames(ctx, 0, 100, 0)
	require.ErrorIs(t, err, engine.ErrClosed)
}
