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

// shutdownTimeout bounds the orderly end, leaveTimeout the good-bye to the other members in it.
const (
	shutdownTimeout = 15 * time.Second
	leaveTimeout    = 2 * time.Second
)

// Run runs a controller until its context ends, then hands leadership over and stops in order.
func Run(ctx context.Context, cfg Config) error {
	d, err := open(ctx, cfg)
	if err != nil {
		return errors.Join(fmt.Errorf("controller %s: %w", cfg.Node.Name, err), d.close())
	}
	return errors.Join(d.serve(ctx), d.close())
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
	fatal   chan error
	closers []func(context.Context) error
}

func open(ctx context.Context, cfg Config) (*daemon, error) {
	d := &daemon{cfg: cfg, logger: cfg.Logger.With("node", cfg.Node.Name), store: state.New(), fatal: make(chan error, 1)}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"load the keys", d.openKeys},
		{"open the blob store", d.openBlobs},
		{"open the replicated log", d.openConsensus},
		{"start the cluster", d.bootstrap},
		{"join the gossip", d.openGossip},
		{"listen for the API", d.openAPI},
	} {
		if err := step.run(ctx); err != nil {
			return d, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return d, nil
}

func (d *daemon) onClose(f func(context.Context) error) { d.closers = append(d.closers, f) }

func (d *daemon) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		began := time.Now()
		errs = append(errs, d.closers[i](ctx))
		d.logger.Debug("closed", "part", i, "took", time.Since(began))
	}
	return errors.Join(errs...)
}

func (d *daemon) openKeys(context.Context) error {
	material, err := pki.LoadMaterial(d.cfg.Node.PKIDir())
	if err != nil {
		return err
	}
	if d.ca, err = material.CA(); err != nil {
		return err
	}
	d.creds, err = pki.NewCredentials(material, pki.Options{
		Dir:     d.cfg.Node.PKIDir(),
		Revoked: func(nodeID, _ string) bool { return d.store.IsRevoked(nodeID) },
		Refused: func(remote string, id pki.Identity, reason error) {
			d.logger.Warn("a handshake was refused", "audit", true, "remote", remote, "claimed", id.String(), "reason", reason)
		},
	})
	if err != nil {
		return err
	}
	d.peers = node.HTTPClient(d.creds.ClientTLS(pki.RoleController, pki.RoleAgent))
	d.onClose(func(context.Context) error { d.peers.CloseIdleConnections(); return nil })
	return nil
}

func (d *daemon) openBlobs(context.Context) (err error) {
	d.blobs, err = blob.Open(d.cfg.Node.BlobDir(), d.cfg.Blobs)
	return err
}

func (d *daemon) openGossip(ctx context.Context) (err error) {
	d.gossip, err = gossip.Start(ctx, gossip.Config{
		ID: d.cfg.Node.NodeID, Name: d.cfg.Node.Name, Role: string(pki.RoleController), Version: d.cfg.Version,
		BindAddr: d.cfg.Node.Gossip, Key: d.creds.Material().GossipKey, Seeds: d.seeds, Logger: d.logger,
	})
	if err != nil {
		return err
	}
	d.onClose(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
		defer cancel()
		if err := d.gossip.Leave(ctx); err != nil { // the others see a failure instead, which ends the same
			d.logger.Debug("the good-bye was not heard", "error", err)
		}
		return d.gossip.Close()
	})
	return nil
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
		Blobs: d.blobs, Beats: d.live, Gossip: d.gossipState, Peers: d.peers, Logger: d.logger,
		Now: time.Now, NewID: uuid.NewString, NewMAC: newMAC, Throttle: pki.NewThrottle(joinFailures, joinWindow, joinRemotes),
	}
}
