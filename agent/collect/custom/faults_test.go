package custom

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

func zipped(t *testing.T, text []byte) []byte {
	var b bytes.Buffer
	out := gzip.NewWriter(&b)
	_, err := out.Write(text)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	return b.Bytes()
}

// TestFaults shows the collector what targets do: each time the scrape fails, says why, and ends the series of the
// scrape before.
func TestFaults(t *testing.T) {
	whole := zipped(t, []byte("a 1\nb 2\n"))
	bomb := zipped(t, bytes.Repeat([]byte("a 1\n"), 1<<20))
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		says  string
	}{
		"slow to answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		"slow body": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", textType)
			_, _ = w.Write([]byte("a 1\n"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "the body ended after 4 bytes: context deadline exceeded"},
		"endless body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", textType)
			for {
				if _, err := w.Write(bytes.Repeat([]byte("# comment\n"), 1000)); err != nil {
					return
				}
			}
		}, "more than 1048576 bytes unpacked"},
		"a body too long by its header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999999")
		}, "more than 1048576 bytes unpacked"},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, "more than 1048576 bytes unpacked"},
		"no gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("a 1\n"))
		}, "not the gzip that it says"},
		"gzip cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(whole[:len(whole)-10])
		}, "bytes: unexpected EOF"},
		"another encoding": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") }, `packed as "br"`},
		"garbage":          {text(textType, "a 1\n\xde\xad\xbe\xef"), "nothing of it is stored"},
		"a web page":       {text("text/html; charset=utf-8", "<html></html>"), "is this the address of metrics?"},
		"dies mid-body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", textType)
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("a 1\nb 2\n"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "the body ended after 8 bytes: unexpected EOF"},
		"dies mid-body in chunks": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", textType)
			_, _ = w.Write([]byte("a 1\nb 2\n"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "the body ended after 8 bytes: unexpected EOF"},
		"dies at once":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"unauthorised":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "check the user, password, token"},
		"no such path":   {http.NotFound, "Most targets have /metrics"},
		"too busy":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, "429"},
		"redirects ever": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects more than 10 times"},
		"redirects to nowhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/metrics?token=secret", http.StatusFound)
		}, "connection refused"},
		"huge header":    {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 100<<10)) }, "exceeded"},
		"partial answer": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) }, "206"},
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			url := target(t, func(w http.ResponseWriter, r *http.Request) {
				if broken.Load() {
					c.serve(w, r)
					return
				}
				text(textType, "was_here 1\n")(w, r)
			})
			timeout := 10 * time.Second
			if strings.HasPrefix(name, "slow") {
				timeout = 50 * time.Millisecond
			}
			scraped := scraper(t, Config{URL: url + "?token=secret", Timeout: timeout, Limits: ScrapeLimits{Bytes: 1 << 20}})
			_, err := collectOnce(t, scraped)
			require.NoError(t, err)
			broken.Store(true)
			got, err := collectOnce(t, scraped)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "scrape "+url)
			require.NotContains(t, err.Error(), "secret")
			require.Len(t, got, 1)
			require.True(t, collect.IsStale(got[0].Value))
			broken.Store(false)
			got, err = collectOnce(t, scraped)
			require.NoError(t, err)
			require.Len(t, got, 1)
		})
	}
}

func TestRedirects(t *testing.T) {
	end := target(t, func(w http.ResponseWriter, r *http.Request) {
		text(textType, fmt.Sprintf("login %d\n", len(r.Header.Get("Authorization"))))(w, r)
	})
	url := target(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(end, "127.0.0.1", "localhost", 1), http.StatusFound)
	})
	cfg := Config{URL: url, Login: Login{Secret: Secret{Value: []byte("t")}}}
	got, err := collectOnce(t, scraper(t, cfg))
	require.NoError(t, err)
	require.Equal(t, 0.0, got[0].Value, "a login goes to no other host")
	cfg.RefuseRedirects = true
	_, err = collectOnce(t, scraper(t, cfg))
	require.ErrorContains(t, err, "which is switched off")
}

func TestFallbackType(t *testing.T) {
	url := target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = w.Write([]byte("a 1\n"))
	})
	_, err := collectOnce(t, scraper(t, Config{URL: url}))
	require.ErrorContains(t, err, "set the type to fall back to")
	got, err := collectOnce(t, scraper(t, Config{URL: url, FallbackType: "text/plain"}))
	require.NoError(t, err)
	require.Len(t, got, 1)
}

// TestDeadline holds that the deadline of the collection counts, too, and is told to the target.
func TestDeadline(t *testing.T) {
	told := make(chan string, 1)
	url := target(t, func(_ http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds")
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := scraper(t, Config{URL: url}).CollectMetrics(ctx, tsdb.MetricsQuery{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Regexp(t, `^0\.0`, <-told)
}
