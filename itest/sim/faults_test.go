package sim_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/itest/sim"
	"github.com/novacron/novacron/tsdb/federate"
)

// hosts and ill are how many hosts there are, and how many of them have a fault.
const (
	hosts = 24
	ill   = 5
)

// deadline is the longest that an answer may take: what a host may need to tell of itself, the answer of one host, and
// what there is to merge.
const deadline = (2 + 10 + 1) * time.Second

// ways are the two in which hosts are asked: from how many on by relays.
var ways = map[string]int{"directly": -1, "by relays": 8}

// bothWays runs a test in a bubble of its own for each way.
func bothWays(t *testing.T, test func(t *testing.T, relayFrom int)) {
	t.Helper()
	for name, from := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, from) })
		})
	}
}

// startSmall starts a few hosts with a few machines each, in a bubble, and asks all of them.
func startSmall(t *testing.T, relayFrom int) (sim.Workload, cluster) {
	t.Helper()
	w := sim.Workload{Hosts: hosts, Machines: 4, Start: time.Now().Add(-10 * time.Minute), Interval: 15 * time.Second, Scrapes: 40, Gauges: true}
	c := start(t, w, federate.Options{RelayFrom: relayFrom})
	c.requireCount(t, w, hosts)
	synctest.Wait() // hosts have told of themselves
	c.requireCount(t, w, hosts)
	require.Equal(t, relayFrom > 0, c.relayed() > 0)
	return w, c
}

// end waits for what is still trying to connect.
func (c cluster) end(t *testing.T) {
	t.Helper()
	c.network.Heal()
	<-time.After(time.Minute)
	c.close(t)
}

// fault is what happens to a host, and how it ends.
type fault struct {
	begin, end func(t *testing.T, c cluster, n int)
}

func broken(f sim.Fault) fault {
	return fault{func(_ *testing.T, c cluster, n int) { c.Host(n).Break(f) }, func(_ *testing.T, c cluster, n int) { c.Host(n).Break(nil) }}
}

func cut(_ *testing.T, c cluster, n int)  { c.network.Isolate(sim.HostName(n)) }
func heal(_ *testing.T, c cluster, n int) { c.network.HealNode(sim.HostName(n)) }
func kill(t *testing.T, c cluster, n int) { require.NoError(t, c.Host(n).Kill()) }

// faults are those of which a host does not recover within its time.
var faults = map[string]fault{
	"hangs":           broken(sim.Hang),
	"fails":           broken(sim.Fail),
	"answers garbage": broken(sim.Garble),
	"breaks off":      broken(sim.Stop),
	"trickles":        broken(sim.Trickle(time.Second)),
	"is cut off":      {cut, heal},
	"is killed":       {kill, nil},
}

// pushed is computed by the shards, raw is read from them.
const (
	pushed = `count(rate(vm_cpu_seconds_total[5m]))`
	raw    = `max_over_time(count(vm_memory_used_bytes)[1m:1m])`
)

// TestHostsWithFaultsAreMissing asks while hosts have each of the faults, and after it: the others' answer comes in time and
// names who is missing, or is refused where it has to be complete.
func TestHostsWithFaultsAreMissing(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, relayFrom int) {
				w, c := startSmall(t, relayFrom)
				defer c.end(t)
				for n := range ill {
					f.begin(t, c, n)
				}
				for _, expr := range []string{pushed, raw} {
					c.requireMissing(t, w, expr)
				}
				if f.end == nil {
					return
				}
				for n := range ill {
					f.end(t, c, n)
				}
				c.requireCount(t, w, hosts)
			})
		})
	}
}

// requireCount asks for all machines of so many hosts, and that nothing is missing.
func (c cluster) requireCount(t *testing.T, w sim.Workload, hosts int) {
	t.Helper()
	for _, expr := range []string{pushed, raw} {
		got, err := c.Questions.Instant(t.Context(), expr, w.End(), true)
		require.NoError(t, err)
		require.Len(t, got.Rows(), 1)
		require.Equal(t, float64(hosts*w.Machines), got.Rows()[0].Points[0].V)
	}
}

func (c cluster) requireMissing(t *testing.T, w sim.Workload, expr string) {
	t.Helper()
	began := time.Now()
	got, err := c.Questions.Instant(t.Context(), expr, w.End(), false)
	require.NoError(t, err)
	assert.LessOrEqual(t, time.Since(began), deadline)
	require.Len(t, got.Rows(), 1)
	assert.Equal(t, float64((hosts-ill)*w.Machines), got.Rows()[0].Points[0].V)
	require.Len(t, got.Warnings, 1)
	assert.Contains(t, got.Warnings[0], fmt.Sprintf("%d of %d hosts did not answer", ill, hosts))
	for n := range ill {
		assert.Contains(t, got.Warnings[0], sim.HostName(n))
	}
	began = time.Now()
	_, err = c.Questions.Instant(t.Context(), expr, w.End(), true)
	var missing *federate.MissingError
	require.ErrorAs(t, err, &missing)
	assert.LessOrEqual(t, time.Since(began), deadline)
	assert.Len(t, missing.Hosts, ill)
}

// TestFaultsDuringAQuestion strike while the answers are under way.
func TestFaultsDuringAQuestion(t *testing.T) {
	bothWays(t, func(t *testing.T, relayFrom int) {
		w, c := startSmall(t, relayFrom)
		defer c.end(t)
		c.network.Delay(100*time.Millisecond, 50*time.Millisecond)
		struck := make(chan struct{})
		go func() {
			defer close(struck)
			<-time.After(120 * time.Millisecond)
			for n := range ill {
				switch n % 2 {
				case 0:
					cut(t, c, n)
				default:
					assert.NoError(t, c.Host(n).Kill())
				}
			}
		}()
		c.requireMissing(t, w, pushed)
		<-struck
	})
}

// TestShortHiccupsAreNotSeen: a second request makes up for a host that hangs once.
func TestShortHiccupsAreNotSeen(t *testing.T) {
	bothWays(t, func(t *testing.T, relayFrom int) {
		w, c := startSmall(t, relayFrom)
		defer c.end(t)
		for n := range ill {
			c.Host(n).Break(sim.Hang)
		}
		go func() {
			<-time.After(time.Second)
			for n := range ill {
				c.Host(n).Break(nil)
			}
		}()
		began := time.Now()
		c.requireCount(t, w, hosts)
		assert.GreaterOrEqual(t, time.Since(began), time.Second)
		assert.Less(t, time.Since(began), 4*time.Second)
	})
}

// TestFaultsLeaveNothingBehind counts memory and goroutines before and after hundreds of questions to hosts with faults.
func TestFaultsLeaveNothingBehind(t *testing.T) {
	bothWays(t, func(t *testing.T, relayFrom int) {
		w, c := startSmall(t, relayFrom)
		defer c.end(t)
		round := func() {
			for n, name := range []string{"hangs", "fails", "answers garbage", "breaks off", "trickles"} {
				faults[name].begin(t, c, n)
			}
			for range 10 {
				for _, expr := range []string{pushed, raw} {
					got, err := c.Questions.Instant(t.Context(), expr, w.End(), false)
					require.NoError(t, err)
					require.Len(t, got.Warnings, 1)
				}
			}
			for n := range ill {
				c.Host(n).Break(nil)
			}
			c.requireCount(t, w, hosts)
		}
		round()
		memory, goroutines := settled(t)
		for range 10 {
			round()
		}
		memoryAfter, goroutinesAfter := settled(t)
		t.Logf("%.1f MiB and %d goroutines before, %.1f MiB and %d after", mib(memory), goroutines, mib(memoryAfter), goroutinesAfter)
		assert.LessOrEqual(t, goroutinesAfter, goroutines+hosts/4, "%s", stacks())
		assert.Less(t, memoryAfter, memory+memory/10+1<<20)
	})
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// settled is the memory in use and the goroutines once everything that was begun has ended.
func settled(t *testing.T) (memory uint64, goroutines int) {
	t.Helper()
	<-time.After(3 * time.Minute) // connections that are not used are closed by then
	synctest.Wait()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

func stacks() string {
	text := make([]byte, 1<<20)
	return strings.TrimSpace(string(text[:runtime.Stack(text, true)]))
}
