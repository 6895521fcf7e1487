package azuremonitor

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
)

// crowd adds machines, with two data disks each.
func (l *lab) crowd(n int, region string) {
	for i := range n {
		name := fmt.Sprintf("crowd-%s-%04d", region, i)
		l.cloud.Add(fakecloud.Machine{
			ID: fakecloud.ResourceID(subscription, "rg", name), VMID: name, Location: region, Size: "Standard_D4s_v5", Power: "running",
			Created: time.Now().Add(-time.Hour), LUNs: []int{0, 1},
		})
	}
}

// TestTenThousandMetrics collects all sets of 210 machines in two regions, 47 metrics each; in a short run of a tenth of them.
func TestTenThousandMetrics(t *testing.T) {
	west, north, batches, least := 110, 100, 3+2, 10_000
	if testing.Short() {
		west, north, batches, least = 11, 10, 1+1, 1000
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Sets, c.BothDiskLevels = Sets, true })
		l.cloud.Change(webID, func(m *fakecloud.Machine) { m.Gone = time.Now() })
		l.crowd(west, "westeurope")
		l.crowd(north, "northeurope")
		l.collect()
		before := l.cloud.Calls(batchAPI)
		var got []collect.Metric
		for range 4 {
			pass(time.Minute)
			got = l.collect()
		}
		// Per region: 37 metrics of the whole machine in two calls and 10 by disk in one, for each 50 machines.
		require.Equal(t, 4*3*batches, l.cloud.Calls(batchAPI)-before)
		series := map[string]bool{}
		for _, m := range got {
			series[collect.SeriesKey(m.Name, m.Labels, "")] = true
		}
		require.Greater(t, len(series), least)
	})
}

// callsPerThousand measures one collection of some machines: calls for metrics and the fewest that the API allows, each
// per 1,000 metrics of a resource.
func callsPerThousand(t testing.TB, machines int, sets []Set) (calls, fewest float64) {
	l := newLab(t, func(c *Config) { c.Sets = sets })
	l.cloud.Change(webID, func(m *fakecloud.Machine) { m.Gone = time.Now() })
	l.crowd(machines, "westeurope")
	l.collect()
	metrics := map[string]int{}
	for _, r := range selected(sets, false) {
		metrics[r.dimension()]++
	}
	n, minimum := 0, 0
	for _, m := range metrics {
		n += m * machines
		minimum += (machines + maxResources - 1) / maxResources * ((m + maxMetrics - 1) / maxMetrics)
	}
	return 1000 * float64(l.cloud.Calls(batchAPI)) / float64(n), 1000 * float64(minimum) / float64(n)
}

func TestNoCallBeyondTheFewest(t *testing.T) {
	for _, c := range []struct {
		machines int
		sets     []Set
	}{{1, nil}, {50, nil}, {51, nil}, {120, Sets}} {
		synctest.Test(t, func(t *testing.T) {
			calls, fewest := callsPerThousand(t, c.machines, c.sets)
			require.InDelta(t, fewest, calls, 1e-9, "%d machines with %v", c.machines, c.sets)
		})
	}
}

// TestBench prints what is asked for beside the fewest calls that the API allows.
func TestBench(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("a benchmark: set NOVACRON_BENCH=1")
	}
	for _, c := range []struct {
		name string
		sets []Set
	}{{"basic", nil}, {"all", Sets}} {
		calls, fewest := callsPerThousand(t, 100, c.sets)
		t.Logf("bench collect azure_calls_per_1000_metrics_%s peer=limit ours=%.3f theirs=%.3f ratio=%.2f", c.name, calls, fewest, fewest/calls)
	}
}
