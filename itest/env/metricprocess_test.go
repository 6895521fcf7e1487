package env_test

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/itest/env"
	"github.com/novacron/novacron/metric"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// processDir is the variable that turns this program into an agent with that data.
const processDir = "NOVACRON_TEST_AGENT"

// TestAgentProcess is no test: it is the agent that others start as a process of its own.
func TestAgentProcess(t *testing.T) {
	dir := os.Getenv(processDir)
	if dir == "" {
		t.Skip("an agent for other tests")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test that started this process
		stop()
	}()
	config, err := node.Load(dir)
	require.NoError(t, err)
	driver, err := fake.New(fake.Options{})
	require.NoError(t, err)
	require.NoError(t, agent.Run(ctx, agent.Config{
		Node: config, Version: env.Version, Logger: slog.New(slog.DiscardHandler), Driver: driver, Sources: scrapers(config.Name),
	}))
}

// process is an agent that can be killed and frozen.
type process struct {
	t    *testing.T
	host *env.Member
	cmd  *exec.Cmd
}

// asProcess goes on with a host's agent in a process of its own.
func asProcess(t *testing.T, host *env.Member) *process {
	t.Helper()
	require.NoError(t, host.Stop())
	p := &process{t: t, host: host}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestAgentProcess$")
	p.cmd.Env = append(os.Environ(), processDir+"="+p.host.Config.DataDir)
	_, err := p.cmd.StdinPipe() // whose end, with ours, is the agent's
	require.NoError(p.t, err)
	require.NoError(p.t, p.cmd.Start())
}

// kill ends the process without a farewell.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may be gone
	_ = p.cmd.Wait()         // the signal is its error
	p.cmd = nil
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

func drain(t *testing.T, client *env.Client, host string, cancel bool) {
	t.Helper()
	_, err := client.Hosts.DrainHost(t.Context(), connect.NewRequest(&novacronv1.DrainHostRequest{Host: host, Cancel: cancel}))
	require.NoError(t, err)
}

// collectedByProcess is a cluster whose source is collected by host-1, a process; host-2 could, too.
func collectedByProcess(t *testing.T) (client *env.Client, s *target, p *process, epoch uint64) {
	t.Helper()
	c := env.New(t, env.Options{Controllers: 1, Agents: 2, Sources: scrapers})
	client, s = admin(t, c, ""), newTarget(t)
	define(t, client)
	p = asProcess(t, c.Member("host-1"))
	drain(t, client, "host-2", false)
	addSource(t, client, scrapeOf("queue", s.URL), "")
	source := sourceIn(t, client, "queue", sourceRuns)
	require.Equal(t, "host-1", source.GetStatus().GetHostName())
	drain(t, client, "host-2", true)
	s.scrapedBy(t, "host-1", 1, time.Time{})
	return client, s, p, source.GetStatus().GetEpoch()
}

// TestASourceOutlivesItsAgentsDeath: killed and started again it goes on, killed for good another host does.
func TestASourceOutlivesItsAgentsDeath(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for leases to run out")
	}
	t.Parallel()
	client, s, p, epoch := collectedByProcess(t)
	p.kill()
	p.start()
	again := time.Now()
	s.scrapedBy(t, "host-1", 2, again)
	require.Equal(t, epoch, sourceIn(t, client, "queue", sourceRuns).GetStatus().GetEpoch(), "it stays where it was")
	p.kill()
	killed := time.Now()
	s.scrapedBy(t, "host-2", 2, killed)
	t.Logf("killed; the next host scraped %s later", s.first("host-2").Sub(killed).Round(time.Millisecond))
	requireOneAtATime(t, s)
	p.start()
	s.scrapedBy(t, "host-2", 2, time.Now())
	requireOneAtATime(t, s)
}

// TestAFrozenAgentDoesNotCollectWhenItWakesUp past its lease: SIGSTOP, another host, SIGCONT.
func TestAFrozenAgentDoesNotCollectWhenItWakesUp(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for leases to run out")
	}
	t.Parallel()
	_, s, p, _ := collectedByProcess(t)
	p.signal(syscall.SIGSTOP)
	frozen := time.Now()
	s.scrapedBy(t, "host-2", 1, frozen)
	require.Greater(t, s.first("host-2").Sub(frozen), metric.Lease-5*time.Second, "nobody began while the lease could hold")
	p.signal(syscall.SIGCONT)
	s.scrapedBy(t, "host-2", 3, time.Now())
	requireOneAtATime(t, s)
}

// first is when a host first scraped.
func (s *target) first(host string) time.Time {
	for _, one := range s.all() {
		if one.host == host {
			return one.begin
		}
	}
	return time.Time{}
}
