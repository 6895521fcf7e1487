package log_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/log"
)

// slowDisk holds up every sync, once it is stuck, until it is freed.
type slowDisk struct {
	stuck atomic.Bool
	begun chan struct{}
	freed chan struct{}
	syncs atomic.Int64
}

func newSlowDisk() *slowDisk {
	return &slowDisk{begun: make(chan struct{}, 1), freed: make(chan struct{})}
}

func (d *slowDisk) synced(time.Duration, error) {
	d.syncs.Add(1)
	if d.stuck.Load() {
		select {
		case d.begun <- struct{}{}:
		default:
		}
		<-d.freed
	}
}

// TestATurnWaitsForNoDisk goes on to other segments while a sync is under way, and has all of it be in stable storage
// after the next one.
func TestATurnWaitsForNoDisk(t *testing.T) {
	dir, disk := t.TempDir(), newSlowDisk()
	l, err := log.Open(dir, log.Options{Sync: time.Hour, Synced: disk.synced})
	require.NoError(t, err)
	_, err = l.Append([]byte("first"))
	require.NoError(t, err)
	disk.stuck.Store(true)
	var waiting sync.WaitGroup
	waiting.Go(func() { require.NoError(t, l.Sync()) })
	<-disk.begun
	done := make(chan error, 1)
	go func() {
		for i := range uint64(5) {
			number, err := l.Turn()
			if err == nil && number != i+2 {
				err = fmt.Errorf("segment %d, not %d", number, i+2)
			}
			if err == nil {
				_, err = l.Append([]byte("next"))
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		require.Fail(t, "it waits for the disk")
	}
	disk.stuck.Store(false)
	close(disk.freed)
	waiting.Wait()
	before := disk.syncs.Load()
	require.NoError(t, l.Sync())
	require.EqualValues(t, 6, disk.syncs.Load()-before, "each of the segments that were ended, and the last")
	require.NoError(t, l.Sync())
	require.EqualValues(t, 6, disk.syncs.Load()-before)
	require.NoError(t, l.Close())
	records, damages := readAll(t, dir)
	require.Len(t, records, 6)
	require.Empty(t, damages)
	_, err = l.Turn()
	require.ErrorIs(t, err, log.ErrClosed)
}

// TestManyTurnsWaitForTheDisk holds no more files open than some.
func TestManyTurnsWaitForTheDisk(t *testing.T) {
	dir, disk := t.TempDir(), newSlowDisk()
	l, err := log.Open(dir, log.Options{Sync: time.Hour, Synced: disk.synced})
	require.NoError(t, err)
	opened := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(files)
	}
	before := opened()
	for i := range uint64(100) {
		number, err := l.Turn()
		require.NoError(t, err)
		require.Equal(t, i+2, number)
		_, err = l.Append([]byte("x"))
		require.NoError(t, err)
		require.LessOrEqual(t, opened(), before+17)
	}
	require.Positive(t, disk.syncs.Load())
	require.NoError(t, l.Close())
	require.Less(t, opened(), before)
	records, _ := readAll(t, dir)
	require.Len(t, records, 100)
}

// TestATurnThatFailsChangesNothing has no folder to begin a segment in.
func TestATurnThatFailsChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l, err := log.Open(dir, log.Options{Sync: time.Hour})
	require.NoError(t, err)
	require.NoError(t, os.Rename(dir, dir+"x"))
	_, err = l.Turn()
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.Rename(dir+"x", dir))
	number, err := l.Append([]byte("x"))
	require.NoError(t, err)
	require.EqualValues(t, 1, number)
	require.NoError(t, l.Close())
}
