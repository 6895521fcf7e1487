package azuremonitor

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect/azuremonitor/fakecloud"
)

// guest adds a machine that runs from now on, collects a while and takes the machine away. What the machine told by
// then comes back.
func (l *lab) guest() (id string, told map[time.Time]float64) {
	l.t.Helper()
	id = fakecloud.ResourceID(subscription, "rg", "guest")
	l.cloud.Add(fakecloud.Machine{ID: id, VMID: "guest-id", Location: "westeurope", Size: "Standard_D4s_v5", Power: "running", Created: time.Now()})
	told = valuesOf(l.until(20*time.Minute), "vm_network_receive_bytes_total", "vm_id", "guest-id")
	l.cloud.Change(id, func(m *fakecloud.Machine) { m.Gone = time.Now() })
	return id, told
}

// TestLastPeriodsOutlastAFailure takes a machine away just before the service fails for hours, in which the process
// dies, too. The machine's last periods count once the service answers, and then it costs no more calls.
func TestLastPeriodsOutlastAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		born := time.Now().UTC()
		id, told := l.guest()
		gone := time.Now().UTC()
		l.cloud.Faults = []fakecloud.Fault{fakecloud.On(batchAPI, fakecloud.Fail(http.StatusServiceUnavailable, "ServerBusy", ""))}
		l.tolerate(2 * time.Hour)
		l.restart()
		l.tolerate(2 * time.Hour)
		l.cloud.Faults = nil

		sum := 0.0
		for end := born.Add(time.Minute); !end.After(gone); end = end.Add(time.Minute) {
			v, _ := l.cloud.Truth(id, "Network In Total", "", "Total", end)
			sum += v
		}
		highest := func(values map[time.Time]float64) (top float64) {
			for _, v := range values {
				top = max(top, v)
			}
			return top
		}
		require.Less(t, highest(told), sum, "its last periods were not final when it went")
		require.Equal(t, sum, highest(valuesOf(l.until(5*time.Minute), "vm_network_receive_bytes_total", "vm_id", "guest-id")))
		before := l.cloud.Calls(batchAPI)
		l.until(5 * time.Minute)
		require.Equal(t, 5, l.cloud.Calls(batchAPI)-before, "nothing is asked of it any more")
	})
}

// TestVanishedMachinesAreForgotten holds that restarts do not keep a machine on the roll for longer than its periods
// can be asked for.
func TestVanishedMachinesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.collect()
		l.guest()
		l.until(10 * time.Minute)
		names := func() (all []string) {
			for _, one := range l.accounts[0].roll.saved {
				all = append(all, one.Name)
			}
			return all
		}
		for range 3 {
			pass(7 * time.Hour)
			l.restart()
			l.collect()
			require.Equal(t, []string{"Web1", "guest"}, names())
		}
		pass(4 * time.Hour)
		l.restart()
		l.collect()
		require.Equal(t, []string{"Web1"}, names())
	})
}
