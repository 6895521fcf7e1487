package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/memnet"
)

func testKey() []byte { return bytes.Repeat([]byte{7}, KeyLen) }

// fleet is a number of members on one in-memory network.
type fleet struct {
	t     *testing.T
	net   *memnet.Network
	nodes []*Gossip
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i) }

func nodeID(i int) string { return uuid.NewSHA1(uuid.Nil, []byte(nodeName(i))).String() }

func newFleet(t *testing.T, size, seeds int) *fleet {
	f := &fleet{t: t, net: memnet.New(1)}
	f.net.Delay(time.Millisecond, time.Millisecond)
	for i := range size {
		f.nodes = append(f.nodes, f.start(i, seeds))
	}
	return f
}

func (f *fleet) config(i, seeds int) Config {
	tr, err := f.net.Transport(nodeName(i))
	require.NoError(f.t, err)
	var addrs []string
	for s := range seeds {
		addrs = append(addrs, f.addr(s))
	}
	return Config{
		ID: nodeID(i), Name: nodeName(i), Role: "agent", Version: "1.0.0", Key: testKey(), Transport: tr,
		Seeds: func() []string { return addrs }, Logger: slog.New(slog.DiscardHandler),
	}
}

func (f *fleet) addr(i int) string {
	return fmt.Sprintf("%s:%d", f.net.IP(nodeName(i)), memnet.GossipPort)
}

func (f *fleet) start(i, seeds int) *Gossip {
	g, err := Start(context.Background(), f.config(i, seeds))
	require.NoError(f.t, err)
	return g
}

func (f *fleet) close() {
	for _, g := range f.nodes {
		require.NoError(f.t, g.Close())
	}
	// memberlist's last probe and dial run out after the shutdown; a bubble must not end before.
	<-time.After(time.Minute)
}

// alive counts the members that a node believes alive.
func alive(g *Gossip) (n int) {
	for _, m := range g.Members() {
		if m.State == Alive {
			n++
		}
	}
	return n
}

func stateOf(g *Gossip, id string) State {
	for _, m := range g.Members() {
		if m.ID == id {
			return m.State
		}
	}
	return ""
}

// within runs the virtual clock until ok holds and gives the time it took.
func within(t *testing.T, limit time.Duration, ok func() bool) time.Duration {
	start := time.Now()
	for !ok() {
		require.Less(t, time.Since(start), limit, "not reached in time")
		<-time.After(50 * time.Millisecond)
	}
	return time.Since(start)
}

func (f *fleet) allSee(want int) func() bool {
	return func() bool {
		for _, g := range f.nodes {
			if alive(g) != want {
				return false
			}
		}
		return true
	}
}

func TestFiftyNodesJoinAndSeeADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 50, 5)
		took := within(t, 3*time.Second, f.allSee(50))
		t.Logf("50 nodes joined in %s", took)

		<-time.After(10 * time.Second)
		f.net.Isolate(nodeName(49))
		victim := f.nodes[49]
		f.nodes = f.nodes[:49]
		took = within(t, 15*time.Second, f.allSee(49))
		t.Logf("a death was seen by all in %s", took)
		for _, g := range f.nodes {
			require.Equal(t, Failed, stateOf(g, nodeID(49)))
		}
		require.NoError(t, victim.Close())
		f.close()
	})
}

func TestPartitionHealsAfterTheDeadWerePurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 6, 2) // both seeds end up on one side
		within(t, 5*time.Second, f.allSee(6))
		f.net.Partition([]string{"n0", "n1", "n2"}, []string{"n3", "n4", "n5"})
		within(t, time.Minute, f.allSee(3))
		<-time.After(5 * time.Minute) // memberlist has forgotten the other side
		require.Len(t, f.nodes[0].list.Members(), 3)
		f.net.Heal()
		took := within(t, 90*time.Second, f.allSee(6))
		t.Logf("found each other %s after the heal", took)
		f.close()
	})
}

func TestBootWithoutAnyReachableSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 0, 0)
		f.net.Isolate("n0")
		f.nodes = []*Gossip{f.start(0, 2), f.start(1, 2)}
		<-time.After(time.Minute)
		select {
		case <-f.nodes[0].Ready():
			t.Fatal("ready before anybody answered")
		default:
		}
		f.net.Heal()
		<-f.nodes[0].Ready()
		within(t, time.Minute, f.allSee(2))
		f.close()
	})
}

// recorder keeps events of one subscriber.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) add(e Event) { r.mu.Lock(); defer r.mu.Unlock(); r.events = append(r.events, e) }

func (r *recorder) types(id string) (list []EventType) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Member.ID == id {
			list = append(list, e.Type)
		}
	}
	return list
}

func TestEventsTellLeavingFromFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 1)
		var r recorder
		cancel := f.nodes[0].Subscribe(r.add)
		defer cancel()
		f.nodes = append(f.nodes, f.start(1, 1), f.start(2, 1))
		within(t, 5*time.Second, f.allSee(3))
		<-time.After(5 * time.Second)

		require.NoError(t, f.nodes[1].Leave(t.Context()))
		require.NoError(t, f.nodes[1].Close())
		require.ErrorIs(t, f.nodes[1].Leave(t.Context()), ErrClosed)
		require.NoError(t, f.nodes[2].Close())
		within(t, time.Minute, func() bool { return alive(f.nodes[0]) == 1 })
		synctest.Wait()
		require.Equal(t, []EventType{EventJoined, EventLeft}, r.types(nodeID(1)))
		require.Equal(t, []EventType{EventJoined, EventFailed}, r.types(nodeID(2)))
		require.Empty(t, r.types(nodeID(0)), "no events about oneself")
		require.Equal(t, Left, stateOf(f.nodes[0], nodeID(1)))

		back := f.start(2, 1)
		within(t, time.Minute, func() bool { return alive(f.nodes[0]) == 2 })
		synctest.Wait()
		require.Equal(t, []EventType{EventJoined, EventFailed, EventJoined}, r.types(nodeID(2)))
		require.NoError(t, back.Close())
		f.close()
	})
}

func TestKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, 3)
		within(t, 5*time.Second, f.allSee(3))
		next := bytes.Repeat([]byte{8}, KeyLen)
		steps := []func(*Gossip) error{
			func(g *Gossip) error { return g.InstallKey(next) },
			func(g *Gossip) error { return g.UseKey(next) },
			func(g *Gossip) error { return g.RemoveKey(testKey()) },
		}
		for _, step := range steps {
			for _, g := range f.nodes {
				require.NoError(t, step(g))
				<-time.After(20 * time.Second)
				require.True(t, f.allSee(3)())
			}
		}
		require.ErrorIs(t, f.nodes[0].InstallKey([]byte("short")), ErrConfig)
		f.close()
	})
}

func TestRestartAtAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, 3)
		within(t, 5*time.Second, f.allSee(3))
		require.NoError(t, f.nodes[2].Close())
		cfg := f.config(2, 3)
		require.NoError(t, cfg.Transport.Shutdown())
		moved, err := f.net.Transport("elsewhere")
		require.NoError(t, err)
		cfg.Transport = moved
		g, err := Start(t.Context(), cfg)
		require.NoError(t, err)
		f.nodes[2] = g
		want := g.Addr()
		took := within(t, 2*time.Minute, func() bool {
			m := f.nodes[0].Members()
			for _, m := range m {
				if m.ID == nodeID(2) && m.Addr == want && m.State == Alive {
					return true
				}
			}
			return false
		})
		t.Logf("the new address was accepted after %s", took)
		f.close()
	})
}
