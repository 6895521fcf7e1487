package forward

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// logged are the lines of a logger, without their times.
func logged() (*slog.Logger, func() []string) {
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return logger, func() []string {
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		text.Reset()
		return lines
	}
}

// TestAnOperatorIsToldOnce of what is lost and of who takes nothing, and again only of what is new.
func TestAnOperatorIsToldOnce(t *testing.T) {
	logger, lines := logged()
	now := time.UnixMilli(0)
	w := newWatch(logger, func() time.Time { return now })
	s := Status{Name: "far", Pending: 7, QueueBytes: 99, Lag: 2 * time.Minute, Error: "down"}
	look := func(lost int64) []string {
		s.Dropped = map[string]int64{ReasonQueueFull: lost}
		w.look([]Status{s})
		return lines()
	}
	require.Equal(t, []string{""}, look(0), "not yet")
	s.Lag = 5 * time.Minute
	require.Equal(t, []string{`level=WARN msg="samples wait to be forwarded" forward=far lag=5m0s samples=7 queue_bytes=99 error=down`}, look(0))
	require.Equal(t, []string{`level=ERROR msg="samples of a forward are lost" forward=far reason=queue_full samples=40 since_start=40 queue_bytes=99 error=down`}, look(40))
	require.Equal(t, []string{""}, look(40))
	require.Contains(t, look(41)[0], "samples=1 since_start=41")
	now = now.Add(time.Hour)
	require.Len(t, look(41), 1, "again after an hour")
	s.Error = ""
	require.Equal(t, []string{`level=INFO msg="samples are forwarded again" forward=far samples=7`}, look(41))
	require.Equal(t, []string{""}, look(41))
	w.look(nil)
	require.Empty(t, w.lost)
	require.Contains(t, look(3)[0], "samples=3", "another one of the name")
}

// TestLossesAreLogged has remotes that take nothing until the queue is full, and that refuse all: a line a minute, at most.
func TestLossesAreLogged(t *testing.T) {
	for reason, code := range map[string]int{ReasonQueueFull: 503, ReasonRefused: 400} {
		synctest.Test(t, func(t *testing.T) {
			logger, lines := logged()
			remote := &remote{answer: func(int, int, context.Context) *http.Response { return respond(code, "no") }}
			set, err := Open(Options{Dir: t.TempDir(), Logger: logger})
			require.NoError(t, err)
			set.Configure([]Target{{Name: "far", URL: "http://far/", QueueBytes: MinQueueBytes, Transport: remote}})
			random := rand.New(rand.NewPCG(1, 2))
			const minutes = 10
			for i := range 20 * minutes {
				for range 4 {
					set.Stored(noisy(random, int64(i)))
				}
				pass(3 * time.Second)
			}
			lost, samples := set.Statuses()[0].Dropped[reason], int64(0)
			require.NoError(t, set.Close(t.Context()))
			told := 0
			for _, line := range lines() {
				var n, since int64
				if strings.Contains(line, "reason="+reason) {
					_, err := fmt.Sscanf(line[strings.Index(line, "samples="):], "samples=%d since_start=%d", &n, &since)
					require.NoError(t, err)
					samples, told = samples+n, told+1
				}
			}
			require.Positive(t, lost)
			require.GreaterOrEqual(t, samples, lost, "each is told")
			require.Less(t, told, minutes+3)
		})
	}
}
