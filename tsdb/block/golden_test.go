package block

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/merge"
)

var update = flag.Bool("update", false, "write the golden block of this version anew")

// goldenID names the golden block.
var goldenID = uuid.MustParse("018bcfe5-6800-7000-8000-000000000001")

// golden is what the golden block of version 1 was made of.
func golden(t *testing.T) (lists []rows, want content, deleted merge.Interval) {
	lists, want = mixed(t, 42, 10, start)
	deleted = merge.Interval{Min: start + 60_000, Max: start + 90_000}
	return lists, want.without(deleted, func(key string) bool { return strings.Contains(key, "host-001") }), deleted
}

// TestGolden reads a block that an earlier program wrote.
func TestGolden(t *testing.T) {
	parent := filepath.Join("testdata", "v1")
	dir := filepath.Join(parent, goldenID.String())
	lists, want, deleted := golden(t)
	if *update {
		require.NoError(t, os.RemoveAll(dir))
		sealed := start
		write(t, parent, Meta{ID: goldenID, Level: 1, Sequence: 3, SealedUntil: &sealed, Sources: []uuid.UUID{goldenID}}, lists, maxSegment)
		require.NoError(t, open(t, dir).Delete(deleted.Min, deleted.Max, labels.MustNewMatcher(labels.MatchEqual, "instance", "host-001")))
	}
	got, err := readAll(t, open(t, dir), merge.All)
	require.NoError(t, err)
	require.Equal(t, want, got)
	report, err := Verify(context.Background(), dir)
	require.NoError(t, err)
	require.Empty(t, report.Damage)
	require.Equal(t, uint64(5), report.Tombstones)
	require.Equal(t, uint64(3), report.Meta.Sequence)
}

// TestDump holds that everything in a block can be seen.
func TestDump(t *testing.T) {
	dir := filepath.Join("testdata", "v1", goldenID.String())
	var out bytes.Buffer
	require.NoError(t, Dump(dir, &out, DumpOptions{Chunks: true, Samples: true}))
	_, want, _ := golden(t)
	samples := 0
	for _, series := range want {
		samples += len(series)
	}
	text := out.String()
	require.Equal(t, 10, strings.Count(text, "\nseries "))
	require.Equal(t, 30, strings.Count(text, "\n  chunk "))
	require.Equal(t, 5, strings.Count(text, "\n  deleted "))
	require.Equal(t, samples, strings.Count(text, "\n  2023-11-14T"))
	for _, line := range []string{"block " + goldenID.String() + " tier=raw level=1 sequence=3 ", "sealed until 2023-11-14T22:13:20.000Z", "file index ", "{count:", "times=chunks-000001:"} {
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
	dir := filepath.Join("testdata", "v1", goldenID.String())
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

// FuzzEntry reads any bytes as the list of chunks of a series.
func FuzzEntry(f *testing.F) {
	b, err := Open(filepath.Join("testdata", "v1", goldenID.String()), Options{})
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
