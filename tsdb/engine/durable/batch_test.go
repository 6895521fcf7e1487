package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
)

// largeBatch is a batch of several log records: values of many series at one time.
func largeBatch(t testing.TB, s *durable.Store, series int, at int64) engine.Batch {
	var batch engine.Batch
	for i := range series {
		ref, err := s.Ref(labels.FromStrings("__name__", fmt.Sprint("m", i)))
		require.NoError(t, err)
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: at, V: float64(i) * 1.37})
	}
	return batch
}

// countSamples is the number of samples of all series.
func countSamples(t testing.TB, s *durable.Store) (n int) {
	all, err := readEverything(s, 0)
	require.NoError(t, err)
	for _, cells := range all {
		n += len(cells)
	}
	return n
}

const many = 70_000 // samples of four records

// TestLargeBatchOnAFullDisk: where only some of a batch's records fit, nothing of it is stored.
func TestLargeBatchOnAFullDisk(t *testing.T) {
	st := newStation(t, 16<<20)
	at := st.now.UnixMilli()
	first := largeBatch(t, st.store, many, at)
	done, err := st.store.Append(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, many, done.Stored)
	refused := 0
	for pages := 0; ; pages += 20 {
		ballast(t, st.root, pages)
		done, err = st.store.Append(t.Context(), largeBatch(t, st.store, many, at+1))
		if err == nil {
			break
		}
		refused++
		require.ErrorIs(t, err, engine.ErrDiskFull)
		require.Zero(t, done)
		require.Equal(t, many, countSamples(t, st.store))
	}
	require.Greater(t, refused, 3)
	require.Equal(t, 2*many, countSamples(t, st.store))
	ballast(t, st.root, 50)
	_, err = st.store.Append(t.Context(), largeBatch(t, st.store, many, at+2))
	require.ErrorIs(t, err, engine.ErrDiskFull)
	ballastOff(st)
	st.reopen()
	require.Equal(t, 2*many, countSamples(t, st.store))
}

// TestLargeBatchCutByACrash cuts the log at every border of its records, and around it: a batch is there as a whole or
// not at all, and all before it is.
func TestLargeBatchCutByACrash(t *testing.T) {
	opts := options()
	dir := t.TempDir()
	s, err := durable.Open(dir, opts)
	require.NoError(t, err)
	at := start.UnixMilli()
	_, err = s.Append(t.Context(), largeBatch(t, s, 100, at))
	require.NoError(t, err)
	before := logSize(t, dir)
	_, err = s.Append(t.Context(), largeBatch(t, s, many, at+1))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	segment := onlySegment(t, dir)
	content, err := os.ReadFile(segment)
	require.NoError(t, err)
	var cuts []int
	for from := int(before); ; {
		found := bytes.Index(content[from:], []byte{0xA7, 0xC3, 0x5E, 0xE6})
		if found < 0 {
			break
		}
		from += found
		cuts = append(cuts, from, from+1, from+12, from+20, from+512)
		from++
	}
	require.Len(t, cuts, 20)
	for _, cut := range append(cuts, len(content)-1, len(content)) {
		crashed := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(crashed, "log"), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(crashed, "log", filepath.Base(segment)), content[:cut], 0o600))
		s, err := durable.Open(crashed, opts)
		require.NoError(t, err)
		want := 100
		if cut == len(content) {
			want += many
		}
		require.Equal(t, want, countSamples(t, s), "cut at %d of %d", cut, len(content))
		require.Zero(t, s.Stats().Damaged, "a crash is no damage")
		require.NoError(t, s.Close())
	}
}

func logSize(t testing.TB, dir string) int64 {
	info, err := os.Stat(onlySegment(t, dir))
	require.NoError(t, err)
	return info.Size()
}

// onlySegment is the log's only segment with something in it.
func onlySegment(t testing.TB, dir string) string {
	segments, err := filepath.Glob(filepath.Join(dir, "log", "????????????????"))
	require.NoError(t, err)
	segments = slices.DeleteFunc(segments, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Size() == 0
	})
	require.Len(t, segments, 1)
	return segments[0]
}

// TestTornTailIsToldOnce: what a crash left at the end of the log is no damage when the store is opened again later, and
// goes with its segment.
func TestTornTailIsToldOnce(t *testing.T) {
	l := newLive(t, nil)
	l.write("a", start, 1)
	require.NoError(t, l.Close())
	segment := onlySegment(t, l.dir)
	file, err := os.OpenFile(segment, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	torn := []byte{0xA7, 0xC3, 0x5E, 0x19, 0, 0, 1}
	_, err = file.Write(torn)
	require.NoError(t, errors.Join(err, file.Close()))
	before := logSize(t, l.dir)
	for minute := range 3 {
		l.open()
		require.Zero(t, l.Stats().Damaged)
		require.Len(t, read(t, l.Store, "a", engine.TierRaw, 0), 1+minute)
		l.write("a", start.Add(time.Duration(1+minute)*time.Second), 2)
		require.NoError(t, l.Close())
	}
	info, err := os.Stat(segment)
	require.NoError(t, err)
	require.Equal(t, before-int64(len(torn)), info.Size())
	aside := fmt.Sprintf("%s-%d.torn", segment, info.Size())
	content, err := os.ReadFile(aside)
	require.NoError(t, err)
	require.Equal(t, torn, content)
	l.open()
	l.clock.set(start.Add(5 * time.Hour))
	require.NoError(t, l.Maintain(t.Context()))
	for _, path := range []string{segment, aside} {
		_, err = os.Stat(path)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}
