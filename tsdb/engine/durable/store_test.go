package durable_test

import (
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/engine/enginetest"
	"github.com/novacron/novacron/tsdb/index"
)

// start is the time of the first sample in most tests.
var start = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

// options are those of a store that does nothing by itself, shortly after start.
func options() durable.Options {
	return durable.Options{
		Sync: time.Hour, Maintain: -1, AnyAge: true, Ahead: -1, Limits: index.DefaultLimits(),
		Clock: func() time.Time { return start.Add(time.Hour) }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestContract(t *testing.T) {
	target := targetOf(options(), func(testing.TB, engine.Engine) {})
	enginetest.Run(t, target)
	t.Run("windows", func(t *testing.T) { enginetest.RunWindows(t, target) })
}

// TestContractByTheLog opens stores again without the image of their head, as after a crash.
func TestContractByTheLog(t *testing.T) {
	target := targetOf(options(), func(testing.TB, engine.Engine) {})
	reopen := target.Reopen
	target.Reopen = func(t testing.TB, e engine.Engine) engine.Engine {
		require.NoError(t, e.Close())
		require.NoError(t, os.Remove(e.(*durable.Store).Image()))
		return reopen(t, e)
	}
	enginetest.Run(t, target)
}

// TestWindowsOfBlocks asks for windows after upkeep long afterwards has sealed, merged and rolled up what it could.
func TestWindowsOfBlocks(t *testing.T) {
	late := options()
	late.Clock = func() time.Time { return start.Add(30 * 24 * time.Hour) }
	enginetest.RunWindows(t, targetOf(late, func(t testing.TB, e engine.Engine) {
		require.NoError(t, e.(*durable.Store).Maintain(t.Context()))
	}))
}

// targetOf is a store under test, to which something is done before it is opened again.
func targetOf(opts durable.Options, before func(testing.TB, engine.Engine)) enginetest.Target {
	folders := map[engine.Engine]string{}
	open := func(t testing.TB, dir string) engine.Engine {
		s, err := durable.Open(dir, opts)
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		folders[s] = dir
		return s
	}
	return enginetest.Target{
		Start: start.UnixMilli(),
		Open: func(t testing.TB) engine.Engine {
			dir, err := os.MkdirTemp(t.TempDir(), "store")
			require.NoError(t, err)
			return open(t, dir)
		},
		Reopen: func(t testing.TB, e engine.Engine) engine.Engine {
			before(t, e)
			require.NoError(t, e.Close())
			return open(t, folders[e])
		},
	}
}
