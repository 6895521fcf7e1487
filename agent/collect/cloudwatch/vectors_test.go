package cloudwatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// oclock is a time of the day on which the lab begins, at noon.
func oclock(text string) time.Time {
	at, err := time.Parse("2006-01-02 15:04:05", time.Now().UTC().Format(time.DateOnly)+" "+text)
	if err != nil {
		panic(err)
	}
	return at
}

func until(text string) { later(time.Until(oclock(text).Add(500 * time.Millisecond))) }

func TestVectorUtilization(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine()
		l.publish(nsEC2, "CPUUtilization", "Percent", 37.5, "InstanceId", "i-1")
		l.start()
		until("12:05:00")
		l.good()
		v, ok := l.at(`vm_cpu_utilization_ratio,vm_id="i-1"`, oclock("12:05:00"))
		require.True(t, ok, "the value of the period from 12:00 is that at 12:05: %v", l.stored)
		require.InDelta(t, 0.375, v, 1e-12)
	})
}

func TestVectorNetworkIn(t *testing.T) {
	inLab(t, func(l *lab) {
		l.machine()
		second := 3000.0
		l.series(nsEC2, "NetworkIn", "Bytes", func(start time.Time) (float64, bool) {
			switch {
			case start.Equal(oclock("12:00:00")):
				return 6000, true
			case start.Equal(oclock("12:05:00")):
				return second, true
			}
			return 0, false
		}, "InstanceId", "i-1")
		l.start(func(c *Config) { c.Since = oclock("12:00:00") })
		const in = `vm_network_receive_bytes_total,interface="_all",vm_id="i-1"`
		until("12:10:00")
		l.good()
		v, ok := l.at(in, oclock("12:05:00"))
		require.True(t, ok)
		require.InDelta(t, 6000, v, 0)
		_, ok = l.at(in, oclock("12:10:00"))
		require.False(t, ok, "the second period is not final")
		second = 3300
		until("12:15:00")
		l.good()
		v, _ = l.at(in, oclock("12:10:00"))
		require.InDelta(t, 9300, v, 0, "what it was when final")
		before := len(l.stored[in])
		until("12:16:00")
		l.good()
		require.Len(t, l.stored[in], before, "applied once")
		until("12:20:00")
		l.good()
		v, ok = l.at(in, oclock("12:15:00"))
		require.True(t, ok, "nothing came while the machine runs: told again, for rate()")
		require.InDelta(t, 9300, v, 0)
	})
}
