package raft

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/novacron/novacron/cluster/consensus"
)

// counter is the state machine of the peer: it counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Apply(*hraft.Log) any { return c.n.Add(1) }

func (c *counter) ApplyBatch(logs []*hraft.Log) []any {
	out := make([]any, len(logs))
	for i := range logs {
		out[i] = c.n.Add(1)
	}
	return out
}

func (c *counter) Snapshot() (hraft.FSMSnapshot, error) { return count(c.n.Load()), nil }
func (c *counter) Restore(r io.ReadCloser) error        { return r.Close() }

// count is a snapshot of a counter.
type count int64

func (n count) Persist(sink hraft.SnapshotSink) error { return n.Write(sink) }
func (n count) Release()                              {}
func (n count) Write(w io.Writer) error {
	_, err := fmt.Fprintln(w, int64(n))
	return err
}

// bare is three nodes of the library with nothing of ours around them.
type bare struct {
	nodes  []*hraft.Raft
	closes []func() error
	lead   atomic.Pointer[hraft.Raft]
}

// newBare starts the peer with the settings that consensus uses.
func newBare(t *testing.T, dir string) *bare {
	b := &bare{}
	var servers []hraft.Server
	for i := range 3 {
		id := fmt.Sprintf("p%d", i)
		trans, err := hraft.NewTCPTransport("127.0.0.1:0", nil, 3, consensus.DefaultTiming().IO, io.Discard)
		require.NoError(t, err)
		servers = append(servers, hraft.Server{ID: hraft.ServerID(id), Address: trans.LocalAddr()})
		b.open(t, id, filepath.Join(dir, id), trans)
	}
	require.NoError(t, b.nodes[0].BootstrapCluster(hraft.Configuration{Servers: servers}).Error())
	b.await(t)
	return b
}

func (b *bare) await(t *testing.T) time.Time {
	require.Eventually(t, func() bool {
		for _, n := range b.nodes {
			if n.State() == hraft.Leader {
				b.lead.Store(n)
				return true
			}
		}
		return false
	}, 20*time.Second, time.Millisecond)
	return time.Now()
}

func (b *bare) open(t *testing.T, id, dir string, trans *hraft.NetworkTransport) {
	snaps, err := hraft.NewFileSnapshotStoreWithLogger(dir, consensus.DefaultSnapshotPolicy().Retain, hclog.NewNullLogger())
	require.NoError(t, err)
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path:        filepath.Join(dir, "raft.db"),
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	require.NoError(t, err)
	cache, err := hraft.NewLogCache(1024, bolt)
	require.NoError(t, err)
	n, err := hraft.NewRaft(bareConfig(id), &counter{}, cache, bolt, snaps, trans)
	require.NoError(t, err)
	b.nodes = append(b.nodes, n)
	b.closes = append(b.closes, func() error { return n.Shutdown().Error() }, bolt.Close)
}

func bareConfig(id string) *hraft.Config {
	timing, snaps := consensus.DefaultTiming(), consensus.DefaultSnapshotPolicy()
	c := hraft.DefaultConfig()
	c.LocalID = hraft.ServerID(id)
	c.HeartbeatTimeout, c.ElectionTimeout = timing.Heartbeat, timing.Election
	c.LeaderLeaseTimeout, c.CommitTimeout = timing.LeaderLease, timing.Commit
	c.MaxAppendEntries, c.NoLegacyTelemetry = 512, true
	c.SnapshotInterval, c.SnapshotThreshold, c.TrailingLogs = snaps.Interval, snaps.Threshold, snaps.Trailing
	c.Logger = hclog.NewNullLogger()
	return c
}

func (b *bare) commit(_ context.Context, cmd []byte) error {
	return b.lead.Load().Apply(cmd, 10*time.Second).Error()
}

func (b *bare) close(t *testing.T) {
	for _, c := range b.closes {
		require.NoError(t, c())
	}
}
