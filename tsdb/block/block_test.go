package block

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/chunk"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/merge"
)

const start = int64(1_700_000_000_000)

// TestWriteAndRead holds that a block gives back what was put in, whole and in parts.
func TestWriteAndRead(t *testing.T) {
	parent := t.TempDir()
	lists, want := mixed(t, 1, 60, start)
	sealed := start + 1
	meta := write(t, parent, Meta{Tier: engine.TierFiveMinutes, Level: 1, Sequence: 7, SealedUntil: &sealed}, lists, 4096)
	require.Greater(t, len(meta.Files), 3, "small segments make many files")
	require.Equal(t, uint64(60), meta.Series)
	require.Equal(t, uint64(60*60), meta.Samples)

	dirs, err := List(parent)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(parent, meta.ID.String())}, dirs)
	b := open(t, dirs[0])
	require.Equal(t, meta, b.Meta())
	require.Equal(t, uuid.Version(7), b.Meta().ID.Version())

	got, err := readAll(t, b, merge.All)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, span := range []merge.Interval{{Min: start + 200_000, Max: start + 400_000}, {Min: start, Max: start}, {Min: 0, Max: start - 1}, {Min: meta.MaxTime, Max: meta.MaxTime + 9}} {
		got, err = readAll(t, b, span)
		require.NoError(t, err)
		require.Equal(t, want.within(span), got)
	}
	got, err = readAll(t, b, merge.All, labels.MustNewMatcher(labels.MatchEqual, "instance", "host-003"))
	require.NoError(t, err)
	require.Len(t, got, 5)
}

// TestTimesAreShared holds that series of one scrape store their times once.
func TestTimesAreShared(t *testing.T) {
	size := func(series int, shift int64) uint64 {
		var lists []rows
		for i := range series {
			var samples []sample
			for at := range int64(400) {
				samples = append(samples, sample{t: start + at*15000 + at*at%11 + int64(i)*shift})
			}
			lists = append(lists, rows{lset(i), []Chunk{encode(t, chunk.KindDense, samples)}})
		}
		meta := write(t, t.TempDir(), Meta{}, lists, maxSegment)
		return uint64(meta.Files[1].Size)
	}
	one := size(1, 0)
	require.Less(t, size(50, 0), one+50*40)
	require.Greater(t, size(50, 1), 50*(one-100), "which differ are kept apart")
}

// TestColumnsAreBounded holds that a writer forgets columns, and writes them again when they come again.
func TestColumnsAreBounded(t *testing.T) {
	c := newColumns(100)
	for round := range 3 {
		for i := range int64(10) {
			times := make([]byte, 30)
			times[0] = byte(i)
			head := columnHead{i, i, 1}
			place, key, ok := c.find(head, times)
			require.False(t, ok, "three fit, ten come by turns")
			require.Zero(t, place)
			c.keep(key, head, times, uint64(i))
			require.LessOrEqual(t, c.bytes, 100)
			require.Len(t, c.byKey, c.order.Len())
			place, _, ok = c.find(head, times)
			require.True(t, ok)
			require.Equal(t, uint64(i), place)
			_, _, ok = c.find(columnHead{i, i + 1, 1}, times)
			require.False(t, ok, "round %d: the same bytes with another head", round)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	good := encode(t, chunk.KindXOR, []sample{{t: 10}, {t: 20}})
	dense := encode(t, chunk.KindDense, []sample{{t: 10}, {t: 20}})
	with := func(c Chunk, change func(c *Chunk)) []Chunk { change(&c); return []Chunk{c} }
	for name, test := range map[string]struct {
		lset   labels.Labels
		chunks []Chunk
		want   string
	}{
		"no chunks":         {lset(9), nil, "leave it out"},
		"the same again":    {lset(5), []Chunk{good}, "in the order of their labels"},
		"out of order":      {lset(0), []Chunk{good}, "in the order of their labels"},
		"overlap":           {lset(9), []Chunk{good, good}, "do not overlap"},
		"no kind":           {lset(9), with(good, func(c *Chunk) { c.Kind = 0 }), "cannot be stored"},
		"raw":               {lset(9), with(good, func(c *Chunk) { c.Raw = &merge.Columns{} }), "cannot be stored"},
		"no samples":        {lset(9), with(good, func(c *Chunk) { c.Count = 0 }), "1 to 65535"},
		"too many":          {lset(9), with(good, func(c *Chunk) { c.Count = chunk.MaxSamples + 1 }), "1 to 65535"},
		"backwards":         {lset(9), with(good, func(c *Chunk) { c.Max = 9 }), "make no sense"},
		"no bytes":          {lset(9), with(good, func(c *Chunk) { c.Values = nil }), "make no sense"},
		"dense, no times":   {lset(9), with(dense, func(c *Chunk) { c.Times = nil }), "dense chunks have one"},
		"others with times": {lset(9), with(good, func(c *Chunk) { c.Times = []byte{1} }), "dense chunks have one"},
		"too large":         {lset(9), with(good, func(c *Chunk) { c.Values = make([]byte, 5000) }), "a segment takes 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			w, err := create(parent, Meta{}, 4096)
			require.NoError(t, err)
			require.NoError(t, w.Add(lset(5), []Chunk{good}))
			require.ErrorContains(t, w.Add(test.lset, test.chunks), test.want)
			require.ErrorContains(t, w.Add(lset(8), []Chunk{good}), test.want, "the first error stays")
			_, err = w.Commit()
			require.ErrorContains(t, err, test.want)
			entries, err := os.ReadDir(parent)
			require.NoError(t, err)
			require.Empty(t, entries, "nothing is left")
		})
	}
	w, err := Create(t.TempDir(), Meta{})
	require.NoError(t, err)
	_, err = w.Commit()
	require.ErrorIs(t, err, ErrEmpty)
	require.ErrorContains(t, w.Add(lset(1), []Chunk{good}), "finished")
}

// TestCrash stops Commit before each of its steps, as a power cut would, and holds that a block is there as a whole or
// not at all, and that what is left is cleaned up.
func TestCrash(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	var steps []string
	lists, want := mixed(t, 3, 10, start)
	attempt := func(stop int) (parent string, err error) {
		parent = t.TempDir()
		write(t, parent, Meta{}, lists[:3], maxSegment)
		w, err := Create(parent, Meta{})
		require.NoError(t, err)
		steps = nil
		w.step = func(name string) error {
			if steps = append(steps, name); len(steps) == stop {
				return boom
			}
			return nil
		}
		for _, s := range lists {
			require.NoError(t, w.Add(s.lset, s.chunks))
		}
		_, err = w.Commit()
		return parent, err
	}
	_, err := attempt(0)
	require.NoError(t, err)
	require.Equal(t, []string{"chunks", "index", "sizes", "meta", "folder", "rename", "parent"}, steps)
	for stop := 1; stop <= 7; stop++ {
		parent, err := attempt(stop)
		require.ErrorIs(t, err, boom)
		entries, err := os.ReadDir(parent)
		require.NoError(t, err)
		require.Len(t, entries, 2, "the crash left something")
		require.NoError(t, Clean(parent))
		entries, err = os.ReadDir(parent)
		require.NoError(t, err)
		dirs, err := List(parent)
		require.NoError(t, err)
		require.Len(t, dirs, len(entries), "only blocks are left")
		if stop < 7 {
			require.Len(t, dirs, 1)
			continue
		}
		require.Len(t, dirs, 2)
		got, err := readAll(t, open(t, dirs[1]), merge.All)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// TestRemove holds that a block goes at once, that its readers go on, and that a crash on the way leaves no block.
func TestRemove(t *testing.T) {
	parent := t.TempDir()
	lists, want := mixed(t, 3, 10, start)
	meta := write(t, parent, Meta{}, lists, maxSegment)
	dir := filepath.Join(parent, meta.ID.String())
	b := open(t, dir)
	require.NoError(t, Remove(dir))
	dirs, err := List(parent)
	require.NoError(t, err)
	require.Empty(t, dirs)
	got, err := readAll(t, b, merge.All)
	require.NoError(t, err)
	require.Equal(t, want, got)

	meta = write(t, parent, Meta{}, lists, maxSegment)
	dir = filepath.Join(parent, meta.ID.String())
	require.NoError(t, os.Rename(dir, dir+condemned))
	stranger := filepath.Join(parent, "notes.tmp")
	require.NoError(t, os.Mkdir(stranger, 0o700))
	require.NoError(t, Clean(parent))
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, entries, 1, "what is not ours stays")
	require.NoError(t, Clean(filepath.Join(parent, "nowhere")))
	none, err := List(filepath.Join(parent, "nowhere"))
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestClose holds that a block stays mapped for its readers, and takes no new ones.
func TestClose(t *testing.T) {
	parent := t.TempDir()
	lists, want := mixed(t, 3, 10, start)
	meta := write(t, parent, Meta{}, lists, maxSegment)
	b, err := Open(filepath.Join(parent, meta.ID.String()), Options{})
	require.NoError(t, err)
	set, err := b.Select(context.Background(), nil, merge.All.Min, merge.All.Max)
	require.NoError(t, err)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "twice is as good as once")
	require.False(t, b.Acquire())
	again, err := b.Select(context.Background(), nil, 0, 1)
	require.NoError(t, err, "who holds a block reads on")
	require.NoError(t, again.Close())
	n := 0
	var it merge.Iterator
	for set.Next() {
		it.Reset(merge.All.Min, merge.All.Max, set.Source())
		require.Equal(t, want[set.Labels().String()], drain(t, &it))
		n++
	}
	require.NoError(t, set.Err())
	require.Equal(t, 10, n)
	require.NoError(t, set.Close())
	require.NoError(t, set.Close())
	require.False(t, set.Next())
	_, err = b.Select(context.Background(), nil, 0, 1)
	require.ErrorIs(t, err, engine.ErrClosed)
	require.NoError(t, b.Delete(0, start-1), "nothing to delete")
	require.ErrorIs(t, b.Delete(start, meta.MaxTime), engine.ErrClosed)
}

func TestSelectEnds(t *testing.T) {
	parent := t.TempDir()
	lists, _ := mixed(t, 3, 10, start)
	meta := write(t, parent, Meta{}, lists, maxSegment)
	b := open(t, filepath.Join(parent, meta.ID.String()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	set, err := b.Select(ctx, nil, merge.All.Min, merge.All.Max)
	require.NoError(t, err)
	defer set.Close()
	require.False(t, set.Next())
	require.ErrorIs(t, set.Err(), context.Canceled)
}

// TestDelete holds that what is deleted is gone for new reads, also after opening again, and for no other series.
func TestDelete(t *testing.T) {
	parent := t.TempDir()
	lists, want := mixed(t, 4, 40, start)
	meta := write(t, parent, Meta{}, lists, maxSegment)
	dir := filepath.Join(parent, meta.ID.String())
	b := open(t, dir)
	host := labels.MustNewMatcher(labels.MatchEqual, "instance", "host-003")
	ofHost := func(key string) bool { return labelsOf(t, lists, key).Get("instance") == "host-003" }
	all := func(string) bool { return true }
	for _, step := range []struct {
		span merge.Interval
		of   func(string) bool
		by   []*labels.Matcher
	}{
		{merge.Interval{Min: start + 100_000, Max: start + 300_000}, ofHost, []*labels.Matcher{host}},
		{merge.Interval{Min: start + 250_000, Max: start + 500_000}, ofHost, []*labels.Matcher{host}},
		{merge.Interval{Min: start - 50, Max: start + 20_000}, all, nil},
		{merge.Interval{Min: 0, Max: start - 50}, all, nil},
		{merge.Interval{Min: start + 100_000, Max: start + 300_000}, all, nil},
		{merge.All, ofHost, []*labels.Matcher{host}},
	} {
		before, err := b.Select(context.Background(), nil, merge.All.Min, merge.All.Max)
		require.NoError(t, err)
		require.NoError(t, b.Delete(step.span.Min, step.span.Max, step.by...))
		want = want.without(step.span, step.of)
		require.NoError(t, before.Close())
		for _, reader := range []*Block{b, open(t, dir)} {
			got, err := readAll(t, reader, merge.All)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
	require.Equal(t, uint64(40), b.Tombstones())
	require.NoError(t, b.Delete(0, meta.MaxTime, labels.MustNewMatcher(labels.MatchEqual, "instance", "nobody")))
}

func labelsOf(t *testing.T, lists []rows, key string) labels.Labels {
	for _, s := range lists {
		if s.lset.String() == key {
			return s.lset
		}
	}
	t.Fatal("no series " + key)
	return labels.EmptyLabels()
}
