package custom

import (
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

// TestSeriesThatWentWhileTheAgentWasDownEnd has a target lose series while nobody scrapes it, and fail at the first scrape
// after another start.
func TestSeriesThatWentWhileTheAgentWasDownEnd(t *testing.T) {
	body, failing := "a{x=\"1\"} 1\na{x=\"2\"} 1\ntimed 1 1000\n", false
	url := target(t, func(w http.ResponseWriter, r *http.Request) {
		if failing {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		text(textType, body)(w, r)
	})
	cfg := Config{URL: url, State: collect.FileState{Path: filepath.Join(t.TempDir(), "series.json")}}
	ended := func(c *Collector, stored bool) (found []string) {
		got, err := collectOnce(t, c)
		require.Equal(t, failing, err != nil)
		require.NoError(t, c.Settle(t.Context(), stored))
		for _, m := range got {
			if collect.IsStale(m.Value) {
				require.Equal(t, "shop", m.Labels["job"])
				found = append(found, m.Name+m.Labels["x"])
			}
		}
		slices.Sort(found)
		return found
	}
	require.Empty(t, ended(scraper(t, cfg), true))
	body = "a{x=\"1\"} 1\n"
	c := scraper(t, cfg)
	require.Equal(t, []string{"a2"}, ended(c, false))
	require.Equal(t, []string{"a2"}, ended(c, false), "what was not stored is told again")
	require.Equal(t, []string{"a2"}, ended(c, true))
	require.Empty(t, ended(c, true))
	failing = true
	require.Equal(t, []string{"a1"}, ended(scraper(t, cfg), true), "a target that fails has no series")
	failing, body = false, "a{x=\"1\"} 1\na{x=\"2\"} 1\n"
	require.Empty(t, ended(scraper(t, cfg), true), "what has come back has not ended")
}
