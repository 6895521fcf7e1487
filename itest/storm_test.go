package itest_test

import (
	"context"
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/novacron/novacron/agent/hypervisor/libvirt"
	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/vm"
)

// seedVariable sets what the mishaps are drawn from; without it they are new each time.
const seedVariable = "NOVACRON_SEED"

const (
	stormCreates  = 100
	stormPatience = 2 * time.Minute
	// stormPoll is how often the agents are attended, lookEvery how often the cluster or the hosts are looked at.
	stormPoll = 50 * time.Millisecond
	lookEvery = 500 * time.Millisecond
	// restartEvery is how long what asked for a restart of libvirtd may be told on after it.
	restartEvery = 10 * time.Second
	guestArgs    = lab.KernelArgs
)

// storm is a fleet whose creates have mishaps.
type storm struct {
	*fleet
	hosts []string
	plan  []mishap
	// struck are the machines whose mishap has happened.
	struck map[string]bool
	// heard is how much of each agent's log has been read.
	heard map[string]int
	tally map[string]int
	// restarted tells when libvirtd was restarted because the cluster asked for it.
	restarted map[string]time.Time
}

// A hundred creates, each with a mishap in a random step: it ends running, once, or failed with a clear reason and
// nothing left, and what is not the cluster's is as it was.
func TestAHundredCreatesWithMishaps(t *testing.T) {
	seed := drawSeed(t)
	t.Logf("%s=%d draws the same mishaps again", seedVariable, seed)
	f := startFleet(t, []string{"c1"}, []string{"h1", "h2"})
	s := &storm{fleet: f, hosts: []string{"h1", "h2"}, plan: planMishaps(rand.New(rand.NewPCG(seed, 0)), stormCreates),
		struck: map[string]bool{}, heard: map[string]int{}, tally: map[string]int{}, restarted: map[string]time.Time{}}
	strangers := s.settle(hasUEFI())
	base := s.heldBy()
	for round := range slices.Chunk(s.plan, stormWidth) {
		began := time.Now()
		s.create(round)
		s.await("all creates to end", func() error { return s.ended(round) })
		s.judge(round)
		s.remove(round, base)
		t.Logf("%s to %s: %s", round[0].vm, round[len(round)-1].vm, time.Since(began).Round(10*time.Millisecond))
	}
	f.must("network", "delete", lan, "--yes")
	s.await("nothing but the strangers to be left", func() error { return s.differs(strangers) })
	for outcome, n := range s.tally {
		t.Logf("%s: %d", outcome, n)
	}
	happened := 0
	for _, struck := range s.struck {
		if struck {
			happened++
		}
	}
	t.Logf("mishaps that happened: %d", happened)
	require.GreaterOrEqual(t, happened, stormCreates*9/10, "most mishaps have to happen for this to prove anything")
}

func drawSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(seedVariable)
	if text == "" {
		return rand.Uint64N(1_000_000)
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, "%s is a number", seedVariable)
	return seed
}

// settle makes everything that the creates need, and returns what is on the hosts that is not the cluster's.
func (s *storm) settle(uefi bool) map[string]map[string]string {
	s.t.Helper()
	for _, host := range s.hosts {
		s.makeTight(host)
		s.settleStrangers(host, uefi)
	}
	strangers := s.heldBy()
	if !uefi {
		s.t.Log("no firmware for UEFI guests here: NVRAM is not tried")
		for i := range s.plan {
			s.plan[i].uefi = false
		}
	}
	for slot := range stormWidth {
		content := make([]byte, 256<<10)
		rng := rand.NewChaCha8([32]byte{byte(slot)})
		_, _ = rng.Read(content) // never fails
		s.must("image", "add", blankOf(slot), s.file(blankOf(slot), content), "--format", "raw")
	}
	s.must("network", "create", lan, "--mode", "isolated", "--subnet", lanSubnet, "--assign")
	for _, host := range s.hosts {
		require.NoError(s.t, s.Kill(s.ctx, host))
		s.arm(host)
	}
	s.await("the pools and the network to be known", func() error {
		pools, network := s.must("pool", "list", "-o", "csv"), s.must("network", "show", lan)
		if strings.Count(pools, tightPool) < len(s.hosts) || strings.Count(network, "active") < len(s.hosts) {
			return &lacking{pools + network}
		}
		return nil
	})
	return strangers
}

// arm starts the agent of a host with all mishaps that are to come: a machine may go to any host.
func (s *storm) arm(host string) {
	s.t.Helper()
	var armings []string
	for _, m := range s.plan {
		armings = append(armings, m.armings(s.struck[m.vm])...)
	}
	require.NoError(s.t, s.Start(s.ctx, host, fault.Environment+"="+strings.Join(armings, ",")))
}

func (s *storm) create(round []mishap) {
	s.t.Helper()
	var calls errgroup.Group
	calls.SetLimit(4)
	for _, m := range round {
		text, err := vm.Marshal(m.definition())
		require.NoError(s.t, err)
		path := s.file(m.vm+".yaml", text)
		calls.Go(func() error { return s.Must(s.ctx, "vm", "create", "-f", path, "--no-wait") })
	}
	require.NoError(s.t, calls.Wait())
}

// ended tells whether every create of a round has. It does what an operator is asked for.
func (s *storm) ended(round []mishap) error {
	list, waiting := s.list(), ""
	for _, m := range round {
		at := list[m.vm]
		if strings.Contains(at.message, libvirt.RestartAdvice) {
			s.restartLibvirtd(at.host)
		}
		if at.phase != "running" && at.phase != "failed" {
			waiting += m.vm + ", " + m.kind + " at " + m.point + ": " + at.phase + ", " + at.message + "\n"
		}
	}
	if waiting != "" {
		return &lacking{waiting}
	}
	return nil
}

// restartLibvirtd does so, once for what was asked before.
func (s *storm) restartLibvirtd(host string) {
	s.t.Helper()
	if time.Since(s.restarted[host]) < restartEvery {
		return
	}
	h, err := s.Lab.Host(host)
	require.NoError(s.t, err)
	require.NoError(s.t, h.KillLibvirtd(s.ctx))
	require.NoError(s.t, h.StartLibvirtd(s.ctx))
	s.restarted[host] = time.Now()
	s.tally["libvirtd restarted because the cluster asked for it"]++
}

// attend does what an agent has frozen for, and starts one that died.
func (s *storm) attend(host string) {
	alive := s.Alive(host) // asked first: what a dead one said is all there
	for _, told := range s.news(host) {
		_, at, _ := strings.Cut(told, "#")
		name, action, _ := strings.Cut(at, "=")
		i := slices.IndexFunc(s.plan, func(m mishap) bool { return m.vm == name })
		require.GreaterOrEqual(s.t, i, 0, told)
		if action == string(fault.Freeze) && !s.strike(host, s.plan[i]) {
			continue // the agent died before it froze
		}
		s.struck[name] = true
	}
	if !alive {
		require.NotContains(s.t, tail(s.Logs(host), 5), "panic")
		s.arm(host)
	}
}

// news are the deaths and freezes that an agent has told of since the last time.
func (s *storm) news(host string) (told []string) {
	log := s.Logs(host)
	for line := range strings.Lines(log[s.heard[host]:]) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		s.heard[host] += len(line)
		if what, ok := strings.CutPrefix(line, fault.Announcement); ok {
			told = append(told, strings.TrimSpace(what))
		}
	}
	return told
}

// strike does to a host what a create is to meet, while the agent is frozen.
func (s *storm) strike(host string, m mishap) bool {
	require.NoError(s.t, s.Await(s.ctx, host+"'s agent to be frozen", func(context.Context) error {
		if s.Alive(host) && !s.Frozen(host) {
			return &lacking{tail(s.Logs(host), 3)}
		}
		return nil
	}))
	if !s.Frozen(host) {
		return false
	}
	h, err := s.Lab.Host(host)
	require.NoError(s.t, err)
	switch m.kind {
	case libvirtDies:
		require.NoError(s.t, h.KillLibvirtd(s.ctx))
		defer func() { require.NoError(s.t, h.StartLibvirtd(s.ctx)) }()
	case poolFills:
		s.fill(host)
	}
	require.NoError(s.t, s.Thaw(s.ctx, host))
	return true
}

// standing is what the cluster says of a machine.
type standing struct{ host, phase, message string }

func (s *storm) list() map[string]standing {
	out := s.must("vm", "list", "-o", "csv")
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(s.t, err, out)
	host, name, phase, message := slices.Index(rows[0], "host"), slices.Index(rows[0], "name"), slices.Index(rows[0], "state"), slices.Index(rows[0], "message")
	require.GreaterOrEqual(s.t, min(host, name, phase, message), 0, rows[0])
	list := map[string]standing{}
	for _, row := range rows[1:] {
		list[row[name]] = standing{row[host], row[phase], row[message]}
	}
	return list
}

// judge looks at how each create of a round ended.
func (s *storm) judge(round []mishap) {
	s.t.Helper()
	list, held := s.list(), s.heldBy()
	for _, m := range round {
		at := list[m.vm]
		told := slices.ContainsFunc(m.reasons(), func(reason string) bool { return strings.Contains(at.message, reason) })
		s.struck[m.vm] = s.struck[m.vm] || told
		what := m.vm + ", " + m.kind + " at " + m.point + ": " + at.phase + ", " + at.message
		s.tally[m.kind+", "+at.phase]++
		switch at.phase {
		case "running":
			require.True(s.t, m.mayRun(), what)
			require.Equal(s.t, 1, s.mentions(held, "processes", m.uuid), what)
			if m.boots {
				s.await(m.vm+" to have an address", func() error { return s.hasLease(m) })
			}
		case "failed":
			require.True(s.t, told, "the reason is not that of the mishap: %s", what)
			for _, section := range []string{"domains", "volumes", "nvram", "processes", "journal", "cards"} {
				require.Zero(s.t, s.mentions(held, section, m.uuid)+s.mentions(held, section, m.vm), "%s: %s", what, section)
			}
			s.awaitNoFiles(held, m)
		default:
			require.Fail(s.t, "neither running nor failed", what)
		}
	}
	for _, host := range s.hosts {
		s.ease(host)
	}
}

func (s *storm) hasLease(m mishap) error {
	for _, host := range s.hosts {
		if leases := s.virsh(host, "net-dhcp-leases", lan); strings.Contains(leases, m.mac) {
			s.tally["addresses given by DHCP"]++
			return nil
		}
	}
	return &lacking{"no lease"}
}

// remove deletes the machines of a round, which leaves nothing.
func (s *storm) remove(round []mishap, base map[string]map[string]string) {
	s.t.Helper()
	args := []string{"vm", "delete", "--force", "--yes"}
	for _, m := range round {
		args = append(args, m.vm)
	}
	s.must(args...)
	s.await("nothing to be left", func() error { return s.differs(base) })
}

// heldBy is what each host holds.
func (s *storm) heldBy() map[string]map[string]string {
	s.t.Helper()
	held := map[string]map[string]string{}
	s.await("a look at the hosts", func() (err error) {
		for _, host := range s.hosts {
			if held[host], err = s.holdings(host); err != nil {
				return err
			}
		}
		return nil
	})
	return held
}

// differs tells where a host holds something else than before.
func (s *storm) differs(before map[string]map[string]string) error {
	for _, host := range s.hosts {
		now, err := s.holdings(host)
		if err == nil {
			err = difference(before[host], now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// await looks now and then whether something holds, and attends the agents meanwhile.
func (s *storm) await(what string, holds func() error) {
	s.t.Helper()
	began, looked := time.Now(), time.Time{}
	ticker := time.NewTicker(stormPoll)
	defer ticker.Stop()
	for ; ; <-ticker.C {
		for _, host := range s.hosts {
			s.attend(host)
		}
		if time.Since(looked) < lookEvery {
			continue
		}
		err := holds()
		if err == nil {
			return
		}
		require.Less(s.t, time.Since(began), stormPatience, "waited for %s: %v", what, err)
		looked = time.Now()
	}
}

// TestHoldingsAreTold makes sure that the script would tell of what a test looks for.
func TestHoldingsAreTold(t *testing.T) {
	f := startFleet(t, []string{"c1"}, []string{"h1"})
	f.makeTight("h1")
	empty, err := f.holdings("h1")
	require.NoError(t, err)
	f.settleStrangers("h1", hasUEFI())
	require.NoError(t, os.WriteFile(filepath.Join(f.journalDir("h1"), "x"), nil, 0o600))
	full, err := f.holdings("h1")
	require.NoError(t, err)
	for _, section := range []string{"domains", "volumes", "networks", "cards", "processes", "files", "journal"} {
		require.NotEqual(t, empty[section], full[section], section)
	}
	if hasUEFI() {
		require.NotEqual(t, empty["nvram"], full["nvram"])
	}
}
