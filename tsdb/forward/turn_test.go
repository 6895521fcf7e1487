package forward

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/log"
)

// TestStoringDoesNotWaitForTheDisk fills segments while a sync is under way that does not end.
func TestStoringDoesNotWaitForTheDisk(t *testing.T) {
	q := testQueue(t, t.TempDir(), 64<<20)
	defer q.close()
	require.NoError(t, q.log.Close())
	begun, freed := make(chan struct{}), make(chan struct{})
	stuck := sync.OnceFunc(func() {
		close(begun)
		<-freed
	})
	free := sync.OnceFunc(func() { close(freed) })
	defer free()
	var err error
	q.log, err = log.Open(q.segmentsDir(), log.Options{Sync: time.Hour, Synced: func(time.Duration, error) { stuck() }})
	require.NoError(t, err)
	q.append(floats(10, 1))
	var waiting sync.WaitGroup
	waiting.Go(func() { require.NoError(t, q.log.Sync()) })
	<-begun
	done := make(chan struct{})
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(7, 8))
		q.setMax(MinQueueBytes)
		for q.state().full == 0 { // until the oldest are dropped
			q.append(noisy(random, 2))
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		require.Fail(t, "storing waits for the disk")
	}
	free()
	waiting.Wait()
	require.Greater(t, q.current().number, uint64(5))
	require.Zero(t, q.state().failed)
}

// TestACrashThatLosesTheNewestSegment leaves a cursor that names it: what comes then, under the same number, is sent.
func TestACrashThatLosesTheNewestSegment(t *testing.T) {
	dir := t.TempDir()
	q := testQueue(t, dir, 64<<20)
	q.append(floats(10, 1))
	number, err := q.log.Turn()
	require.NoError(t, err)
	q.mu.Lock()
	q.begin(number)
	q.unlock()
	q.append(floats(100, 2))
	_, ends := drain(t, q)
	require.NoError(t, q.commit(ends[len(ends)-1]))
	require.NoError(t, q.close())
	require.NoError(t, os.Remove(filepath.Join(q.segmentsDir(), fmt.Sprintf("%016d", number))))
	require.NoError(t, os.WriteFile(filepath.Join(q.segmentsDir(), fmt.Sprintf("%016d", number-1)), nil, 0o600))

	q = testQueue(t, dir, 64<<20)
	defer q.close()
	require.Equal(t, number, q.current().number)
	q.append(floats(10, 3))
	got, ends := drain(t, q)
	require.Len(t, got, 10)
	require.NoError(t, q.commit(ends[len(ends)-1]))
	require.Zero(t, q.state().pending)
}

// TestACrashThatLosesNamesOfSegments leaves a cursor in one of them, and the numbers come back. What is under them then is sent
// after any number of starts.
func TestACrashThatLosesNamesOfSegments(t *testing.T) {
	for lost := 1; lost <= 2; lost++ {
		dir := t.TempDir()
		q := testQueue(t, dir, 64<<20)
		path := func(number uint64) string { return filepath.Join(q.segmentsDir(), fmt.Sprintf("%016d", number)) }
		for range lost {
			number, err := q.log.Turn()
			require.NoError(t, err)
			q.mu.Lock()
			q.begin(number)
			q.unlock()
		}
		q.append(floats(100, 1))
		_, ends := drain(t, q)
		require.NoError(t, q.commit(ends[len(ends)-1]))
		require.NoError(t, q.close())
		require.NoError(t, os.RemoveAll(q.segmentsDir()))
		require.NoError(t, os.Mkdir(q.segmentsDir(), 0o700))
		require.NoError(t, os.WriteFile(path(1), nil, 0o600))

		q = testQueue(t, dir, 64<<20)
		require.EqualValues(t, 2, q.current().number, "which it was before")
		q.append(floats(10, 2)) // and the remote takes none
		require.NoError(t, q.close())

		q = testQueue(t, dir, 64<<20)
		got, _ := drain(t, q)
		require.Len(t, got, 10, "with %d lost", lost)
		require.NoError(t, q.close())
	}
}

var errDisk = errors.New("no luck with the disk")

// TestASyncThatFailsIsTold by what is told of the queue next.
func TestASyncThatFailsIsTold(t *testing.T) {
	q := testQueue(t, t.TempDir(), 64<<20)
	defer q.close()
	q.synced(time.Second, errDisk)
	q.append(floats(1, 1))
	require.ErrorIs(t, q.state().lastFailure, errDisk)
	require.Zero(t, q.state().failed)
}

// TestASyncThatFailsIsForgotten once others have gone well for so long that it was told.
func TestASyncThatFailsIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(t, t.TempDir(), 64<<20)
		defer q.close()
		q.synced(time.Second, errDisk)
		q.synced(time.Second, nil)
		require.ErrorIs(t, q.state().lastFailure, errDisk, "of the next file")
		pass(watchEvery + time.Second)
		require.ErrorIs(t, q.state().lastFailure, errDisk)
		q.synced(time.Second, nil)
		require.NoError(t, q.state().lastFailure)
	})
}
