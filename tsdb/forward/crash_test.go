package forward

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb/log"
)

func testQueue(t require.TestingT, dir string, most int64) *queue {
	q, err := openQueue(queueConfig{dir: dir, max: most, sync: time.Hour, now: time.Now}, nil)
	require.NoError(t, err)
	return q
}

// drain reads all that a queue has.
func drain(t require.TestingT, q *queue) (all []Point, ends []position) {
	r := newReading(q, labels.EmptyLabels())
	defer r.close()
	for {
		got, end, ok, err := r.next()
		require.NoError(t, err)
		if !ok {
			return all, ends
		}
		for _, one := range got.samples {
			s := r.known[one.id]
			if s == nil {
				continue // the log went on to another segment by itself
			}
			all = append(all, Point{Labels: s.lset, T: one.t, ST: one.st, V: one.v})
			ends = append(ends, end)
		}
	}
}

// copied is a folder with the same files, each cut to what a crash has left of it.
func copied(t require.TestingT, from, to string, cut func(name string, size int64) int64) {
	require.NoError(t, filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(from, path)
		if info.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text[:cut(name, int64(len(text)))], 0o600)
	}))
}

// TestACrashAtAnyByte crashes at any byte of any write of any history of a queue: of what was there before that write
// nothing is lost, and what was acknowledged before is not read again.
func TestACrashAtAnyByte(t *testing.T) {
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		dir := filepath.Join(root, fmt.Sprint(run))
		q := testQueue(rt, dir, 64<<20)
		r := newReading(q, labels.EmptyLabels())
		var stored []Point
		read, acked := 0, 0
		last := position{}
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1, 2:
				batch := floats(rapid.IntRange(1, 300).Draw(rt, "series"), int64(step))
				q.append(batch)
				stored = append(stored, batch.Points...)
			case 3:
				if got, end, ok, err := r.next(); ok {
					require.NoError(rt, err)
					read, last = read+got.count(), end
				}
			case 4:
				if read > acked {
					require.NoError(rt, q.commit(last))
					acked = read
				}
			case 5: // in order
				r.close()
				require.NoError(rt, q.close())
				q = testQueue(rt, dir, 64<<20)
				r, read = newReading(q, labels.EmptyLabels()), acked
			}
		}
		// The write that the crash comes in the middle of: of a batch, or of the cursor.
		segment, size := q.log.Segment()
		slot := q.cursor.turn
		inCursor := read > acked && rapid.Bool().Draw(rt, "in the cursor")
		before, torning := int64(0), 0
		if info, err := os.Stat(filepath.Join(dir, "cursor")); err == nil {
			before = info.Size()
		}
		if inCursor {
			require.NoError(rt, q.commit(last))
		} else {
			torning = rapid.IntRange(1, 300).Draw(rt, "more")
			q.append(floats(torning, 1000))
		}
		torn := filepath.Join(root, fmt.Sprint(run, "-torn"))
		copied(rt, dir, torn, func(name string, now int64) int64 {
			switch {
			case !inCursor && name == filepath.Join("log", fmt.Sprintf("%016d", segment)):
				return rapid.Int64Range(size, now).Draw(rt, "bytes")
			case inCursor && name == "cursor" && now > before:
				return rapid.Int64Range(before, now).Draw(rt, "bytes")
			}
			return now
		})
		if inCursor { // a slot that is written over is there in part
			tear(rt, filepath.Join(torn, "cursor"), slot)
		}
		r.close()
		require.NoError(rt, q.close())

		again := testQueue(rt, torn, 64<<20)
		defer again.close()
		got, _ := drain(rt, again)
		from := acked
		if inCursor { // segments that were acknowledged as a whole may be gone without it
			from = len(stored) - len(got)
			require.True(rt, acked <= from && from <= read, "%d of %d acknowledged, %d read, %d there", acked, len(stored), read, len(got))
		}
		kept := stored[from:]
		require.GreaterOrEqual(rt, len(got), len(kept), "lost")
		for i, want := range kept {
			require.Equal(rt, want.T, got[i].T)
			require.Equal(rt, want.Labels.String(), got[i].Labels.String())
		}
		require.Contains(rt, []int{0, torning}, len(got)-len(kept), "the last batch is there or not")
		again.append(floats(1, 2000)) // and it goes on
		more, _ := drain(rt, again)
		require.Equal(rt, int64(2000), more[len(more)-1].T)
		require.NoError(rt, os.RemoveAll(dir))
		require.NoError(rt, os.RemoveAll(torn))
	})
}

// tear leaves the write of a slot undone from some byte on.
func tear(t *rapid.T, path string, turn uint64) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	at := int64((turn+1)%2) * slotBytes
	keep := rapid.Int64Range(0, slotBytes).Draw(t, "of the slot")
	rest := make([]byte, slotBytes-keep)
	if info, err := file.Stat(); err == nil && info.Size() >= at+slotBytes {
		for i := range rest {
			rest[i] = byte(rapid.IntRange(0, 255).Draw(t, "old"))
		}
		_, err = file.WriteAt(rest, at+keep)
		require.NoError(t, err)
	}
}

// TestAFullQueueDropsTheOldest and tells of it, and takes no more of the disk than it may.
func TestAFullQueueDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.target.QueueBytes = MinQueueBytes
			w.remote.answer = func(int, int, context.Context) *http.Response { return respond(503, "down") }
		})
		defer w.close()
		random := rand.New(rand.NewPCG(3, 4))
		const batches = 800
		for i := range batches {
			batch := floats(500, int64(i))
			for k := range batch.Points {
				batch.Points[k].V = random.NormFloat64() // which packs badly
			}
			w.set.Stored(batch)
			require.LessOrEqual(t, w.status().QueueBytes, int64(MinQueueBytes))
		}
		pass(time.Minute)
		s := w.status()
		require.Positive(t, s.Dropped[ReasonQueueFull])
		w.remote.mu.Lock()
		w.remote.answer = nil
		w.remote.mu.Unlock()
		pass(2 * time.Minute)
		s = w.status()
		require.Zero(t, s.Pending)
		require.Equal(t, int64(batches*500), s.Sent+s.Dropped[ReasonQueueFull], "each was sent or counted")
		all := w.remote.all()
		require.Equal(t, int64(batches-1), all[len(all)-1].t, "the newest are there")
	})
}

// TestAQueueThatCannotBeWritten counts what is not in it, and goes on when it can be again.
func TestAQueueThatCannotBeWritten(t *testing.T) {
	q := testQueue(t, t.TempDir(), 64<<20)
	defer q.close()
	q.append(floats(10, 1))
	require.NoError(t, q.log.Close())
	q.append(floats(10, 2))
	s := q.state()
	require.Equal(t, int64(10), s.failed)
	require.ErrorContains(t, s.lastFailure, "the queue cannot be written")
	var err error
	q.log, err = log.Open(q.segmentsDir(), log.Options{Sync: time.Hour})
	require.NoError(t, err)
	q.append(floats(10, 3)) // in another segment than it knows
	got, ends := drain(t, q)
	require.Len(t, got, 30, "once more where nobody knows what the segment has")
	require.Equal(t, int64(3), got[10].T)
	require.NoError(t, q.commit(ends[29]))
	require.Zero(t, q.state().pending)
}

// TestDamageIsPassedOver spoils a byte in the middle: what is around it is sent.
func TestDamageIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	q := testQueue(t, dir, 64<<20)
	for i := range 10 {
		q.append(floats(100, int64(i)))
	}
	require.NoError(t, q.close())
	path := filepath.Join(dir, "log", fmt.Sprintf("%016d", 1))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(path, text, 0o600))
	q = testQueue(t, dir, 64<<20)
	defer q.close()
	got, _ := drain(t, q)
	require.Len(t, got, 900)
	require.Positive(t, q.state().damaged)
	require.ErrorContains(t, q.state().lastFailure, "checksum")
}

// TestRemovedSegments holds that a cursor of segments that somebody removed hides nothing of what comes.
func TestRemovedSegments(t *testing.T) {
	dir := t.TempDir()
	q := testQueue(t, dir, 64<<20)
	for range 5 {
		q.append(floats(100, 1))
		_, err := q.log.Rotate()
		require.NoError(t, err)
	}
	_, ends := drain(t, q)
	require.NoError(t, q.commit(ends[len(ends)-1]))
	require.NoError(t, q.close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "log")))
	q = testQueue(t, dir, 64<<20)
	defer q.close()
	q.append(floats(100, 2))
	got, _ := drain(t, q)
	require.Len(t, got, 100)
}

// TestManySegments appends and reads through segments that each define their series.
func TestManySegments(t *testing.T) {
	q := testQueue(t, t.TempDir(), MinQueueBytes*64)
	defer q.close()
	q.cfg.max = MinQueueBytes // small segments
	r := newReading(q, labels.EmptyLabels())
	defer r.close()
	seen := 0
	for i := range 500 {
		q.append(floats(200, int64(i)))
		for {
			got, end, ok, err := r.next()
			require.NoError(t, err)
			if !ok {
				break
			}
			for _, one := range got.samples {
				require.Equal(t, float64(one.t)+float64(seen%200)/1000, one.v)
				require.Equal(t, named(seen%200), r.known[one.id].lset)
				seen++
			}
			require.NoError(t, q.commit(end))
		}
	}
	require.Equal(t, 500*200, seen)
	require.Greater(t, q.current().number, uint64(5))
	require.Len(t, q.segments, 1, "what is acknowledged goes")
	require.Zero(t, q.state().pending)
}

// FuzzQueue reads any bytes as a segment: it ends, and without a panic.
func FuzzQueue(f *testing.F) {
	dir := f.TempDir()
	q := testQueue(f, dir, 64<<20)
	q.append(everything(1000))
	q.append(floats(3, 2))
	if err := q.close(); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(dir, "log", fmt.Sprintf("%016d", 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, []byte{})
	f.Add(seed[:len(seed)-3], make([]byte, 2*slotBytes))
	f.Fuzz(func(t *testing.T, file, saved []byte) {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "log"), 0o700))
		for number, text := range map[int][]byte{1: file, 2: nil} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "log", fmt.Sprintf("%016d", number)), text, 0o600))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cursor"), saved, 0o600))
		c, at, err := openCursor(filepath.Join(dir, "cursor"))
		require.NoError(t, err)
		defer c.file.Close()
		q := &queue{cfg: queueConfig{dir: dir}, cursor: c, at: at, segments: []*segment{{number: 1, size: int64(len(file))}, {number: 2, counted: true}}}
		q.count(t.Context()) // nothing is synced, so that many can be tried
		q.rewind()
		r := newReading(q, labels.EmptyLabels())
		defer r.close()
		for {
			if _, _, ok, err := r.next(); !ok {
				require.NoError(t, err)
				break
			}
		}
		for _, one := range q.segments {
			require.Equal(t, one.samples, one.taken, "all that was counted is read")
		}
	})
}

// FuzzRecord takes any bytes for a record; what can be read is written as it was read.
func FuzzRecord(f *testing.F) {
	one := record{written: 5, series: []definition{{1, named(1)}}, samples: []sample{{1, 2, 1, 3, nil}, {1, 3, 0, 4, nil}}}
	f.Add(one.append(nil))
	one = record{histograms: []sample{{1, 2, 1, 0, []byte("x")}}, exemplars: []example{{1, 2, 3, named(4)}}}
	f.Add(one.append(nil))
	f.Fuzz(func(t *testing.T, src []byte) {
		var r, again record
		if r.parse(src) != nil {
			return
		}
		require.NoError(t, again.parse(r.append(nil)))
		require.Equal(t, r.append(nil), again.append(nil))
	})
}
