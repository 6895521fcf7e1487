package env

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// T is what New needs of a testing.T or testing.B.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(f func())
	TempDir() string
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// tailLines is how much of the log a failed test shows.
const tailLines = 150

// New starts a cluster for a test, which ends it. The end of the members' log is shown when the test fails.
func New(t T, options Options) *Cluster {
	t.Helper()
	log := &Log{}
	if options.Logger == nil {
		options.Logger = log.Logger()
	}
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.Tail(tailLines))
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the cluster: %v", err)
		}
		if t.Failed() {
			t.Logf("the end of the log:\n%s", log.Tail(tailLines))
		}
	})
	return c
}

// Log keeps what is logged, in memory.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Logger writes to the log.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Write appends.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Tail is the last lines.
func (l *Log) Tail(lines int) string {
	all := strings.Split(l.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
