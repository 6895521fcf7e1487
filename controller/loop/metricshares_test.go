package loop

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// keeper is a host that keeps to its share: what it has heard of it, and what it has.
type keeper struct{ share, active, heard uint64 }

// sharing is a cluster whose hosts share a limit. Messages to and from hosts come when the test says so.
type sharing struct {
	*replica
	t      require.TestingT
	outer  *testing.T
	now    time.Time
	loop   *MetricShares
	memory *division
	hosts  map[string]*keeper
	// limit is the limit now, lowest and highest the ones there ever were; before are the series that were there before any.
	limit, lowest, highest, before uint64
}

func newSharing(outer *testing.T, t require.TestingT) *sharing {
	s := &sharing{replica: newReplica(), t: t, outer: outer, now: time.Unix(1e9, 0), hosts: map[string]*keeper{}}
	s.elect()
	return s
}

// elect makes a leader who knows what is in the state alone.
func (s *sharing) elect() {
	s.loop = &MetricShares{Store: s.store, Log: s.replica, Now: func() time.Time { return s.now }, Logger: slog.New(slog.DiscardHandler)}
	s.memory = &division{}
}

func (s *sharing) join(id string) {
	s.addHost(s.outer, id, 4)
	s.hosts[id] = &keeper{}
}

// joinWith is a host that has series before there is a limit.
func (s *sharing) joinWith(id string, series uint64) {
	s.join(id)
	s.hosts[id].active = series
	s.before += series
	s.tell(id)
}

func (s *sharing) leave(id string) {
	s.do(s.outer, func(c *statev1.Command) {
		c.Op = &statev1.Command_RemoveMember{RemoveMember: &statev1.RemoveMember{Id: id, Force: true}}
	})
	delete(s.hosts, id)
}

func (s *sharing) limitTo(n uint64) {
	s.do(s.outer, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutMetricLimits{PutMetricLimits: &statev1.PutMetricLimits{Limits: &novacronv1.MetricLimits{ClusterSeries: n}}}
	})
	if s.limit == 0 {
		s.lowest = n
	}
	s.limit, s.lowest, s.highest = n, min(s.lowest, n), max(s.highest, n)
}

func (s *sharing) tick() { require.NoError(s.t, s.loop.check(context.Background(), s.memory)) }

func (s *sharing) shares() map[string]*novacronv1.MetricShare {
	all := map[string]*novacronv1.MetricShare{}
	record, _ := s.store.View().MetricLimits()
	for _, share := range record.GetShares() {
		all[share.GetHostId()] = share
	}
	return all
}

// hear has a host learn what is in the state.
func (s *sharing) hear(id string) {
	h := s.hosts[id]
	h.share, h.heard = s.shares()[id].GetSeries(), s.store.Revision()
}

func (s *sharing) tell(id string) {
	h := s.hosts[id]
	s.loop.Tell(id, &agentv1.MetricUsage{Series: h.active, Revision: h.heard}, s.now)
}

// grow makes new series as far as the host may: those that are there go on.
func (s *sharing) grow(id string, n uint64) {
	h := s.hosts[id]
	h.active = max(h.active, min(h.active+n, h.share))
}

// pass lets time go by. Hosts that are up and have series without a share tell of them.
func (s *sharing) pass(d time.Duration) {
	s.now = s.now.Add(d)
	shares := s.shares()
	for id, h := range s.hosts {
		if shares[id] == nil && h.active > 0 {
			s.tell(id)
		}
	}
}

// series are those of all hosts.
func (s *sharing) series() (sum uint64) {
	for _, h := range s.hosts {
		sum += h.active
	}
	return sum
}

// check demands that hosts go by no more than they hold, and that all together go by no more than any limit allowed, and
// have no more series than that, or than that with what was there before above it.
func (s *sharing) check() {
	shares, sum := s.shares(), uint64(0)
	for id, h := range s.hosts {
		require.LessOrEqual(s.t, h.share, shares[id].GetHeld(), "host %s goes by more than it holds", id)
		sum += h.share
	}
	require.LessOrEqual(s.t, sum, s.highest)
	require.LessOrEqual(s.t, s.series(), s.highest+s.before-min(s.before, s.lowest), "series of all hosts")
}

// talk has everybody hear, grow and tell.
func (s *sharing) talk(series uint64) {
	for id := range s.hosts {
		s.hear(id)
		s.grow(id, series)
		s.tell(id)
	}
	s.tick()
}

// settle has everybody talk for some minutes, in which series that are above a share end.
func (s *sharing) settle() {
	for range 80 {
		s.now = s.now.Add(2 * time.Second)
		for id, h := range s.hosts {
			s.hear(id)
			if h.active > h.share {
				h.active = h.share + (h.active-h.share)/2
			}
			s.tell(id)
		}
		s.tick()
		s.check()
	}
}

// TestSharesNeverComeToMoreThanTheLimit loses, delays and orders at will what hosts and leaders say, changes the limit, the
// leader and the hosts, some of which have series before: neither shares nor series go above the limit. Then, in quiet, the whole limit is shared and nobody is starved.
func TestSharesNeverComeToMoreThanTheLimit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newSharing(t, r)
		joined := rapid.IntRange(1, 4).Draw(r, "hosts")
		for i := range joined {
			s.joinWith(fmt.Sprint("h", i), rapid.Uint64Range(0, 800).Draw(r, "before"))
		}
		s.limitTo(rapid.Uint64Range(1, 1000).Draw(r, "limit"))
		for range rapid.IntRange(1, 120).Draw(r, "steps") {
			id := fmt.Sprint("h", rapid.IntRange(0, 4).Draw(r, "host"))
			what := rapid.IntRange(0, 23).Draw(r, "what")
			switch h := s.hosts[id]; {
			case what == 0 && joined < 5:
				s.join(fmt.Sprint("h", joined))
				joined++
			case what == 1 && h != nil && len(s.hosts) > 1:
				s.leave(id)
			case what == 2:
				s.elect()
			case what == 3:
				s.limitTo(rapid.Uint64Range(1, 1000).Draw(r, "limit"))
			case what < 6:
				s.pass(time.Duration(rapid.IntRange(1, 90).Draw(r, "seconds")) * time.Second)
			case what < 10:
				s.tick()
			case what > 19:
				s.talk(rapid.Uint64Range(0, 400).Draw(r, "series"))
			case h == nil:
			case what < 13:
				s.hear(id)
			case what < 16:
				s.tell(id)
			case what < 19:
				s.grow(id, rapid.Uint64Range(1, 400).Draw(r, "series"))
			default:
				h.active /= 2
			}
			s.check()
		}
		s.settle()
		n, sum := uint64(len(s.hosts)), uint64(0)
		for id, h := range s.hosts {
			sum += h.share
			require.GreaterOrEqual(r, h.share, s.limit/2/n, "%s is starved: %+v", id, h)
		}
		require.LessOrEqual(r, sum, s.limit)
		require.Less(r, s.limit-sum, n, "room is left that nobody has")
	})
}

// TestRunawayTakesNoRoomOfOthers grows one host as far as it may, and then another.
func TestRunawayTakesNoRoomOfOthers(t *testing.T) {
	s := newSharing(t, t)
	s.limitTo(1000)
	for i := range 4 {
		s.join(fmt.Sprint("h", i))
	}
	s.settle()
	for range 20 {
		s.grow("h0", 10_000)
		s.settle()
	}
	require.Less(t, s.hosts["h0"].active, uint64(626))
	require.Greater(t, s.hosts["h0"].active, uint64(600), "what others leave may be used")
	s.grow("h1", 10_000)
	require.GreaterOrEqual(t, s.hosts["h1"].active, uint64(125))
	revision := s.store.Revision()
	s.settle()
	require.LessOrEqual(t, s.store.Revision(), revision+3, "shares that fit stay")
}

// TestASmallerShareIsHeldAsSeries has a host join one that has more series than it may have then: it gets room only as those
// end.
func TestASmallerShareIsHeldAsSeries(t *testing.T) {
	s := newSharing(t, t)
	talk := func() {
		for range 10 {
			s.now = s.now.Add(2 * time.Second)
			s.talk(300)
			s.check()
		}
	}
	s.limitTo(1000)
	s.join("a")
	for s.hosts["a"].active < 900 {
		s.tick()
		s.hear("a")
		s.grow("a", 900)
		s.hosts["a"].active = min(s.hosts["a"].active, 900)
		s.tell("a")
	}
	s.join("b")
	s.hear("b")
	s.tell("b")
	s.tick()
	require.Equal(t, uint64(750), s.shares()["a"].GetSeries())
	s.hear("a")
	talk()
	require.Equal(t, uint64(900), s.shares()["a"].GetHeld(), "it heard of less, and has more")
	require.Equal(t, uint64(100), s.hosts["b"].active)
	require.Equal(t, uint64(1000), s.series())
	s.hosts["a"].active = 800
	talk()
	require.Equal(t, uint64(200), s.hosts["b"].active)
	s.hosts["a"].active = 10
	talk()
	require.GreaterOrEqual(t, s.hosts["b"].active, uint64(250))
}

// TestALowerLimitFreesNothingThatIsThere: what a host has above its share is not given away while there is no room at all.
func TestALowerLimitFreesNothingThatIsThere(t *testing.T) {
	hosts := []ShareHost{
		{ID: "a", Share: &novacronv1.MetricShare{HostId: "a", Series: 250, Held: 900, Revision: 1}, Known: true, Active: 800, Heard: 2},
		{ID: "b", Share: &novacronv1.MetricShare{HostId: "b", Series: 250, Held: 300, Revision: 3}, Known: true, Active: 100, Heard: 2},
	}
	next := PlanShares(500, hosts, map[string]uint64{"a": 250, "b": 250})
	require.Equal(t, uint64(800), next[0].GetHeld(), "it heard, and goes on with what it has")
	require.Equal(t, uint64(300), next[1].GetHeld(), "it has not heard")
}

// TestSharesStayWithoutALeader holds what hosts that are not heard from hold.
func TestSharesStayWithoutALeader(t *testing.T) {
	s := newSharing(t, t)
	s.limitTo(300)
	for i := range 3 {
		s.join(fmt.Sprint("h", i))
	}
	s.settle()
	before := s.hosts["h2"].share
	require.Equal(t, uint64(100), before)
	s.elect()
	for range 100 { // h2 says nothing; the others want everything
		s.now = s.now.Add(time.Second)
		for _, id := range []string{"h0", "h1"} {
			s.hear(id)
			s.grow(id, 1000)
			s.tell(id)
		}
		s.tick()
		s.check()
	}
	require.Equal(t, uint64(100), s.shares()["h2"].GetHeld())
	require.Equal(t, uint64(200), s.hosts["h0"].share+s.hosts["h1"].share)
	_, told := s.loop.Active("h2")
	require.False(t, told)
	active, told := s.loop.Active("h0")
	require.True(t, told)
	require.Equal(t, s.hosts["h0"].active, active)
}
