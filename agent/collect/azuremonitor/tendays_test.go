package azuremonitor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
	"github.com/novacron/novacron/tsdb"
)

// shard keeps counters by series and time.
type shard map[string]map[time.Time]float64

func (s shard) store(metrics []collect.Metric) {
	for _, m := range metrics {
		if !strings.HasSuffix(m.Name, "_total") || collect.IsStale(m.Value) {
			continue
		}
		key := m.Labels["vm_id"] + "|" + m.Name
		if s[key] == nil {
			s[key] = map[time.Time]float64{}
		}
		s[key][m.Timestamp.UTC()] = m.Value
	}
}

// tenDays is one run of it.
type tenDays struct {
	*lab
	days     int
	random   *rand.Rand
	shard    shard
	machines map[string]string // resource ids by machine id
	visitor  string
	visits   int
	deaths   int
	failures int
}

// TestTenDays kills the collector at random for ten days, in which machines come, stop and go, the service throttles,
// fails and answers in part. Each counter's value is always the sum of all final periods up to its time: none is
// missing and none counts twice.
func TestTenDays(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SEED=%d", seed)
	synctest.Test(t, func(t *testing.T) {
		d := &tenDays{lab: newLab(t), days: 10, random: rand.New(rand.NewPCG(seed, 1)), shard: shard{}, machines: map[string]string{vmID: webID}}
		if testing.Short() {
			d.days = 2
		}
		began := time.Now()
		for time.Since(began) < time.Duration(d.days)*24*time.Hour {
			d.live()
			d.turn()
			pass(time.Duration(1+d.random.IntN(30))*time.Minute + time.Duration(d.random.IntN(60))*time.Second)
		}
		d.cloud.Faults, d.cloud.Omit = nil, nil
		d.cloud.Break(webID, "Network In Total", "")
		for range 15 {
			pass(time.Minute)
			metrics, _ := d.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
			d.shard.store(metrics)
			require.NoError(t, d.Settle(t.Context(), true))
		}
		d.check(began.UTC())
		t.Logf("%d deaths, %d failed collections, %d visitors", d.deaths, d.failures, d.visits)
	})
}

// live changes the world and what fails in it.
func (d *tenDays) live() {
	switch n := d.random.IntN(100); {
	case n < 3 && d.visitor == "":
		d.visits++
		uuid := fmt.Sprintf("visitor-%d", d.visits)
		id := fakecloud.ResourceID(subscription, "rg", uuid)
		d.cloud.Add(fakecloud.Machine{ID: id, VMID: uuid, Location: "westeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now()})
		d.machines[uuid], d.visitor = id, id
	case n < 5 && d.visitor != "":
		d.cloud.Change(d.visitor, func(m *fakecloud.Machine) { m.Gone = time.Now() })
		d.visitor = ""
	case n < 8:
		for1 := time.Duration(d.random.IntN(100)) * time.Minute
		d.cloud.Change(webID, func(m *fakecloud.Machine) {
			m.Off = append(m.Off, fakecloud.Span{From: time.Now(), To: time.Now().Add(for1)})
		})
	}
	d.cloud.Faults, d.cloud.Omit, d.cloud.Twice = nil, nil, d.random.IntN(10) == 0
	d.cloud.Break(webID, "Network In Total", "")
	switch d.random.IntN(20) {
	case 0:
		d.cloud.Faults = []fakecloud.Fault{fakecloud.On(batchAPI, fakecloud.Times(1, fakecloud.Throttle(309)))}
	case 1:
		d.cloud.Faults = []fakecloud.Fault{fakecloud.On([]string{batchAPI, "virtualMachines", "status"}[d.random.IntN(3)], fakecloud.Fail(http.StatusServiceUnavailable, "ServerBusy", ""))}
	case 2:
		d.cloud.Faults = []fakecloud.Fault{fakecloud.On(batchAPI, fakecloud.HangUp())}
	case 3:
		d.cloud.Break(webID, "Network In Total", "ServiceUnavailable")
	case 4:
		d.cloud.Omit = map[string]bool{strings.ToLower(webID): true}
	}
}

// turn is one collection, which the process may not survive.
func (d *tenDays) turn() {
	if d.random.IntN(6) == 0 {
		d.die() // before it
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), 50*time.Second)
	metrics, err := d.CollectMetrics(ctx, tsdb.MetricsQuery{})
	cancel()
	if err != nil {
		d.failures++
	}
	switch d.random.IntN(12) {
	case 0: // with metrics that nobody has
		d.die()
		return
	case 1: // the shard refuses
		require.NoError(d.t, d.Settle(d.t.Context(), false))
		return
	}
	d.shard.store(metrics)
	switch d.random.IntN(12) {
	case 0: // after they were stored
		d.die()
	case 1: // while the state is kept
		broken := d.disk[[]string{"counters", "windows"}[d.random.IntN(2)]]
		if broken != nil {
			broken.failing = errors.New("died")
			_ = d.Settle(d.t.Context(), true)
			broken.failing = nil
		}
		d.die()
	default:
		require.NoError(d.t, d.Settle(d.t.Context(), true))
	}
}

func (d *tenDays) die() {
	d.deaths++
	d.restart()
}

// check compares every value that was stored with the sum of what is true up to its time.
func (d *tenDays) check(began time.Time) {
	whole := 0
	for uuid, id := range d.machines {
		for _, r := range selected(nil, false) {
			if !r.counts() {
				continue
			}
			factor := map[collect.NativeKind]float64{collect.NativeDelta: 1, collect.NativeRate: 60}[r.kind]
			values, sum, matched, last := d.shard[uuid+"|"+r.name], 0.0, 0, time.Time{}
			for end := began.Add(time.Minute); !end.After(time.Now().Add(-timing.Delay)); end = end.Add(time.Minute) {
				if v, any := d.cloud.Truth(id, r.native, "", r.aggregation, end); any {
					sum += v * factor
				}
				if value, told := values[end]; told {
					require.Equal(d.t, sum, value, "%s of %s at %v", r.name, uuid, end)
					matched, last = matched+1, end
				}
			}
			require.Len(d.t, values, matched, "%s of %s has values beyond what is final", r.name, uuid)
			if len(values) > 0 {
				require.Equal(d.t, sum, values[last], "%s of %s is not all there", r.name, uuid)
				whole++
			}
			if uuid == vmID {
				require.Greater(d.t, matched, d.days*1000)
			}
		}
	}
	require.Greater(d.t, whole, 6*len(d.machines)/2, "most machines were seen")
}
