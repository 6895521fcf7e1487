package forward

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"500 Erreur \xe9": "500 Erreur", "a\r\n\tb\x00": "a   b", "\x1b[31mred": "[31mred", "größer": "größer", "\ufffd \u202e": "",
		strings.Repeat("é", 300): strings.Repeat("é", maxError/2), "x" + strings.Repeat("é", 300): "x" + strings.Repeat("é", maxError/2-1),
	} {
		require.Equal(t, want, Clean(text))
	}
}

// TestWhatARemoteSaysIsFitToBeTold though its status is no text at all, and far too long.
func TestWhatARemoteSaysIsFitToBeTold(t *testing.T) {
	for _, code := range []int{500, 400, 302, 600} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				w.remote.answer = func(int, int, context.Context) *http.Response {
					r := respond(code, "\xff\x00")
					r.Status = "500 Erreur \xe9\x1b[31m" + strings.Repeat("\xe9é", 10_000)
					return r
				}
			})
			defer w.close()
			w.set.Stored(floats(10, 1))
			pass(6 * time.Second)
			s := w.status()
			require.Contains(t, s.Error, "500 Erreur")
			require.True(t, utf8.ValidString(s.Error))
			require.LessOrEqual(t, len(s.Error), maxError)
			require.NotContains(t, s.Error, "\x1b")
		})
	}
	told := newTelling()
	s := told.describe(queueState{queueCounts: queueCounts{lastFailure: errors.New("caf\xe9")}}, time.Now())
	require.Equal(t, "caf", s.Error, "and so is what the queue says")
}
