package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEventsAreAskedForByTime reads --since as a revision, an age or a time, and --until as a time.
func TestEventsAreAskedForByTime(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	until := &instant{now: func() time.Time { return now }}
	require.NoError(t, until.Set("2026-01-31T11:30:00Z"))
	for since, want := range map[string]time.Time{
		"10m": now.Add(-10 * time.Minute), "2026-01-31T11:00:00Z": now.Add(-time.Hour), "-2h": now.Add(-2 * time.Hour),
	} {
		r, err := (&eventFlags{since: since, until: until}).request(now)
		require.NoError(t, err, since)
		require.Equal(t, want, r.GetSinceTime().AsTime(), since)
		require.Equal(t, now.Add(-30*time.Minute), r.GetUntilTime().AsTime())
		require.Zero(t, r.GetSinceRevision())
	}
	r, err := (&eventFlags{since: "1200"}).request(now)
	require.NoError(t, err)
	require.EqualValues(t, 1200, r.GetSinceRevision())
	require.Nil(t, r.GetSinceTime())
	require.Nil(t, r.GetUntilTime())
	_, err = (&eventFlags{since: "yesterday"}).request(now)
	require.ErrorContains(t, err, "no revision")
}
