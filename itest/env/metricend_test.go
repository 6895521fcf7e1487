package env_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// TestADeletedSourceLeavesNothing moves a source, which leaves what its host keeps of it where it is, and deletes it while
// that host is down: its series end at once on the host that collects, whose folder goes, and on the other when it comes
// back.
func TestADeletedSourceLeavesNothing(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "queue_length 42") }))
	t.Cleanup(target.Close)
	c := env.New(t, env.Options{Controllers: 1, Agents: 2})
	client := admin(t, c, "")
	define(t, client)
	addSource(t, client, scrapeOf("queue", target.URL), "")
	first := sourceIn(t, client, "queue", sourceRuns).GetStatus().GetHostName()
	second := map[string]string{"host-1": "host-2", "host-2": "host-1"}[first]
	folder := func(host string) string {
		return filepath.Join(c.Member(host).Config.DataDir, "metric-sources", "queue")
	}
	has := func(file string) {
		t.Helper()
		waitFor(t, file, func(context.Context) error { _, err := os.Stat(file); return err })
	}
	has(filepath.Join(folder(first), "series.json"))
	drain(t, client, first, false)
	has(filepath.Join(folder(second), "series.json"))
	require.DirExists(t, folder(first), "it has only moved")
	awaitValue(t, client, `count(count by (job) (queue_length))`, 1)

	require.NoError(t, c.Member(first).Stop())
	_, err := client.Metrics.DeleteMetricSource(t.Context(), connect.NewRequest(&novacronv1.DeleteMetricSourceRequest{Name: "queue"}))
	require.NoError(t, err)
	gone := func(host string) {
		t.Helper()
		waitFor(t, "nothing to be left on "+host, func(ctx context.Context) error {
			if _, err := os.Stat(folder(host)); !os.IsNotExist(err) {
				return fmt.Errorf("%s is there: %v", folder(host), err)
			}
			got, err := query(ctx, client, &novacronv1.QueryMetricsRequest{Query: `queue_length`})
			if err == nil && len(got.values) > 0 {
				return fmt.Errorf("its series go on: %+v", got)
			}
			return err
		})
	}
	gone(second)
	require.DirExists(t, folder(first), "its host is down")
	require.NoError(t, c.Member(first).Start(t.Context()))
	gone(first)
}
