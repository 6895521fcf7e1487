package kvm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/tsdb"
)

// two is a host with web and db; either may be stuck or gone.
type two struct {
	*driver
	dbStuck, dbGone atomic.Bool
	release         chan struct{}
	bulk, single    atomic.Int32
}

func newTwo(t *testing.T) (*two, Config) {
	t.Helper()
	d, cfg := web(t, func(*hypervisor.DomainStats) {})
	h := &two{driver: d, release: make(chan struct{})}
	cfg.Hypervisor = h
	web := domainOf(t, webXML, hypervisor.StateRunning)
	db := domainOf(t, strings.NewReplacer(webID, dbID, ">web<", ">db<", "vnet7", "vnet8").Replace(webXML), hypervisor.StateRunning)
	d.domains = func(context.Context) ([]hypervisor.Domain, error) {
		if h.dbGone.Load() {
			return []hypervisor.Domain{web}, nil
		}
		return []hypervisor.Domain{web, db}, nil
	}
	d.stats = func(_ context.Context, ids ...string) ([]hypervisor.DomainStats, error) {
		if len(ids) == 0 {
			h.bulk.Add(1)
		} else {
			h.single.Add(1)
		}
		var all []hypervisor.DomainStats
		if len(ids) == 0 || ids[0] == webID {
			all = append(all, webStats(0))
		}
		if !h.dbGone.Load() && (len(ids) == 0 || ids[0] == dbID) {
			if h.dbStuck.Load() {
				<-h.release // knows no deadline, as a call to libvirt
			}
			s := webStats(0)
			s.ID, s.Name, s.Cards[0].Name = dbID, "db", "vnet8"
			all = append(all, s)
		}
		return all, nil
	}
	return h, cfg
}

// of are the metrics of a machine.
func of(all []collect.Metric, id string) []collect.Metric {
	return slices.DeleteFunc(slices.Clone(all), func(m collect.Metric) bool { return m.Labels["vm_id"] != id })
}

func ended(all []collect.Metric) (names []string) {
	for _, m := range all {
		if collect.IsStale(m.Value) {
			names = append(names, show(m))
		}
	}
	return names
}

func TestOneStuckMachineKeepsNoOtherWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, cfg := newTwo(t)
		cfg.GuestsEvery = -1
		cfg.Meter = collect.NewMeter()
		c := New(cfg)
		healthy := collectNow(t, c)
		perMachine := len(of(healthy, dbID))
		require.Greater(t, perMachine, 50)
		h.dbStuck.Store(true)
		for turn, most := range []time.Duration{cfg.Patience + 6*time.Second, 0, 0} {
			began := time.Now()
			got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
			require.ErrorContains(t, err, "1 did not answer: ["+dbID+"]")
			require.LessOrEqual(t, time.Since(began), most, "turn %d", turn)
			for _, m := range of(got, dbID) { // no marker either: it may be well
				require.Equal(t, "vm_lifecycle_events_total", m.Name)
			}
			require.GreaterOrEqual(t, len(of(got, webID)), perMachine)
			require.Empty(t, ended(got))
			time.Sleep(15 * time.Second)
		}
		require.EqualValues(t, 2, h.bulk.Load(), "the call for all hangs: it is not made again")
		require.EqualValues(t, 1+3, h.single.Load(), "nor is that for the machine that hangs")
		h.dbStuck.Store(false)
		close(h.release)
		synctest.Wait()
		got := collectNow(t, c)
		require.GreaterOrEqual(t, len(of(got, dbID)), perMachine)
		require.Empty(t, ended(got))
	})
}

func TestAStuckMachineAtTheStartOfTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, cfg := newTwo(t)
		cfg.GuestsEvery = -1
		h.dbStuck.Store(true)
		got, err := New(cfg).CollectMetrics(t.Context(), tsdb.MetricsQuery{})
		require.ErrorContains(t, err, "1 did not answer")
		require.NotEmpty(t, of(got, webID))
		close(h.release)
	})
}

func TestAMachineThatIsGoneEndsOnce(t *testing.T) {
	h, cfg := newTwo(t)
	cfg.GuestsEvery = -1
	c := New(cfg)
	before := collectNow(t, c)
	h.dbGone.Store(true)
	got := collectNow(t, c)
	gone := of(got, dbID)
	require.Len(t, gone, len(of(before, dbID)))
	require.Len(t, ended(gone), len(gone))
	require.Empty(t, ended(of(got, webID)))
	require.Empty(t, of(collectNow(t, c), dbID))
	require.NotContains(t, c.machines, dbID)
}

func TestADiskThatIsGoneEndsAndABusyMachineDoesNot(t *testing.T) {
	busy, withoutDisk := false, false
	d, cfg := web(t, func(s *hypervisor.DomainStats) {
		if busy { // NOWAIT leaves out what the monitor would have to be asked for
			s.Disks, s.VCPUs = nil, nil
			delete(s.Values, "balloon.rss")
		}
		if withoutDisk {
			s.Disks = s.Disks[:2]
		}
	})
	cfg.GuestsEvery = -1
	c := New(cfg)
	collectNow(t, c)
	busy = true
	require.Empty(t, ended(collectNow(t, c)))
	busy, withoutDisk = false, true
	without := strings.Replace(webXML, "dev='vdb'", "dev='sdz'", 1)
	d.domains = func(context.Context) ([]hypervisor.Domain, error) {
		return []hypervisor.Domain{domainOf(t, without, hypervisor.StateRunning)}, nil
	}
	c.machines[webID].at = time.Time{} // the description has grown old
	require.ElementsMatch(t, []string{"vm_disk_read_bytes_total device=vdb = ended", "vm_disk_info device=vdb driver=qemu format=raw path=/dev/vg/data = ended"}, ended(collectNow(t, c)))
}

func TestAMachineThatStopsKeepsItsState(t *testing.T) {
	stopped := false
	_, cfg := web(t, func(s *hypervisor.DomainStats) {
		if stopped {
			s.Values, s.Disks, s.Cards, s.VCPUs = map[string]float64{"state.state": 5, "state.reason": 1}, nil, nil, nil
		}
	})
	cfg.GuestsEvery = -1
	c := New(cfg)
	collectNow(t, c)
	stopped = true
	got := collectNow(t, c)
	require.Contains(t, showAll(got), "vm_state state=stopped = 1")
	require.Contains(t, showAll(got), "vm_available = 0")
	require.Contains(t, showAll(got), "host_vms state=stopped = 1")
	require.Contains(t, ended(got), "vm_cpu_seconds_total = ended")
	require.Contains(t, ended(got), "vm_uptime_seconds = ended")
	require.NotContains(t, ended(got), "vm_state state=running = ended")
}

func TestNothingIsToldWhenTheHypervisorIsAway(t *testing.T) {
	d, cfg := web(t, func(*hypervisor.DomainStats) {})
	c := New(cfg)
	collectNow(t, c)
	away := errors.New("away")
	d.stats = func(context.Context, ...string) ([]hypervisor.DomainStats, error) { return nil, away }
	got, err := c.CollectMetrics(t.Context(), tsdb.MetricsQuery{})
	require.ErrorIs(t, err, away)
	require.Empty(t, got)
}

func TestAHungGuestAgentKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, cfg := newTwo(t)
		release := make(chan struct{})
		var asked atomic.Int32
		answer := h.usage
		h.usage = func(ctx context.Context, id string) (hypervisor.GuestUsage, error) {
			asked.Add(1)
			if id == dbID {
				<-release
			}
			return answer(ctx, id)
		}
		c := New(cfg)
		fileSystems := map[string]int{}
		for range 9 { // two rounds, and the third begun
			began := time.Now()
			for _, m := range collectNow(t, c) {
				if m.Name == "vm_filesystem_size_bytes" {
					fileSystems[m.Labels["vm_id"]]++
				}
			}
			require.Zero(t, time.Since(began))
			time.Sleep(15 * time.Second)
		}
		require.Equal(t, map[string]int{webID: 2}, fileSystems)
		require.EqualValues(t, 4, asked.Load(), "the one that hangs is not asked again")
		close(release)
		time.Sleep(time.Second)
		c.guests.rounds.Wait()
	})
}

func TestEventsArePointsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, cfg := web(t, func(*hypervisor.DomainStats) {})
		c := New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Watch(ctx) }()
		synctest.Wait()
		collectNow(t, c)
		time.Sleep(3 * time.Second)
		crashed := time.Now()
		for _, kind := range []string{"crashed", "started", "defined"} {
			d.Publish(hypervisor.Event{ID: webID, Kind: kind})
		}
		d.Publish(hypervisor.Event{Kind: "disconnected"})
		synctest.Wait()
		time.Sleep(3 * time.Second)
		var points []string
		for _, m := range collectNow(t, c) {
			if m.Name == "vm_lifecycle_events_total" && m.Value > 0 {
				points = append(points, show(m)+" after "+m.Timestamp.Sub(crashed).String())
			}
		}
		slices.Sort(points)
		require.Equal(t, []string{
			"vm_lifecycle_events_total type=crashed = 1 after 0s", "vm_lifecycle_events_total type=crashed = 1 after 3s",
			"vm_lifecycle_events_total type=started = 1 after 0s", "vm_lifecycle_events_total type=started = 1 after 3s",
		}, points)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		c.guests.rounds.Wait()
	})
}

func TestAProcessOfAnotherIsNotTaken(t *testing.T) {
	_, cfg := web(t, func(*hypervisor.DomainStats) {})
	c := New(cfg)
	s := webStats(0)
	require.Equal(t, "4711", c.process(process{}, &s).pid)
	s.ID = dbID
	require.Empty(t, c.process(process{}, &s).pid)
	s.Values["state.state"] = 5
	require.Empty(t, c.process(process{pid: "4711"}, &s).pid)
	require.Empty(t, c.groupOf("4712"))
	c.cfg.Cgroups = "/cg"
	for path, group := range map[string]string{
		`/machine.slice/machine-qemu\x2d1\x2dweb.scope/libvirt/emulator`: `/cg/machine.slice/machine-qemu\x2d1\x2dweb.scope`,
		"/machine/qemu-1-web.libvirt-qemu/emulator":                      "/cg/machine/qemu-1-web.libvirt-qemu",
		"/system.slice/libvirtd.service":                                 "", "/": "",
	} {
		require.Equal(t, group, c.machineGroup(path))
	}
}
