package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

var update = flag.Bool("update", false, "write the golden block of this version anew")

// goldenID names the golden block.
var goldenID = uuid.MustParse("018bcfe5-6800-7000-8000-000000000001")

// goldens are the golden blocks of samples: each version of the format that brought something new to them has one.
var goldens = []string{"v1", "v2"}

func goldenDir(version string) string {
	return filepath.Join("testdata", version, goldenID.String())
}

// golden is what the golden block of a version was made of.
func golden(t *testing.T, version string) (lists []rows, want content, deleted merge.Interval) {
	if version == "v1" {
		lists, want = mixed(t, 42, 10, start)
	} else {
		lists, want = mixedSince(t, 42, 10, start, sinceAMinute)
	}
	deleted = merge.Interval{Min: start + 60_000, Max: start + 90_000}
	return lists, want.without(deleted, func(key string) bool { return strings.Contains(key, "host-001") }), deleted
}

// sinceAMinute is the start of samples in two of three series.
func sinceAMinute(series int, at int64) int64 {
	if series%3 == 0 {
		return 0
	}
	return at - 60_000
}

// TestGolden reads blocks that earlier programs wrote.
func TestGolden(t *testing.T) {
	for _, version := range goldens {
		t.Run(version, func(t *testing.T) {
			lists, want, deleted := golden(t, version)
			dir := goldenDir(version)
			if *update {
				require.NoError(t, os.RemoveAll(dir))
				writeGolden(t, filepath.Dir(dir), lists, deleted)
			}
			got, err := readAll(t, open(t, dir), merge.All)
			require.NoError(t, err)
			require.Equal(t, want, got)
			report, err := Verify(context.Background(), dir)
			require.NoError(t, err)
			require.Empty(t, report.Damage)
			require.Equal(t, uint64(5), report.Tombstones)
			require.Equal(t, uint64(3), report.Meta.Sequence)
			require.Equal(t, version, fmt.Sprint("v", report.Meta.Version))
			parent := t.TempDir()
			writeGolden(t, parent, lists, deleted)
			for _, name := range []string{metaName, segmentName(0), tombstonesName} {
				was, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				is, err := os.ReadFile(filepath.Join(parent, goldenID.String(), name))
				require.NoError(t, err)
				require.Equal(t, was, is, "%s is written as it was", name)
			}
		})
	}
}

func writeGolden(t *testing.T, parent string, lists []rows, deleted merge.Interval) {
	require.NoError(t, os.MkdirAll(parent, 0o750))
	sealed := start
	write(t, parent, Meta{ID: goldenID, Level: 1, Sequence: 3, SealedUntil: &sealed, Sources: []uuid.UUID{goldenID}}, lists, maxSegment)
	b, err := Open(filepath.Join(parent, goldenID.String()), Options{})
	require.NoError(t, err)
	require.NoError(t, b.Delete(deleted.Min, deleted.Max, labels.MustNewMatcher(labels.MatchEqual, "instance", "host-001")))
	require.NoError(t, b.Close())
}

// goldenWindows are those of the golden block of the third version.
func goldenWindows() chunk.Windows {
	var w chunk.Windows
	for i := range int64(12) {
		end := start + i*300_000
		w.End, w.FirstT, w.LastT = append(w.End, end), append(w.FirstT, end-299_000+i%3), append(w.LastT, end-14_000+i%2)
		first, last := float64(10*i), float64(10*i)+9.5
		w.First, w.Last, w.Increase = append(w.First, first), append(w.Last, last), append(w.Increase, last-first)
		w.Min, w.Max, w.Count, w.Sum = append(w.Min, first), append(w.Max, last), append(w.Count, 20), append(w.Sum, 20*first+95)
	}
	return w
}

// TestGoldenWindows reads windows as the third version has them, and writes them as they were.
func TestGoldenWindows(t *testing.T) {
	want, meta := goldenWindows(), Meta{ID: goldenID, Tier: engine.TierFiveMinutes, Level: 1, Sequence: 3}
	dir := goldenDir("v3")
	list := []rows{{labels.FromStrings("__name__", "a"), []Chunk{merge.NewWindows(&want)}}}
	if *update {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o750))
		write(t, filepath.Dir(dir), meta, list, maxSegment)
	}
	report, err := Verify(t.Context(), dir)
	require.NoError(t, err)
	require.Empty(t, report.Damage)
	require.Equal(t, versionRelative, report.Meta.Version)
	chunks := chunksOf(t, open(t, dir))[0]
	var got chunk.Windows
	var it merge.Iterator
	require.NoError(t, merge.Windows(&got, &it, merge.All.Min, merge.All.Max, chunk.AllColumns, merge.Source{Chunks: chunks}))
	require.Equal(t, want, got)
	writesAgain(t, dir, meta, list)
}

// writesAgain holds that a block is written as it was.
func writesAgain(t *testing.T, dir string, meta Meta, list []rows) {
	parent := t.TempDir()
	write(t, parent, meta, list, maxSegment)
	for _, name := range []string{metaName, segmentName(0), indexName} {
		was, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		is, err := os.ReadFile(filepath.Join(parent, goldenID.String(), name))
		require.NoError(t, err)
		require.Equal(t, was, is, "%s is written as it was", name)
	}
}

// TestGoldenSparse reads columns as the fourth version has them, and writes them as they were.
func TestGoldenSparse(t *testing.T) {
	meta := Meta{ID: goldenID, Level: 2, Sequence: 3}
	var times []int64
	var values []float64
	for i := range int64(200) {
		times, values = append(times, start+15_000*i), append(values, float64(i/7*(i/7)%90+i/100*5000))
	}
	dense := merge.NewDense(nil, nil, times, values)
	require.True(t, chunk.Sparse(dense.Kind, dense.Values))
	since := merge.WithStarts(merge.NewDense(nil, nil, times, values), slices.Repeat([]int64{start}, len(times)))
	require.True(t, chunk.Sparse(since.Kind, since.Values))
	list := []rows{{labels.FromStrings("__name__", "a"), []Chunk{dense}}, {labels.FromStrings("__name__", "b"), []Chunk{since}}}
	dir := goldenDir("v4")
	if *update {
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o750))
		write(t, filepath.Dir(dir), meta, list, maxSegment)
	}
	report, err := Verify(t.Context(), dir)
	require.NoError(t, err)
	require.Empty(t, report.Damage)
	require.Equal(t, versionSparse, report.Meta.Version)
	for _, chunks := range chunksOf(t, open(t, dir)) {
		var it merge.Iterator
		it.Reset(merge.All.Min, merge.All.Max, merge.Source{Chunks: chunks})
		run, ok := it.NextRun()
		require.True(t, ok)
		require.Equal(t, times, run.Times)
		require.Equal(t, values, run.Values)
	}
	writesAgain(t, dir, meta, list)
}

// TestDump holds that everything in a block can be seen.
func TestDump(t *testing.T) {
	dir := goldenDir("v2")
	var out bytes.Buffer
	require.NoError(t, Dump(dir, &out, DumpOptions{Chunks: true, Samples: true}))
	_, want, _ := golden(t, "v2")
	samples := 0
	for _, series := range want {
		samples += len(series)
	}
	text := out.String()
	require.Equal(t, 10, strings.Count(text, "\nseries "))
	require.Equal(t, 30, strings.Count(text, "\n  chunk "))
	require.Equal(t, 5, strings.Count(text, "\n  deleted "))
	require.Equal(t, samples, strings.Count(text, "\n  2023-11-14T"))
	for _, line := range []string{"block " + goldenID.String() + " tier=raw level=1 sequence=3 ", "sealed until 2023-11-14T22:13:20.000Z", "file index ", "{count:", "times=chunks-000001:", " since=2023-11-14T"} {
		require.Contains(t, text, line)
	}
	out.Reset()
	require.NoError(t, Dump(dir, &out, DumpOptions{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "instance", "host-001")}}))
	require.Equal(t, 5, strings.Count(out.String(), "\nseries "))
	require.NotContains(t, out.String(), "chunk ")
	require.ErrorIs(t, Dump(t.TempDir(), &out, DumpOptions{}), os.ErrNotExist)
}

// FuzzBlock reads blocks one of whose files is anything: nothing may panic, read out of bounds or run without end.
func FuzzBlock(f *testing.F) {
	dir := goldenDir("v2")
	meta, err := ReadMeta(dir)
	require.NoError(f, err)
	names := []string{indexName, segmentName(0), tombstonesName, metaName}
	for i, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(f, err)
		f.Add(uint8(i), text)
	}
	parent := f.TempDir()
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		name := names[int(which)%len(names)]
		bad := filepath.Join(parent, goldenID.String())
		copyBlock(t, dir, bad)
		require.NoError(t, os.WriteFile(filepath.Join(bad, name), text, 0o640))
		fit := meta
		fit.Files = []File{{indexName, meta.Files[0].Size}, {segmentName(0), meta.Files[1].Size}}
		if int(which)%len(names) < 2 { // so that the reader gets beyond the sizes
			fit.Files[int(which)%len(names)].Size = int64(len(text))
			fitted, err := fit.encode()
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(bad, metaName), fitted, 0o640))
		}
		b, err := Open(bad, Options{})
		if err != nil {
			return
		}
		defer b.Close()
		_, _ = Verify(context.Background(), bad)
		if some, err := b.Select(context.Background(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-00.")}, merge.All.Min, merge.All.Max); err == nil {
			some.OnDamage(func(error) error { return nil })
			for some.Next() {
				require.True(t, strings.HasPrefix(some.Labels().Get("instance"), "host-00"), "damage brings no others")
			}
			require.NoError(t, some.Close())
		}
		_, _ = b.LabelNames(context.Background(), merge.All.Min, merge.All.Max, 0)
		_, _ = b.LabelValues(context.Background(), "instance", merge.All.Min, merge.All.Max, 0)
		set, err := b.Select(context.Background(), nil, merge.All.Min, merge.All.Max)
		if err != nil {
			return
		}
		defer set.Close()
		skip := func(error) error { return nil }
		set.OnDamage(skip)
		var it merge.Iterator
		it.OnDamage(skip)
		for set.Next() {
			it.Reset(merge.All.Min, merge.All.Max, set.Source())
			for _, ok := it.NextRun(); ok; _, ok = it.NextRun() {
			}
		}
	})
}

// FuzzTombstones reads tombstones of any bytes, with the right checksum: what is read is written the same way again.
func FuzzTombstones(f *testing.F) {
	text, err := (&tombstones{}).with(stone{merge.Interval{Min: -5, Max: 10}, roaring.BitmapOf(1, 2, 70_000)}).encode()
	require.NoError(f, err)
	f.Add(text[:len(text)-sumSize])
	f.Fuzz(func(t *testing.T, text []byte) {
		stones, err := decodeTombstones(binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli)))
		if err != nil {
			return
		}
		again, err := stones.encode()
		require.NoError(t, err)
		same, err := decodeTombstones(again)
		require.NoError(t, err)
		require.Len(t, same.stones, len(stones.stones))
		for i, s := range stones.stones {
			require.Equal(t, s.Interval, same.stones[i].Interval)
			require.True(t, s.series.Equals(same.stones[i].series))
		}
		_ = stones.of(nil, 1)
	})
}

// FuzzEntry reads any bytes as the list of chunks of a series.
func FuzzEntry(f *testing.F) {
	b, err := Open(goldenDir("v2"), Options{})
	require.NoError(f, err)
	f.Cleanup(func() { b.Close() })
	for series := range uint32(10) {
		entry, err := b.index.Entry(series, nil)
		require.NoError(f, err)
		f.Add(entry[:len(entry)-sumsSize])
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		entry, _ := sealEntry(list, labels.EmptyLabels(), nil)
		chunks, err := b.appendChunks(nil, 0, entry, merge.All, func(error) error { return nil })
		if err != nil {
			require.ErrorAs(t, err, new(*DamageError))
		}
		for _, c := range chunks {
			require.Positive(t, c.Count)
			_ = b.Check(&c)
		}
	})
}
