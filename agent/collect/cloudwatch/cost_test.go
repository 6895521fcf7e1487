package cloudwatch

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
)

// fleet is machines whose default set comes to 8 metrics each.
func (l *lab) fleet(machines int) {
	for i := range machines {
		id := fmt.Sprintf("i-%05d", i)
		l.machine(func(m *fakecloud.Machine) { m.ID = id })
		for _, r := range machineTable {
			if r.set == SetDefault {
				n := r.natives[0]
				l.publish(nsEC2, n.name, n.unit, 1, "InstanceId", id)
			}
		}
	}
}

// callsFor is how many calls for values one collection of a fleet takes, beside the least that CloudWatch allows.
func callsFor(l *lab, machines int) (calls, least int) {
	l.fleet(machines)
	l.start(sinceNoon)
	until("12:10:00")
	l.good()
	before := l.aws.Calls()["GetMetricData"]
	until("12:15:00")
	l.good()
	return l.aws.Calls()["GetMetricData"] - before, (machines*8 + batchLimit - 1) / batchLimit
}

func TestTenThousandMetrics(t *testing.T) {
	inLab(t, func(l *lab) {
		calls, least := callsFor(l, 1250)
		require.Equal(t, least, calls, "each call is full")
		require.Equal(t, 20_000, l.aws.Asked())
		counters := 0
		for series := range l.stored {
			if _, ok := l.at(series, oclock("12:10:00")); ok {
				counters++
			}
		}
		require.Equal(t, 1250*9, counters, "9 series of 8 metrics each: one tells two")
	})
}

// TestMixedPeriodsShareCalls holds that what is read by the minute fills the calls of what is not.
func TestMixedPeriodsShareCalls(t *testing.T) {
	inLab(t, func(l *lab) {
		calls, least := callsFor(l, 125)
		require.Equal(t, least, calls, "1,000 metrics in 2 calls")
	})
}

// TestBench logs a line per figure: the calls for 1,000 metrics beside the fewest that CloudWatch's limit of a call
// allows.
func TestBench(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("a benchmark: set NOVACRON_BENCH=1")
	}
	inLab(t, func(l *lab) {
		calls, least := callsFor(l, 125)
		t.Logf("bench collect aws_calls_per_1000_metrics peer=limit ours=%d theirs=%d ratio=%.2f", calls, least, float64(least)/float64(calls))
	})
}
