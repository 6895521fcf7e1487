package block

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/tsdb/merge"
)

// processor is the time that this process has used, in nanoseconds: on a machine that others use it says more than the
// clock.
func processor(t testing.TB) float64 {
	var used unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkOpen opens a block of 100,000 series.
func BenchmarkOpen(b *testing.B) {
	parent := b.TempDir()
	c := encode(b, 1, []sample{{t: start, v: 1}, {t: start + 15000, v: 2}})
	var lists []rows
	for i := range 100_000 {
		lists = append(lists, rows{lset(i), []Chunk{c}})
	}
	meta := write(b, parent, Meta{}, lists, maxSegment)
	dir := filepath.Join(parent, meta.ID.String())
	for b.Loop() {
		block, err := Open(dir, Options{})
		require.NoError(b, err)
		require.NoError(b, block.Close())
	}
}

// BenchmarkSelect reads from a merged block of a day with 5,000 series.
func BenchmarkSelect(b *testing.B) {
	parent := b.TempDir()
	var blocks []*Block
	for _, meta := range aligned(b, parent, 12, 5000, randomOf(1)) {
		blocks = append(blocks, open(b, filepath.Join(parent, meta.ID.String())))
	}
	meta, err := Merge(context.Background(), parent, blocks, MergeOptions{})
	require.NoError(b, err)
	block, err := Open(filepath.Join(parent, meta.ID.String()), Options{Times: NewTimesCache(4096)})
	require.NoError(b, err)
	defer block.Close()
	one := []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "instance", "host-007"), labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_1"),
	}
	thousand := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_1")}
	for _, c := range []struct {
		name     string
		matchers []*labels.Matcher
		length   int64
	}{{"1x24h", one, 24 * hour}, {"1000x1h", thousand, hour}, {"5000x5m", nil, hour / 12}} {
		b.Run(c.name, func(b *testing.B) {
			var it merge.Iterator
			samples, before := 0, processor(b)
			for b.Loop() {
				set, err := block.Select(context.Background(), c.matchers, 24*hour-c.length, 24*hour)
				require.NoError(b, err)
				for set.Next() {
					it.Reset(24*hour-c.length, 24*hour, set.Source())
					for it.Next() != chunkenc.ValNone {
						samples++
					}
				}
				require.NoError(b, set.Err())
				require.NoError(b, set.Close())
			}
			b.ReportMetric((processor(b)-before)/float64(samples), "cpu-ns/sample")
			b.ReportMetric(float64(samples)/float64(b.N), "samples")
		})
	}
}
