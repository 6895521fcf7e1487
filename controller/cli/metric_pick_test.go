package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb"
)

// FuzzFilter: what is read is what was written.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"a=b", "a!=b", "a=~b", "a!~b", "a==b", "a", "=b", "!a", "a!b", "a=", "é=~\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFilter(text)
		if err != nil {
			require.ErrorContains(t, err, "write a label")
			return
		}
		require.Equal(t, text, got.Label+string(got.Operator)+got.Value)
		require.NotEmpty(t, got.Label)
		require.False(t, strings.ContainsAny(got.Label, "=!"))
	})
}

func TestFilter(t *testing.T) {
	got, err := parseFilter("state!~run.*=x")
	require.NoError(t, err)
	require.Equal(t, tsdb.MetricFilter{Label: "state", Operator: tsdb.FilterNotMatches, Value: "run.*=x"}, got)
}

func TestStepOf(t *testing.T) {
	for _, c := range []struct {
		span   time.Duration
		points int
		want   time.Duration
	}{
		{time.Minute, 240, 15 * time.Second}, // never below how often hosts are measured
		{time.Hour, 240, 15 * time.Second}, {6 * time.Hour, 240, 5 * time.Minute}, {6 * time.Hour, 720, 30 * time.Second},
		{7 * 24 * time.Hour, 240, time.Hour}, {365 * 24 * time.Hour, 800, 24 * time.Hour}, {10000 * 24 * time.Hour, 10, 24 * time.Hour},
	} {
		got, err := stepOf(autoStep, c.span, c.points)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%s in %d points", c.span, c.points)
	}
	got, err := stepOf("90s", time.Hour, 240)
	require.NoError(t, err)
	require.Equal(t, 90*time.Second, got)
	for _, bad := range []string{"0s", "-1m", "x", ""} {
		_, err := stepOf(bad, time.Hour, 240)
		require.ErrorContains(t, err, "or auto")
	}
}
