package durable

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
)

// TestAcceptedBeforeTheSeal has a sample accepted for a span that the head does not have yet, while upkeep is about to
// seal a younger one: sealing waits for it, and takes the older span first.
func TestAcceptedBeforeTheSeal(t *testing.T) {
	const minute = int64(60_000)
	now := atomic.Int64{}
	now.Store(11*minute + 5)
	var meanwhile func() // runs once, where the clock is asked next
	opts := imageOptions()
	opts.AnyAge, opts.Window = false, time.Minute
	opts.Clock = func() time.Time {
		at := now.Load()
		if do := meanwhile; do != nil {
			meanwhile = nil
			do()
		}
		return time.UnixMilli(at)
	}
	s, err := Open(t.TempDir(), opts)
	require.NoError(t, err)
	defer s.Close()
	ref, err := s.Ref(labels.FromStrings("__name__", "a"))
	require.NoError(t, err)
	write := func(at int64) {
		done, err := s.Append(t.Context(), engine.Batch{Samples: []engine.Sample{{Ref: ref, T: at, V: 1}}})
		require.NoError(t, err)
		require.Empty(t, done.Refused)
	}
	write(11 * minute)
	upkeep := make(chan error, 1)
	meanwhile = func() {
		now.Store(14 * minute)
		go func() { upkeep <- s.Maintain(t.Context()) }()
		for s.life.TryRLock() { // until upkeep waits for this batch
			s.life.RUnlock()
			runtime.Gosched()
		}
	}
	write(10 * minute)
	require.NoError(t, <-upkeep)
	require.Equal(t, 12*minute, s.sealed)
	set, err := s.Select(t.Context(), engine.Selection{Min: 0, Max: now.Load()})
	require.NoError(t, err)
	defer set.Close()
	require.True(t, set.Next())
	var found []int64
	for it := set.At().Iterator(nil); it.Next() != 0; {
		found = append(found, it.AtT())
	}
	require.Equal(t, []int64{10 * minute, 11 * minute}, found)
}
