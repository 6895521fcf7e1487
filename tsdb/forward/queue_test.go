package forward

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/log"
)

// patience is how long something on this machine may take.
const patience = 30 * time.Second

// soon fails where f does not return.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, what)
	}
}

// TestTheStateWaitsForNothing asks how a set goes while somebody is at work in a queue and somebody else waits for it.
func TestTheStateWaitsForNothing(t *testing.T) {
	set, err := Open(Options{Dir: t.TempDir()})
	require.NoError(t, err)
	set.Configure([]Target{{Name: "t", ID: 1, Problem: "none yet"}})
	set.Stored(floats(10, 1))
	q := set.list()["t"].queue
	q.mu.Lock()
	stored := make(chan struct{})
	go func() { defer close(stored); set.Stored(floats(10, 2)) }()
	var all []Status
	soon(t, "the state waits for the queue", func() { all = set.Statuses() })
	require.Equal(t, int64(10), all[0].Pending)
	changed := make(chan struct{})
	go func() { // who waits for the lock of the set lets nobody else in
		defer close(changed)
		set.mu.Lock()
		set.mu.Unlock() //nolint:staticcheck // it was waited for
	}()
	soon(t, "the set waits for the queue", func() { <-changed })
	q.mu.Unlock()
	<-stored
	require.Equal(t, int64(20), set.Statuses()[0].Pending)
	set.list()["t"].halt()
	require.NoError(t, set.Close(t.Context()))
}

// TestAppendingDoesNotWaitForTheCursor appends while the cursor is brought into stable storage.
func TestAppendingDoesNotWaitForTheCursor(t *testing.T) {
	q := testQueue(t, t.TempDir(), 64<<20)
	defer q.close()
	q.append(floats(10, 1))
	_, ends := drain(t, q)
	flushed := 0
	q.cursor.flush = func(int) error {
		flushed++
		soon(t, "appending waits for the cursor", func() { q.append(floats(10, 2)) })
		return nil
	}
	require.NoError(t, q.commit(ends[9]))
	require.Equal(t, 1, flushed)
	require.Equal(t, int64(10), q.state().pending)
	q.cursor.flush = unix.Fdatasync
}

// TestAppendingDoesNotWaitForWhatIsDropped looks at a segment on a disk that does not answer, as a pipe does which nobody
// writes to.
func TestAppendingDoesNotWaitForWhatIsDropped(t *testing.T) {
	dir := t.TempDir()
	q := testQueue(t, dir, 64<<20)
	q.append(floats(10, 1))
	require.NoError(t, q.close())
	q = testQueue(t, dir, 64<<20)
	defer q.close()
	path := filepath.Join(q.segmentsDir(), fmt.Sprintf("%016d", 1))
	require.NoError(t, os.Remove(path))
	require.NoError(t, unix.Mkfifo(path, 0o600))
	q.setMax(1)
	dropping := make(chan struct{})
	go func() { defer close(dropping); q.append(floats(1, 2)) }()
	defer func() { // as if the disk went on
		pipe, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		<-dropping
		require.NoError(t, pipe.Close())
		require.NoFileExists(t, path)
	}()
	require.Eventually(t, func() bool {
		if !q.mu.TryLock() {
			return false
		}
		defer q.mu.Unlock()
		return len(q.segments) == 1
	}, patience, time.Millisecond, "the queue is held while a segment is looked at")
	soon(t, "appending waits for what is dropped", func() { q.append(floats(1, 3)) })
	require.Equal(t, int64(2), q.state().pending)
}

// TestWhatIsDroppedUncounted is counted though nobody has read it since the start.
func TestWhatIsDroppedUncounted(t *testing.T) {
	dir := t.TempDir()
	q := testQueue(t, dir, 64<<20)
	for i := range 3 {
		q.append(floats(10, int64(i)))
	}
	_, ends := drain(t, q)
	require.NoError(t, q.commit(ends[9]))
	require.NoError(t, q.close())
	q = testQueue(t, dir, 64<<20)
	defer q.close()
	q.setMax(1)
	q.append(floats(1, 9))
	require.Equal(t, int64(20), q.state().full, "but for what was acknowledged")
	require.NoFileExists(t, filepath.Join(q.segmentsDir(), fmt.Sprintf("%016d", 1)))
}

// TestASegmentThatCannotBeRemoved is told of, and tried again.
func TestASegmentThatCannotBeRemoved(t *testing.T) {
	q := testQueue(t, t.TempDir(), 64<<20)
	defer q.close()
	q.append(floats(10, 1))
	number, err := q.log.Rotate()
	require.NoError(t, err)
	q.mu.Lock()
	q.begin(number)
	q.unlock()
	q.append(floats(10, 2))
	path := filepath.Join(q.segmentsDir(), fmt.Sprintf("%016d", 1))
	_, ends := drain(t, q)
	require.NoError(t, os.Rename(path, path+"x"))
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in the way"), 0o700))
	require.ErrorContains(t, q.commit(ends[19]), "stays")
	require.ErrorContains(t, q.state().lastFailure, "stays")
	require.NoError(t, os.Remove(filepath.Join(path, "in the way")))
	require.NoError(t, q.commit(ends[19]))
	require.NoDirExists(t, path)
}

// TestAWriteTooLargeForARecord is cut until it fits; only what does not fit alone is lost.
func TestAWriteTooLargeForARecord(t *testing.T) {
	q := testQueue(t, t.TempDir(), 256<<20)
	defer q.close()
	var stored Stored
	const wide = 2500
	for i := range wide {
		lset := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "wide", strings.Repeat("x", 2*log.MaxRecord/wide))
		stored.Points = append(stored.Points, Point{Ref: engine.Ref(i + 1), Labels: lset, T: 1, V: float64(i)})
	}
	huge := labels.FromStrings("__name__", "huge", "wide", strings.Repeat("x", log.MaxRecord/2), "wider", strings.Repeat("y", log.MaxRecord/2))
	stored.Points = append(stored.Points, Point{Ref: wide + 1, Labels: huge, T: 1})
	stored.Examples = []Example{{Ref: 1, Labels: stored.Points[0].Labels, Exemplar: exemplar.Exemplar{Value: 1, Ts: 1, HasTs: true}}, {Ref: wide + 1, Labels: huge, Exemplar: exemplar.Exemplar{Ts: 1, HasTs: true}}}
	q.append(stored)
	got, _ := drain(t, q)
	require.Len(t, got, wide)
	for i := range got {
		require.Equal(t, stored.Points[i].Labels, got[i].Labels)
		require.Equal(t, float64(i), got[i].V)
	}
	s := q.state()
	require.Equal(t, int64(1), s.failed)
	require.ErrorContains(t, s.lastFailure, "at most 16777216 can be queued")
	q.append(floats(3, 2)) // and it goes on
	require.Equal(t, int64(wide+3), q.state().pending)
}

// noisy is a batch that packs badly.
func noisy(random *rand.Rand, t int64) Stored {
	batch := floats(500, t)
	for i := range batch.Points {
		batch.Points[i].V = random.NormFloat64()
	}
	return batch
}

// TestASegmentThatCannotBeEnded makes room of the others, and takes no more than the queue may take.
func TestASegmentThatCannotBeEnded(t *testing.T) {
	q := testQueue(t, t.TempDir(), 64<<20)
	defer q.close()
	random := rand.New(rand.NewPCG(5, 6))
	q.setMax(MinQueueBytes)
	for q.state().bytes < MinQueueBytes*3/4 {
		q.append(noisy(random, 1))
	}
	require.Greater(t, len(q.segments), 3)
	away := q.segmentsDir() + "-away"
	require.NoError(t, os.Rename(q.segmentsDir(), away)) // no segment can be made; what is open is written
	for i := range 500 {
		q.append(noisy(random, int64(2+i)))
		require.LessOrEqual(t, q.state().bytes, int64(MinQueueBytes+64<<10), "batch %d", i)
	}
	require.Len(t, q.segments, 1)
	s := q.state()
	require.Positive(t, s.failed)
	require.Positive(t, s.full)
	require.ErrorContains(t, s.lastFailure, "another cannot be begun")
	require.NoError(t, os.Rename(away, q.segmentsDir()))
	q.append(noisy(random, 1000))
	got, _ := drain(t, q)
	require.Equal(t, int64(1000), got[len(got)-1].T, "it goes on")
	require.Len(t, got, 500)
}

// TestAQueueThatCannotBeRead on one place goes on with the next segment after a while.
func TestAQueueThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := leftBehind(t)
		dir := w.set.queueConfig(w.target).dir
		path := filepath.Join(dir, "log", fmt.Sprintf("%016d", 1))
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, 0o700)) // which can be opened and not read, as on a disk with a bad sector
		require.NoError(t, os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
		w.open()
		w.set.Stored(floats(10, 2))
		pass(time.Minute)
		require.Empty(t, w.remote.all())
		require.Contains(t, w.status().Error, "the queue cannot be read")
		pass(10 * time.Minute)
		require.Equal(t, sent(floats(10, 2).Points), w.remote.all())
		require.Positive(t, w.status().Damaged)
		require.NoError(t, os.Remove(filepath.Join(path, "x")))
		w.close()
	})
}

// TestAClockThatIsSetBack does not hold up what was stored by the time before.
func TestAClockThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.close()
		var behind atomic.Int64
		options := w.set.options
		options.Clock = func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
		set, err := Open(options)
		require.NoError(t, err)
		w.set = set
		set.Configure([]Target{w.target})
		set.Stored(floats(10, 1))
		synctest.Wait()
		behind.Store(int64(24 * time.Hour))
		pass(6 * time.Second)
		require.Len(t, w.remote.all(), 10)
		require.Zero(t, w.status().Lag)
		w.close()
	})
}
