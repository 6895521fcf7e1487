package raft

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	rounds  = 5                       // of each side, alternating
	warm    = 250 * time.Millisecond  // not counted, at the start of each round
	length  = 2000 * time.Millisecond // counted, of each round
	cmdSize = 128                     // bytes of a command
	maxLost = 1000                    // commits that may fail in a round
)

// system commits commands.
type system interface {
	commit(ctx context.Context, cmd []byte) error
	// await returns when there is a leader again, and the time.
	await(t *testing.T) time.Time
	close(t *testing.T)
}

// TestBenchRaft prints commits per second of both sides with 1 and with 64 clients, from one run on one disk.
func TestBenchRaft(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("set NOVACRON_BENCH=1 to measure")
	}
	// NOVACRON_BENCH_DIR names a directory on the disk to measure; a temporary directory may be in memory.
	dir, err := os.MkdirTemp(os.Getenv("NOVACRON_BENCH_DIR"), "bench-raft-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	before := fsyncRate(t, dir)
	var ours, theirs system = newLayered(t, filepath.Join(dir, "ours")), newBare(t, filepath.Join(dir, "theirs"))
	for _, clients := range []int{1, 64} {
		a, b := alternate(t, ours, theirs, clients)
		fmt.Printf("bench raft commits_%d peer=bare-raft ours=%.0f theirs=%.0f ratio=%.2f\n", clients, a.rate, b.rate, a.rate/b.rate)
		fmt.Printf("raft with %d clients: p99 ours %v, theirs %v\n", clients, a.p99.Round(10*time.Microsecond), b.p99.Round(10*time.Microsecond))
	}
	ours.close(t)
	theirs.close(t)
	fmt.Printf("raft disk: append and fsync of 256 bytes, one writer: %.0f/s before, %.0f/s after\n", before, fsyncRate(t, dir))
}

// result is the median of the rounds of one side.
type result struct {
	rate float64 // commits per second
	p99  time.Duration
}

// alternate runs rounds of both sides in turn, so that a change of the machine's pace meets both.
func alternate(t *testing.T, ours, theirs system, clients int) (a, b result) {
	var as, bs []result
	for range rounds {
		as = append(as, measure(t, ours, clients))
		bs = append(bs, measure(t, theirs, clients))
	}
	return median(as), median(bs)
}

func median(rs []result) result {
	var rates []float64
	var p99s []time.Duration
	for _, r := range rs {
		rates, p99s = append(rates, r.rate), append(p99s, r.p99)
	}
	slices.Sort(rates)
	slices.Sort(p99s)
	return result{rate: rates[len(rs)/2], p99: p99s[len(rs)/2]}
}

// measure runs one round.
func measure(t *testing.T, s system, clients int) result {
	cmd := make([]byte, cmdSize)
	begin := time.Now().Add(warm)
	end := begin.Add(length)
	var mu sync.Mutex
	var all []time.Duration
	var lost atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			var mine []time.Duration
			for now := time.Now(); now.Before(end); {
				if err := s.commit(context.Background(), cmd); err != nil {
					// An election on a busy machine; it costs the side that has it.
					if lost.Add(1) > maxLost {
						t.Error(err)
						return
					}
					now = s.await(t)
					continue
				}
				done := time.Now()
				if done.After(begin) && done.Before(end) {
					mine = append(mine, done.Sub(now))
				}
				now = done
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	require.NotEmpty(t, all)
	slices.Sort(all)
	return result{rate: float64(len(all)) / length.Seconds(), p99: all[len(all)*99/100]}
}

// fsyncRate returns how often per second the disk takes 256 bytes durably.
func fsyncRate(t *testing.T, dir string) float64 {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	require.NoError(t, err)
	defer f.Close()
	buf := make([]byte, 256)
	n, start := 0, time.Now()
	for ; time.Since(start) < time.Second; n++ {
		_, err := f.Write(buf)
		require.NoError(t, err)
		require.NoError(t, f.Sync())
	}
	return float64(n) / time.Since(start).Seconds()
}
