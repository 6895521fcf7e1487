package raft

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/consensus"
)

// tally is the state machine of our side: it counts, too.
type tally struct{ n atomic.Int64 }

func (c *tally) Apply(uint64, []byte) any              { return c.n.Add(1) }
func (c *tally) Snapshot() (consensus.Snapshot, error) { return count(c.n.Load()), nil }
func (c *tally) Restore(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// layered is three nodes of cluster/consensus.
type layered struct {
	nodes []*consensus.Node
	lead  atomic.Pointer[consensus.Node]
}

func newLayered(t *testing.T, dir string) *layered {
	l := &layered{}
	var servers []consensus.Server
	for i := range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		id := fmt.Sprintf("o%d", i)
		n, err := consensus.Open(consensus.Config{
			ID: id, AdvertiseAddr: ln.Addr().String(), DataDir: filepath.Join(dir, id), Listener: ln,
			Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			},
			Logger: slog.New(slog.DiscardHandler),
		}, &tally{})
		require.NoError(t, err)
		l.nodes = append(l.nodes, n)
		servers = append(servers, consensus.Server{ID: id, Addr: ln.Addr().String(), Voter: true})
	}
	require.NoError(t, l.nodes[0].Bootstrap(servers))
	l.await(t)
	return l
}

func (l *layered) await(t *testing.T) time.Time {
	require.Eventually(t, func() bool {
		for _, n := range l.nodes {
			if n.IsLeader() {
				l.lead.Store(n)
				return true
			}
		}
		return false
	}, 20*time.Second, time.Millisecond)
	return time.Now()
}

func (l *layered) commit(ctx context.Context, cmd []byte) error {
	_, _, err := l.lead.Load().Propose(ctx, cmd)
	return err
}

func (l *layered) close(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, n := range l.nodes {
		require.NoError(t, n.Close(ctx))
	}
}
