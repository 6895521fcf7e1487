// Package controller is the quorum daemon: it replicates the cluster's intent, serves the API and, while it leads, turns intent into placements.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/gossip"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/cluster/telemetry"
	"github.com/novacron/novacron/controller/loop"
	"github.com/novacron/novacron/controller/rpc"
	"github.com/novacron/novacron/controller/state"
)

// Config is what a controller needs to run.
type Config struct {
	Node    node.Config
	Version string
	Logger  *slog.Logger
	// Timing of elections; zero fields mean the defaults.
	Timing consensus.Timing
	// Blobs limits the store of images.
	Blobs blob.Limits
	// OnStall ends the process when the disk hangs while this controller leads. It must not return.
	OnStall func(op string, d time.Duration)
	// Ready, when set, is told once the API listens.
	Ready func(address string)
}

// Run runs a controller until its context ends, then hands leadership over and stops in order.
func Run(ctx context.Context, cfg Config) error {
	d, err := open(ctx, cfg)
	if err != nil {
		return errors.Join(fmt.Errorf("controller %s: %w", cfg.Node.Name, err), d.closers.Close())
	}
	return errors.Join(d.serve(ctx), d.closers.Close())
}

// daemon is a controller in the making and at work. What is open is closed in the reverse order.
type daemon struct {
	cfg     Config
	logger  *slog.Logger
	creds   *pki.Credentials
	ca      *pki.CA
	store   *state.Store
	blobs   *blob.Store
	raft    *consensus.Node
	gossip  *gossip.Gossip
	peers   *http.Client
	api     net.Listener
	rpc     *rpc.Server
	server  *http.Server
	hangUp  atomic.Pointer[http.Server]
	live    *loop.Liveness
	shares  *loop.MetricShares
	fatal   chan error
	metrics rpc.Metrics
	// own is what this controller tells of itself.
	own     *telemetry.Registry
	closers node.Closers
}

func open(ctx context.Context, cfg Config) (*daemon, error) {
	d := &daemon{cfg: cfg, logger: cfg.Logger.With("node", cfg.Node.Name), store: state.New(), fatal: make(chan error, 1), own: telemetry.New(cfg.Version)}
	return d, node.RunSteps(ctx, []node.Step{
		{Name: "load the keys", Run: d.openKeys},
		{Name: "open the blob store", Run: d.openBlobs},
		{Name: "open the replicated log", Run: d.openConsensus},
		{Name: "start the cluster", Run: d.bootstrap},
		{Name: "join the gossip", Run: d.openGossip},
		{Name: "prepare to ask for metrics", Run: d.openMetrics},
		{Name: "listen for the API", Run: d.openAPI},
	})
}

func (d *daemon) openKeys(context.Context) (err error) {
	if d.creds, err = d.cfg.Node.OpenKeys(d.store.IsRevoked, d.logger); err != nil {
		return err
	}
	d.peers = node.PeerClient(d.creds, &d.closers)
	d.ca, err = d.creds.Material().CA()
	return err
}

func (d *daemon) openBlobs(context.Context) (err error) {
	if d.blobs, err = blob.Open(d.cfg.Node.BlobDir(), d.cfg.Blobs); err != nil {
		return err
	}
	d.closers.Add(func(context.Context) error { return d.blobs.Close() })
	return nil
}

func (d *daemon) openGossip(ctx context.Context) (err error) {
	d.gossip, err = d.cfg.Node.JoinGossip(ctx, d.cfg.Version, d.creds.Material().GossipKey, d.seeds, d.logger, &d.closers)
	return err
}

// seeds are all gossip addresses that are known, now and from the day of joining.
func (d *daemon) seeds() []string {
	seeds := append([]string(nil), d.cfg.Node.Seeds...)
	for id, member := range d.store.View().Members() {
		if id != d.cfg.Node.NodeID {
			seeds = append(seeds, member.GetGossipAddress())
		}
	}
	return seeds
}

func (d *daemon) gossipState(memberID string) string {
	for _, member := range d.gossip.Members() {
		if member.ID == memberID {
			return string(member.State)
		}
	}
	return "unknown"
}

func (d *daemon) apiServer() *rpc.Server {
	return &rpc.Server{
		Self: d.creds.Identity(), Version: d.cfg.Version, Store: d.store, Consensus: d.raft, Credentials: d.creds, CA: d.ca,
		Blobs: d.blobs, Beats: d.live, Series: d.shares, Metrics: d.metrics, Gossip: d.gossipState, Peers: d.peers, Logger: d.logger,
		Now: time.Now, NewID: uuid.NewString, NewMAC: newMAC, Throttle: pki.NewThrottle(joinFailures, joinWindow, joinRemotes),
	}
}
