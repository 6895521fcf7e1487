package host

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/tsdb"
)

// TestDevicesThatWentWhileTheAgentWasDownEnd pulls a disk while nobody looks. While a part of the host cannot be read it is
// not known which series it would have told.
func TestDevicesThatWentWhileTheAgentWasDownEnd(t *testing.T) {
	proc, sys := tree(t, nil)
	cfg := Config{Proc: proc, Sys: sys, Statfs: disks, State: collect.FileState{Path: filepath.Join(t.TempDir(), "host-series.json")}}
	ended := func(c *Collector, fails bool) (found []string) {
		got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
		require.Equal(t, fails, err != nil, "%v", err)
		require.NoError(t, c.Settle(t.Context(), true))
		for _, m := range got {
			if collect.IsStale(m.Value) {
				found = append(found, m.Name+" "+m.Labels["device"])
			}
		}
		return found
	}
	require.Empty(t, ended(New(cfg), false))
	write(t, proc, "diskstats", strings.ReplaceAll(kernelFiles["proc/diskstats"], "vdb", "vdc"))
	write(t, proc, "pressure/io", "some avg10=many\n")
	c := New(cfg)
	require.Len(t, ended(c, true), 11, "the parts that were read know")
	write(t, proc, "pressure/io", kernelFiles["proc/pressure/io"])
	require.Empty(t, ended(c, false), "told once")
}
