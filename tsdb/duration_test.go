package tsdb_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/tsdb"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90d": 90 * 24 * time.Hour, "1h30m": 90 * time.Minute, "2w": 14 * 24 * time.Hour, "1y1ms": 365*24*time.Hour + time.Millisecond, "1m": time.Minute,
	} {
		got, err := tsdb.ParseDuration(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, time.Duration(got), text)
	}
	for _, text := range []string{"", "d", "1", "1 d", "-1d", "1m1h", "1d1d", "1x", "300y", "99999999999999999999s", "1.5h"} {
		_, err := tsdb.ParseDuration(text)
		require.ErrorContains(t, err, "is no duration", text)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := tsdb.Duration(rapid.Int64Range(0, math.MaxInt64/1_000_000).Draw(t, "ms") * 1_000_000)
		got, err := tsdb.ParseDuration(want.String())
		if err != nil || got != want {
			t.Fatalf("%s: %v %v", want, got, err)
		}
	})
}
