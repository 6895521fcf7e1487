package block

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/merge"
)

// drawBlock makes a block of random chunks, whose times often are those of other blocks.
func drawBlock(t *rapid.T, parent string, sequence uint64, random func(string, int) int) (Meta, content) {
	want := content{}
	var lists []rows
	for i := range 8 {
		if random("has series", 4) == 0 && i > 0 {
			continue
		}
		s := rows{lset: lset(i)}
		at := start + int64(random("from", 12))*600_000
		step := []int64{15_000, 15_000, 60_000, 1000}[random("step", 4)]
		for range 1 + random("chunks", 4) {
			kind := chunk.Kind(1 + random("kind", 4))
			var samples []sample
			started := kind != chunk.KindXOR && random("started", 2) == 0
			for range 1 + random("samples", 300) {
				one := sample{t: at, kind: typeOf(kind), v: float64(random("value", 1000))}
				if started && random("since", 9) > 0 {
					one.st = at - at%600_000
				}
				samples = append(samples, one)
				at += step
				if random("gap", 200) == 0 {
					at += 3_000_000
				}
			}
			s.chunks = append(s.chunks, encode(t, kind, samples))
			want[s.lset.String()] = append(want[s.lset.String()], samples...)
		}
		lists = append(lists, s)
	}
	return write(t, parent, Meta{Sequence: sequence, Level: 1, SealedUntil: &[]int64{start + int64(sequence)}[0]}, lists, 1<<16), want
}

// over is what remains when newer samples are written over older ones.
func (c content) over(newer content) content {
	all := content{}
	for _, part := range []content{c, newer} {
		for key, samples := range part {
			for _, s := range samples {
				at, found := slices.BinarySearchFunc(all[key], s.t, func(a sample, t int64) int { return int(a.t - t) })
				if found {
					all[key][at] = s
				} else {
					all[key] = slices.Insert(all[key], at, s)
				}
			}
		}
	}
	return all
}

// TestMerge holds that a merge has what a plain merge of lists has, through several rounds, with deletions and ranges.
func TestMerge(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	rapid.Check(t, func(rt *rapid.T) {
		parent := t.TempDir()
		seed := rapid.Uint64().Draw(rt, "seed") // drawing each sample would be slow
		random := randomOf(seed)
		var blocks []*Block
		want := content{}
		for sequence := range uint64(1 + random("blocks", 3)) {
			meta, has := drawBlock(rt, parent, sequence, random)
			b, err := Open(filepath.Join(parent, meta.ID.String()), Options{})
			require.NoError(rt, err)
			defer b.Close()
			if random("delete", 2) == 0 {
				span := merge.Interval{Min: start + int64(random("from", 9000))*1000, Max: start + int64(random("to", 9000))*1000}
				host := labels.MustNewMatcher(labels.MatchEqual, "instance", "host-000")
				require.NoError(rt, b.Delete(span.Min, span.Max, host))
				has = has.without(span, func(key string) bool { return strings.Contains(key, "host-000") })
			}
			blocks = append(blocks, b)
			want = want.over(has)
		}
		options := MergeOptions{}
		if random("range", 3) == 0 {
			options.Range = &merge.Interval{Min: start + int64(random("min", 9000))*1000, Max: start + int64(random("max", 20000))*1000}
			want = want.within(*options.Range)
		}
		// The order in which blocks are named does not matter.
		slices.Reverse(blocks)
		for round := range 2 {
			meta, err := Merge(context.Background(), parent, blocks, options)
			if len(want) == 0 {
				require.ErrorIs(rt, err, ErrEmpty)
				return
			}
			require.NoError(rt, err)
			require.Len(rt, meta.Sources, len(blocks))
			merged, err := Open(filepath.Join(parent, meta.ID.String()), Options{})
			require.NoError(rt, err)
			defer merged.Close()
			got, err := readAll(rt, merged, merge.All)
			require.NoError(rt, err)
			require.Equal(rt, want, got)
			report, err := Verify(context.Background(), merged.Dir())
			require.NoError(rt, err)
			require.Empty(rt, report.Damage)
			require.Equal(rt, 2+round, meta.Level)
			blocks = []*Block{merged}
		}
	})
}

// aligned makes blocks of two hours each as the head would: series of some scrapes, chunks of 120 samples.
func aligned(t require.TestingT, parent string, blocks, series int, random func(string, int) int) (metas []Meta) {
	values := make([]float64, series)
	for n := range blocks {
		var lists []rows
		var scrapes [][]int64
		for range 10 {
			var times []int64
			for at := int64(n) * 2 * hour; at < int64(n+1)*2*hour; at += 15_000 {
				times = append(times, at+int64(random("jitter", 8)))
			}
			scrapes = append(scrapes, times)
		}
		for i := range series {
			s := rows{lset: lset(i)}
			times := scrapes[(i/5)%10]
			for from := 0; from < len(times); from += 120 {
				to := min(from+120, len(times))
				var vs []float64
				for range times[from:to] {
					switch kind := i % 20; {
					case kind < 12:
						values[i] += float64(random("add", 1000))
					case kind < 17:
						values[i] = 20 + float64(random("gauge", 1000))/10
					default:
						values[i] = float64(i)
					}
					vs = append(vs, values[i])
				}
				s.chunks = append(s.chunks, xorChunk(t, times[from:to], vs))
			}
			lists = append(lists, s)
		}
		metas = append(metas, write(t, parent, Meta{Sequence: uint64(n), Level: 1}, lists, maxSegment))
	}
	return metas
}

// BenchmarkMerge merges three blocks of two hours into one of six, and four of those into a day.
func BenchmarkMerge(b *testing.B) {
	const series = 1000
	parent := b.TempDir()
	metas := aligned(b, parent, 12, series, randomOf(1))
	var six, twelve []*Block
	for _, meta := range metas {
		twelve = append(twelve, open(b, filepath.Join(parent, meta.ID.String())))
	}
	for from := 0; from < 12; from += 3 {
		meta, err := Merge(context.Background(), parent, twelve[from:from+3], MergeOptions{})
		require.NoError(b, err)
		six = append(six, open(b, filepath.Join(parent, meta.ID.String())))
	}
	for name, blocks := range map[string][]*Block{"2h-to-24h": twelve, "2h-to-6h": twelve[:3], "6h-to-24h": six} {
		b.Run(name, func(b *testing.B) {
			var meta Meta
			var err error
			before := processor(b)
			for b.Loop() {
				meta, err = Merge(context.Background(), parent, blocks, MergeOptions{})
				require.NoError(b, err)
				require.NoError(b, Remove(filepath.Join(parent, meta.ID.String())))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(meta.Samples), "ns/sample")
			b.ReportMetric((processor(b)-before)/float64(b.N)/float64(meta.Samples), "cpu-ns/sample")
			b.ReportMetric(float64(meta.Bytes)/float64(meta.Samples), "bytes/sample")
			b.ReportMetric(float64(meta.Files[0].Size)/float64(meta.Samples), "indexbytes/sample")
		})
	}
}
