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
	folders := map[engine.Engine]string{}
	open := func(t testing.TB, dir string) engine.Engine {
		s, err := durable.Open(dir, options())
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		folders[s] = dir
		return s
	}
	target := enginetest.Target{
		Start:    start.UnixMilli(),
		NoStarts: true,
		Open: func(t testing.TB) engine.Engine {
			dir, err := os.MkdirTemp(t.TempDir(), "store")
			require.NoError(t, err)
			return open(t, dir)
		},
		Reopen: func(t testing.TB, e engine.Engine) engine.Engine {
			require.NoError(t, e.Close())
			return open(t, folders[e])
		},
	}
	enginetest.Run(t, target)
	t.Run("windows", func(t *testing.T) { enginetest.RunWindows(t, target) })
}
