package index

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type testing1 interface {
	require.TestingT
	Helper()
}

// fileOf writes series that are in order, each with its labels as its entry.
func fileOf(t testing1, folder string, sets []labels.Labels) []byte {
	t.Helper()
	w := NewWriter(folder)
	for _, lset := range sets {
		require.NoError(t, w.Add(lset, []byte(lset.String())))
	}
	var file bytes.Buffer
	n, err := w.WriteTo(&file)
	require.NoError(t, err)
	require.Equal(t, int64(file.Len()), n)
	require.NoError(t, w.Close())
	return file.Bytes()
}

func sortedSets(sets []labels.Labels) []labels.Labels {
	slices.SortFunc(sets, labels.Compare)
	return slices.CompactFunc(sets, labels.Equal)
}

// TestFileSelectsLikeAScan compares a file of random series with one look at all of them.
func TestFileSelectsLikeAScan(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		sets := sortedSets(rapid.SliceOfN(rapid.Custom(drawLabels), 0, 200).Draw(t, "series"))
		r, err := Open(fileOf(t, folder, sets))
		require.NoError(t, err)
		require.NoError(t, r.Verify(t.Context()))
		require.Equal(t, len(sets), r.Len())
		all := map[uint32]labels.Labels{}
		builder := labels.NewScratchBuilder(0)
		for i, want := range sets {
			got, entry, err := r.Series(&builder, uint32(i), []byte("entry "))
			require.NoError(t, err)
			require.Equal(t, want.String(), got.String())
			require.Equal(t, "entry "+want.String(), string(entry))
			entry, err = r.Entry(uint32(i), nil)
			require.NoError(t, err)
			require.Equal(t, want.String(), string(entry))
			all[uint32(i)] = want
		}
		for range 10 {
			matchers := rapid.SliceOfN(rapid.Custom(drawMatcher), 0, 4).Draw(t, "matchers")
			found, err := r.Select(t.Context(), matchers...)
			require.NoError(t, err)
			require.Equal(t, naive(all, matchers).ToArray(), found.ToArray(), "%v", matchers)
			checkLists(t, r, found, all)
		}
	})
}

// checkLists compares names and values with those of the series.
func checkLists(t *rapid.T, r *Reader, ids *roaring.Bitmap, all map[uint32]labels.Labels) {
	want := map[string][]string{}
	for it := ids.Iterator(); it.HasNext(); {
		all[it.Next()].Range(func(l labels.Label) { want[l.Name] = append(want[l.Name], l.Value) })
	}
	names, err := r.LabelNames(t.Context(), 0, ids)
	require.NoError(t, err)
	require.Len(t, names, len(want))
	for name, values := range want {
		require.Contains(t, names, name)
		slices.Sort(values)
		got, err := r.LabelValues(t.Context(), name, 3, ids)
		require.NoError(t, err)
		values = slices.Compact(values)
		require.Equal(t, values[:min(3, len(values))], got)
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, bad := range []struct {
		want, first string
		lset        labels.Labels
		entry       []byte
	}{
		{"does not come after", "2", labels.FromStrings("a", "1"), nil},
		{"does not come after", "2", labels.FromStrings("a", "2"), nil},
		{`label "b" has no value`, "0", labels.FromStrings("a", "1", "b", ""), nil},
		{"without labels", "0", labels.EmptyLabels(), nil},
		{"65537 bytes, at most 65536", "0", labels.FromStrings("a", "1"), make([]byte, 65537)},
	} {
		w := NewWriter(t.TempDir())
		require.NoError(t, w.Add(labels.FromStrings("a", bad.first), nil))
		require.ErrorContains(t, w.Add(bad.lset, bad.entry), bad.want)
		require.Error(t, w.Add(labels.FromStrings("a", "9"), nil), "nothing after an error")
		_, err := w.WriteTo(&bytes.Buffer{})
		require.Error(t, err)
		require.NoError(t, w.Close())
	}
}

var errNoRoom = errors.New("no room")

type shortWriter int

func (s *shortWriter) Write(b []byte) (int, error) {
	if *s -= shortWriter(len(b)); *s < 0 {
		return 0, errNoRoom
	}
	return len(b), nil
}

func TestWriterTellsAFullDisk(t *testing.T) {
	w := NewWriter(t.TempDir())
	for i := range 50_000 {
		require.NoError(t, w.Add(labels.FromStrings("a", fmt.Sprintf("%06d", i)), make([]byte, 300)))
	}
	require.NotNil(t, w.spill.file, "so much does not stay in memory")
	left, err := os.ReadDir(w.spill.folder)
	require.NoError(t, err)
	require.Empty(t, left, "a crash would leave nothing behind")
	for _, room := range []shortWriter{0, 1 << 18, 5 << 20} {
		_, err := w.WriteTo(&room)
		require.ErrorIs(t, err, errNoRoom)
	}
	var file bytes.Buffer
	_, err = w.WriteTo(&file)
	require.NoError(t, err)
	r, err := Open(file.Bytes())
	require.NoError(t, err)
	require.NoError(t, r.Verify(t.Context()))
	require.NoError(t, w.Close())
}

func exampleSets() []labels.Labels {
	var sets []labels.Labels
	for i := range 40 {
		sets = append(sets, labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%3), "i", fmt.Sprint(i), "job", "x"))
	}
	return sortedSets(append(sets, labels.FromStrings("alone", "ü")))
}

// TestEveryByteCounts flips a bit of each byte of a file, and each bit of its footer: Open or Verify must tell, and
// nothing may panic.
func TestEveryByteCounts(t *testing.T) {
	file := fileOf(t, t.TempDir(), exampleSets())
	for i := range 8 * len(file) {
		if at := i / 8; at < len(file)-footerSize && i%8 != at%8 {
			continue
		}
		damaged := bytes.Clone(file)
		damaged[i/8] ^= 1 << (i % 8)
		r, err := Open(damaged)
		if err == nil {
			useAll(t, r)
			err = r.Verify(t.Context())
		}
		require.Error(t, err, "bit %d of byte %d", i%8, i/8)
	}
	for n := range len(file) {
		_, err := Open(file[:n])
		require.Error(t, err, "cut to %d bytes", n)
	}
}

// useAll calls every method; errors must be of damage.
func useAll(t *testing.T, r *Reader) {
	builder := labels.NewScratchBuilder(0)
	tell := func(err error) {
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
		}
	}
	for id := range uint32(min(r.Len(), 100)) {
		_, _, err := r.Series(&builder, id, nil)
		tell(err)
		_, err = r.Entry(id, nil)
		tell(err)
	}
	for _, m := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "job", "x"), labels.MustNewMatcher(labels.MatchNotEqual, "alone", "x"),
		labels.MustNewMatcher(labels.MatchRegexp, "i", "1.*"), labels.MustNewMatcher(labels.MatchNotRegexp, "__name__", "metric_[12]"),
	} {
		found, err := r.Select(t.Context(), m)
		tell(err)
		both, err := r.Select(t.Context(), m, labels.MustNewMatcher(labels.MatchRegexp, "i", ".*[23].*"))
		tell(err)
		if found == nil || both == nil {
			continue
		}
		found.Or(both)
		names, err := r.LabelNames(t.Context(), 0, found)
		tell(err)
		for _, name := range names {
			_, err = r.LabelValues(t.Context(), name, 0, both)
			tell(err)
			_, err = r.LabelValues(t.Context(), name, 0, nil)
			tell(err)
		}
	}
}

var update = flag.Bool("update", false, "write the golden file of this version anew")

// TestGolden holds the bytes of version 1: a change of them needs a new version, and a reader of both.
func TestGolden(t *testing.T) {
	const golden = "testdata/v1.index"
	file := fileOf(t, t.TempDir(), exampleSets())
	if *update {
		require.NoError(t, os.WriteFile(golden, file, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, hex.Dump(want), hex.Dump(file))
	r, err := Open(want)
	require.NoError(t, err)
	require.NoError(t, r.Verify(t.Context()))
	useAll(t, r)
}

func TestOtherVersion(t *testing.T) {
	file := fileOf(t, t.TempDir(), exampleSets())
	file[4] = 2
	_, err := Open(file)
	require.ErrorContains(t, err, "version 2, this program reads version 1: upgrade it")
	require.NotErrorIs(t, err, ErrCorrupt)
}
