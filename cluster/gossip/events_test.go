package gossip

import (
	"fmt"
	"log/slog"
	"net"
	"testing"

	"github.com/google/uuid"
	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func testNode(t require.TestingT, i int, leaving bool) *memberlist.Node {
	b, err := meta{id: uuid.MustParse(nodeID(i)), role: "agent", version: "1", leaving: leaving}.encode()
	require.NoError(t, err)
	return &memberlist.Node{Name: nodeID(i), Addr: net.IPv4(10, 0, 0, byte(i+1)).To4(), Port: 7946, Meta: b}
}

// However many events are dropped, what a subscriber believes in the end is what Members tells.
func TestSubscribersEndUpWithTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(rapid.IntRange(1, 5).Draw(t, "queue"))
		table := newTable(nodeID(0), q)
		d := newDispatcher(table, q, slog.New(slog.DiscardHandler))
		believed := map[string]State{}
		d.subscribe(func(e Event) { believed[e.Member.ID] = e.Member.State })
		kinds := rapid.SampledFrom([]EventType{EventJoined, EventFailed, EventUpdated})
		for i := range rapid.IntRange(0, 40).Draw(t, "steps") {
			n := testNode(t, rapid.IntRange(0, 4).Draw(t, "node"), rapid.Bool().Draw(t, "leaving"))
			table.set(kinds.Draw(t, fmt.Sprint("kind", i)), n)
			if rapid.Bool().Draw(t, "drain") {
				d.drain()
			}
		}
		d.drain()
		for _, m := range table.list() {
			if m.ID != table.self {
				require.Equal(t, m.State, believed[m.ID])
			}
		}
		require.NotContains(t, believed, table.self)
	})
}

func TestDropsAreToldAndEventsMarked(t *testing.T) {
	q := newQueue(1)
	table := newTable(nodeID(0), q)
	d := newDispatcher(table, q, slog.New(slog.DiscardHandler))
	var r recorder
	cancel := d.subscribe(r.add)
	for i := range 4 {
		table.set(EventJoined, testNode(t, i+1, false))
	}
	d.drain()
	require.Equal(t, uint64(3), q.droppedCount())
	require.Len(t, r.events, 4)
	require.False(t, r.events[0].Resync)
	require.True(t, r.events[3].Resync)
	cancel()
	table.set(EventFailed, testNode(t, 1, false))
	d.drain()
	require.Len(t, r.events, 4, "cancelled")
}

func TestGoneMembersAreBounded(t *testing.T) {
	table := newTable(nodeID(0), newQueue(1))
	for i := range maxGone + 100 {
		table.set(EventFailed, testNode(t, i, false))
	}
	require.Len(t, table.list(), maxGone)
}
