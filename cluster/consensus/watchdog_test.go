package consensus

import (
	"bytes"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// pass lets the bubble's clock run.
func pass(d time.Duration) { <-time.After(d) }

func TestWatchdogWaitsForTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchdog(4 * time.Second)
		var op string
		var after time.Duration
		w.start(func() bool { return true }, func(o string, d time.Duration) { op, after = o, d })
		quick, slow := w.begin("quick"), w.beginLimit("snapshot", time.Minute)
		pass(3 * time.Second)
		w.end(quick)
		pass(30 * time.Second)
		synctest.Wait()
		require.Empty(t, op)
		require.Equal(t, 33*time.Second, w.oldest(time.Now()))
		w.end(slow)
		w.begin("log append")
		pass(5 * time.Second)
		synctest.Wait()
		require.Equal(t, "log append", op)
		require.InDelta(t, 4*time.Second, after, float64(300*time.Millisecond))
		w.close()
	})
}

func TestWatchdogSparesFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchdog(time.Second)
		var leading, fired atomic.Bool
		w.start(leading.Load, func(string, time.Duration) { fired.Store(true) })
		w.begin("log append")
		pass(time.Hour)
		synctest.Wait()
		require.False(t, fired.Load())
		leading.Store(true)
		pass(time.Second)
		synctest.Wait()
		require.True(t, fired.Load())
		w.close()
	})
}

// holes is a log that must never have one.
type holes struct {
	raft.LogStore
	t      require.TestingT
	lo, hi uint64
}

func (h *holes) FirstIndex() (uint64, error) { return h.lo, nil }

func (h *holes) DeleteRange(lo, hi uint64) error {
	require.LessOrEqual(h.t, hi-lo, uint64(deleteChunk))
	switch {
	case lo <= h.lo:
		h.lo = hi + 1
	case hi >= h.hi:
		h.hi = lo - 1
	default:
		require.FailNow(h.t, "a hole", "%d to %d of %d to %d", lo, hi, h.lo, h.hi)
	}
	return nil
}

func TestTruncationLeavesNoHole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint64Range(1, 1000).Draw(t, "first")
		last := first + rapid.Uint64Range(0, 30_000).Draw(t, "length")
		cut := rapid.Uint64Range(first, last).Draw(t, "cut")
		h := &holes{t: t, lo: first, hi: last}
		s := &logStore{LogStore: h, watch: newWatchdog(time.Second)}
		if rapid.Bool().Draw(t, "suffix") && cut > first {
			require.NoError(t, s.DeleteRange(cut, last))
			require.Equal(t, [2]uint64{first, cut - 1}, [2]uint64{h.lo, h.hi})
			return
		}
		require.NoError(t, s.DeleteRange(first, cut))
		require.Equal(t, [2]uint64{cut + 1, last}, [2]uint64{h.lo, h.hi})
	})
}

func TestGuardTurnsAPanicIntoAnError(t *testing.T) {
	w := newWatchdog(time.Second)
	err := guard(w, "log read", func() error { panic("page 7: invalid type") })
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorContains(t, err, "page 7")
	require.Empty(t, w.calls)
	boom := errors.New("boom")
	require.Equal(t, boom, guard(w, "log read", func() error { return boom }), "raft compares by identity")
}

func TestLoggerBridge(t *testing.T) {
	var buf bytes.Buffer
	l := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelInfo}))
	h := newHCLogger(l, newWatchdog(time.Second))
	h.Debug("hidden")
	h.Named("net").With("peer", "n2").Warn("dial", "servers", hclog.Fmt("%d of %d", 1, 3))
	h.StandardLogger(nil).Println("plain line")
	out := buf.String()
	require.NotContains(t, out, "hidden")
	for _, want := range []string{"level=WARN", "component=raft", "logger=net", "peer=n2", `servers="1 of 3"`, `msg="plain line"`} {
		require.Contains(t, out, want)
	}
	require.Equal(t, hclog.Info, h.GetLevel())
	require.False(t, h.IsDebug())
}
