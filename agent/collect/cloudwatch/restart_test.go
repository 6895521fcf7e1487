package cloudwatch

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
)

// TestThrottlingOutlivesTheAgent kills the agent right after AWS has asked for 309 s: neither the next one nor the one of
// another host, which knows what the cluster was told, calls before.
func TestThrottlingOutlivesTheAgent(t *testing.T) {
	for name, next := range map[string]func(l *lab){
		"killed": func(l *lab) { l.start(sinceNoon) },
		"another host": func(l *lab) {
			told := l.Progress().Pauses
			l.stores = map[string]*memStore{}
			l.start(sinceNoon, func(c *Config) { c.Pauses = told })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.traffic()
				l.aws.Fault = on("GetMetricData", 1, fakecloud.Fault{Status: http.StatusServiceUnavailable, Code: "Throttling", RetryAfter: "309"})
				l.start(sinceNoon)
				until("12:10:00")
				_, err := l.collect() // and dies before anything is settled
				var paced *cloud.ThrottledError
				require.ErrorAs(t, err, &paced)
				first := paced.Until
				next(l)
				until("12:11:00")
				_, err = l.once()
				require.ErrorAs(t, err, &paced)
				require.WithinDuration(t, first, paced.Until, time.Millisecond)
				require.Equal(t, 1, l.aws.Calls()["GetMetricData"])
				until("12:15:20")
				l.good()
				require.Equal(t, 2, l.aws.Calls()["GetMetricData"])
				require.Empty(t, l.Progress().Pauses)
			})
		})
	}
}

// TestWhatVanishedWhileDownEnds has a machine and a region go while the agent is down: their series end with one marker
// each, and those of what is still there go on, also where the lists cannot be read at first.
func TestWhatVanishedWhileDownEnds(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine(func(m *fakecloud.Machine) { m.ID = "i-gone"; m.Ended = oclock("12:22:00") })
		l.machine(func(m *fakecloud.Machine) { m.ID = "i-stays" })
		for _, id := range []string{"i-gone", "i-stays"} {
			l.series(nsEC2, "NetworkIn", "Bytes", func(start time.Time) (float64, bool) {
				return 1000, id == "i-stays" || start.Before(oclock("12:22:00"))
			}, "InstanceId", id)
		}
		l.start(sinceNoon)
		for _, at := range []string{"12:05:00", "12:10:00", "12:15:00", "12:20:00"} {
			until(at)
			l.good()
		}
		until("14:00:00")
		l.start(sinceNoon)
		l.aws.Fault = on("DescribeInstances", 0, fakecloud.Fault{Status: 403, Code: "UnauthorizedOperation"})
		metrics, err := l.once()
		require.Error(t, err)
		require.Empty(t, staleOf(metrics), "nobody knows")
		l.aws.Fault = nil
		ended := map[string]int{}
		for _, at := range []string{"14:05:00", "14:10:00", "14:15:00", "14:20:00", "14:25:00"} {
			until(at)
			for _, m := range l.good() {
				if collect.IsStale(m.Value) {
					ended[m.Name+" "+m.Labels["vm_id"]+m.Labels["state"]]++
				}
			}
		}
		require.Equal(t, 1, ended["vm_network_receive_bytes_total i-gone"], "%v", ended)
		require.Equal(t, 1, ended["vm_info i-gone"])
		for series, n := range ended {
			require.NotContains(t, series, "i-stays")
			require.Equal(t, 1, n, series)
		}
		v, ok := l.at(networkOf("i-gone", "_all", ""), oclock("12:25:00"))
		require.True(t, ok, "its last period")
		require.InDelta(t, 5000, v, 0)
	})
}
