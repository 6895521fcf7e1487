package cloudwatch

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloudwatch/fakecloud"
)

const simulated = 10 * 24 * time.Hour

// TestTenDays kills the collector over and over for ten simulated days: every counter is the truth at every point.
func TestTenDays(t *testing.T) {
	seeds := []uint64{1, uint64(time.Now().UnixNano())}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			inLab(t, func(l *lab) { newSim(l, seed).run() })
		})
	}
}

// sim is the world and what happens to the collector in it.
type sim struct {
	*lab
	*rand.Rand
	began, ends time.Time
	// truths are the series that are counted, by their stored name.
	truths map[string]fakecloud.Series
	// What happened.
	turns, deaths, refusals, outages int
}

func newSim(l *lab, seed uint64) *sim {
	s := &sim{lab: l, Rand: rand.New(rand.NewPCG(seed, seed)), truths: map[string]fakecloud.Series{}}
	s.began = time.Now().Truncate(time.Hour)
	s.ends = s.began.Add(simulated)
	for i := range 9 {
		s.place(i)
	}
	return s
}

// place makes a machine that lives for a part of the time, with a volume and, one in three, an agent.
func (s *sim) place(i int) {
	m := fakecloud.Machine{ID: fmt.Sprintf("i-%d", i), Region: testRegion, Name: fmt.Sprintf("web-%d", i), Type: "m5.large", Detailed: i%3 == 1}
	m.Launched = s.began.Add(time.Duration(s.Int64N(int64(simulated * 3 / 4)))).Truncate(time.Second)
	if i < 4 {
		m.Launched = s.began.Add(-time.Hour)
	}
	end := m.Launched.Add(time.Duration(s.Int64N(int64(simulated / 2)))).Truncate(time.Second)
	switch i % 4 {
	case 1:
		m.Ended = end
	case 2:
		m.Stopped = end
	}
	s.aws.AddMachine(m)
	v := fakecloud.Volume{ID: fmt.Sprintf("vol-%d", i), Region: testRegion, Type: "gp3", Machine: m.ID, Device: "/dev/sda1", GiB: 8, From: m.Launched, Until: m.Ended}
	s.aws.AddVolume(v)
	step := map[bool]time.Duration{false: 5 * time.Minute, true: time.Minute}[m.Detailed]
	s.truth(m, nsEC2, "NetworkIn", step, networkOf(m.ID, "_all", ""), "InstanceId", m.ID)
	s.truth(m, nsEBS, "VolumeReadBytes", time.Minute, fmt.Sprintf(`vm_disk_read_bytes_total,device="sda1",vm_id=%q`, m.ID), "VolumeId", v.ID)
	if i%3 == 0 {
		s.truth(m, nsAgent, "net_bytes_recv", time.Minute, networkOf(m.ID, "eth0", `source="cwagent",`), "InstanceId", m.ID, "interface", "eth0")
	}
}

func networkOf(id, device, source string) string {
	return fmt.Sprintf(`vm_network_receive_bytes_total,interface=%q,%svm_id=%q`, device, source, id)
}

// truth is a series with a known amount for each step in which the machine runs: one in ten is silent.
func (s *sim) truth(m fakecloud.Machine, namespace, name string, step time.Duration, stored string, pairs ...string) {
	ends := s.ends.Add(24 * time.Hour)
	for _, end := range []time.Time{m.Ended, m.Stopped} {
		if !end.IsZero() {
			ends = end
		}
	}
	dimensions := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		dimensions[pairs[i]] = pairs[i+1]
	}
	one := fakecloud.Series{
		Region: testRegion, Namespace: namespace, Name: name, Unit: "Bytes", Dimensions: dimensions, Step: step, Early: 0.5,
		Lag: time.Duration(s.Int64N(int64(2 * time.Minute))),
		Value: func(start time.Time) (float64, bool) {
			h := fnv.New64a()
			_, _ = fmt.Fprintf(h, "%s %s %d", name, m.ID, start.Unix())
			n := h.Sum64()
			return float64(n % 1000), n/1000%10 > 0 && start.Add(step).After(m.Launched) && start.Before(ends)
		},
	}
	s.aws.AddSeries(one)
	s.truths[stored] = one
}

func (s *sim) config(c *Config) {
	c.Since, c.Interval = s.began, simInterval
	c.Sets = []Set{SetDefault, SetVolumes, SetAgent}
}

func (s *sim) run() {
	s.start(s.config)
	s.aws.Fault = s.fault
	for time.Now().Before(s.ends) {
		s.next()
		s.turn()
	}
	s.aws.Fault = nil
	for range 6 { // what is left becomes final
		s.next()
		s.good()
	}
	s.check()
	s.t.Logf("%d turns, %d deaths, %d answers not stored, %d outages; %d calls", s.turns, s.deaths, s.refusals, s.outages, len(s.aws.Log()))
	require.Greater(s.t, s.deaths, 100)
}

// simInterval is that of collecting.
const simInterval = 10 * time.Minute

// next waits for the next round time, now and then for much longer.
func (s *sim) next() {
	at := time.Now().Truncate(simInterval).Add(simInterval + 500*time.Millisecond)
	if s.IntN(200) == 0 {
		s.outages++
		at = at.Add(time.Duration(s.IntN(10)) * 5 * time.Minute)
	}
	later(time.Until(at))
}

// fault lets some calls go wrong in each of the ways.
func (s *sim) fault(c fakecloud.Call) fakecloud.Fault {
	faults := []fakecloud.Fault{
		{Status: 400, Code: "Throttling"}, {Status: 503, Code: "Throttling", RetryAfter: "309"}, {Status: 500, Code: "InternalFailure"},
		{Result: "PartialData", Results: 3}, {Result: "InternalError", Results: 500, Empty: true}, {Twice: true}, {Ragged: true},
	}
	if i := c.N * 2654435761 % (len(faults) * 10); i < len(faults) {
		return faults[i]
	}
	return fakecloud.Fault{}
}

// turn is one collection and what becomes of it.
func (s *sim) turn() {
	s.turns++
	ctx := context.Background()
	metrics, _ := s.collect() // an error is beside what is good
	switch s.IntN(8) {
	case 0: // dies before anything is stored
		s.die()
	case 1: // dies before it is settled
		s.put(metrics)
		s.die()
	case 2: // dies in the middle of settling: the counters are kept, the windows are not
		s.put(metrics)
		s.stores["windows"].fail(true)
		_ = s.Settle(ctx, true)
		s.stores["windows"].fail(false)
		s.die()
	case 3: // the shard does not take it
		s.refusals++
		require.NoError(s.t, s.Settle(ctx, false))
	case 4: // the disk of the state is full
		s.put(metrics)
		s.stores["counters"].fail(true)
		require.Error(s.t, s.Settle(ctx, true))
		s.stores["counters"].fail(false)
	default:
		s.put(metrics)
		require.NoError(s.t, s.Settle(ctx, true))
	}
}

func (s *sim) die() {
	s.deaths++
	s.start(s.config)
}

func (s *memStore) fail(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = yes
}

// check compares every stored point of every counter with the truth.
func (s *sim) check() {
	for name, truth := range s.truths {
		points := s.stored[name]
		total, period := 0.0, 5*time.Minute
		if truth.Namespace == nsAgent || truth.Step == time.Minute && truth.Namespace == nsEC2 {
			period = time.Minute
		}
		last := 0.0
		for step := s.began.Truncate(period); step.Before(s.ends); step = step.Add(truth.Step) {
			if v, ok := truth.Value(step); ok {
				total += v
			}
			end := step.Add(truth.Step)
			v, stored := points[end.UnixMilli()]
			if stored && !collect.IsStale(v) && end.Equal(end.Truncate(period)) {
				require.InDelta(s.t, total, v, 1e-6, "%s at %v", name, end)
				last = v
			}
		}
		require.InDelta(s.t, total, last, 1e-6, "the end of %s", name)
	}
	require.NotEmpty(s.t, s.truths)
}
