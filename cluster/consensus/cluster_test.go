package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long anything may take; what works takes a fraction.
const patience = time.Minute

// testTiming leaves room for a loaded machine with the race detector: what asks one leader twice counts on it.
func testTiming() Timing {
	const t = 500 * time.Millisecond
	return Timing{Heartbeat: t, Election: t, LeaderLease: t, IO: 2 * time.Second}
}

// member is a node of a test cluster and what it takes to start it again.
type member struct {
	*Node
	sm   *registers
	id   string
	addr string
	dir  string
	down bool
}

// testCluster is a cluster in one process.
type testCluster struct {
	t       testing.TB
	net     *testNet
	members map[string]*member
	adjust  func(id string, c *Config)
}

// newCluster starts and bootstraps n nodes named n1 to nN; adjust may change each one's configuration.
func newCluster(t testing.TB, n int, adjust func(id string, c *Config)) *testCluster {
	c := &testCluster{t: t, net: newTestNet(), members: map[string]*member{}, adjust: adjust}
	t.Cleanup(c.close)
	var servers []Server
	for i := range n {
		m := c.start(fmt.Sprintf("n%d", i+1))
		servers = append(servers, Server{ID: m.id, Addr: m.addr, Voter: true})
	}
	require.NoError(t, c.members["n1"].Bootstrap(servers))
	return c
}

// start opens a node, on its old directory and address when it was there before.
func (c *testCluster) start(id string) *member {
	c.t.Helper()
	m := c.members[id]
	if m == nil {
		m = &member{id: id, dir: c.t.TempDir()}
		c.members[id] = m
	}
	require.NoError(c.t, c.open(m))
	return m
}

func (c *testCluster) open(m *member) error {
	l, err := c.net.listen(m.id, m.addr)
	if err != nil {
		return err
	}
	m.addr, m.sm = l.Addr().String(), newRegisters()
	cfg := Config{
		ID: m.id, AdvertiseAddr: m.addr, DataDir: m.dir, Listener: l, Dial: c.net.dialer(m.id),
		Timing: testTiming(), Logger: testLogger(),
	}
	if c.adjust != nil {
		c.adjust(m.id, &cfg)
	}
	m.Node, err = Open(cfg, m.sm)
	m.down = err != nil
	return err
}

// testLogger is silent unless RAFT_LOG is set.
func testLogger() *slog.Logger {
	if os.Getenv("RAFT_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// kill stops a node without a word to the others.
func (c *testCluster) kill(m *member) {
	m.gone.set(ErrClosed)
	m.streams.Close()
	c.stop(m)
}

// stop closes a node in the orderly way.
func (c *testCluster) stop(m *member) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(c.t, m.Close(ctx))
	m.down = true
}

func (c *testCluster) close() {
	c.net.heal()
	for _, m := range c.members {
		if !m.down {
			c.kill(m)
		}
	}
}

// leader waits for the one leader among the nodes that are up, except those named.
func (c *testCluster) leader(except ...*member) *member {
	c.t.Helper()
	var found *member
	require.Eventually(c.t, func() bool {
		found = c.leading(except...)
		return found != nil
	}, patience, 2*time.Millisecond, "no leader")
	return found
}

// leading is who leads now among the nodes that are up, except those named; nil when nobody does.
func (c *testCluster) leading(except ...*member) *member {
	for _, m := range c.members {
		if !m.down && !contains(except, m) && m.IsLeader() && m.Stats().State == "Leader" {
			return m
		}
	}
	return nil
}

func contains(ms []*member, m *member) bool {
	for _, x := range ms {
		if x == m {
			return true
		}
	}
	return false
}

// others returns the running nodes but m.
func (c *testCluster) others(m *member) []*member {
	var out []*member
	for _, x := range c.members {
		if x != m && !x.down {
			out = append(out, x)
		}
	}
	return out
}

func ids(ms ...*member) []string {
	var out []string
	for _, m := range ms {
		out = append(out, m.id)
	}
	return out
}

// set commits key=val through whoever leads.
func (c *testCluster) set(key, val string, except ...*member) uint64 {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, index, err := c.leader(except...).Propose(ctx, setCmd(key, val))
		cancel()
		if err == nil {
			return index
		}
		if !isElection(err) || time.Now().After(deadline) {
			require.NoError(c.t, err)
		}
	}
}

// fill commits n values with 32 proposers at once.
func (c *testCluster) fill(m *member, n int) {
	c.t.Helper()
	const workers = 32
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			var err error
			for i := w; i < n && err == nil; i += workers {
				err = c.put(m, setCmd(fmt.Sprintf("k%d", i%1000), fmt.Sprint(i)))
			}
			errs <- err
		}()
	}
	for range workers {
		require.NoError(c.t, <-errs)
	}
}

// put commits a command through a leader, or through the next one: a busy machine loses one now and then.
func (c *testCluster) put(m *member, command []byte) error {
	for deadline := time.Now().Add(patience); ; hold(testTiming().Heartbeat / 10) {
		_, _, err := m.Propose(context.Background(), command)
		if err == nil || !isElection(err) || time.Now().After(deadline) {
			return err
		}
		m = or(c.leading(), m)
	}
}

func isElection(err error) bool {
	return errors.Is(err, ErrNotLeader) || errors.Is(err, ErrOutcomeUnknown)
}

// converge waits until every running node has the same state.
func (c *testCluster) converge() {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		seen := map[string]bool{}
		for _, m := range c.members {
			if !m.down {
				seen[m.sm.hash()] = true
			}
		}
		return len(seen) == 1
	}, patience, 5*time.Millisecond, "states differ")
}

func short(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
