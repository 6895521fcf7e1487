// Package agent is the per-host daemon: it watches what the cluster wants of its host, makes it so and reports what is.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/reconcile"
	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/gossip"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/fault"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Config is what an agent needs to run.
type Config struct {
	Node    node.Config
	Version string
	Logger  *slog.Logger
	// Driver is the hypervisor; the agent closes it.
	Driver hypervisor.Driver
	// Blobs limits the store of fetched images.
	Blobs blob.Limits
	// Faults are fail points for tests; nil means none.
	Faults *fault.Registry
	// Ready, when set, is told once the API listens.
	Ready func(address string)
}

// shutdownTimeout bounds the orderly end, leaveTimeout the good-bye to the other members in it.
const (
	shutdownTimeout = 15 * time.Second
	leaveTimeout    = 2 * time.Second
)

// Run runs an agent until its context ends. Guests run on.
func Run(ctx context.Context, cfg Config) error {
	d, err := open(ctx, cfg)
	if err != nil {
		return errors.Join(fmt.Errorf("agent %s: %w", cfg.Node.Name, err), d.close())
	}
	return errors.Join(d.serve(ctx), d.close())
}

// daemon is an agent in the making and at work. What is open is closed in the reverse order.
type daemon struct {
	cfg        Config
	logger     *slog.Logger
	creds      *pki.Credentials
	blobs      *blob.Store
	machines   *hypervisor.Manager
	reconciler *reconcile.Reconciler
	link       *link
	gossip     *gossip.Gossip
	peers      *http.Client
	api        net.Listener
	server     *http.Server
	revoked    revocations
	events     *eventQueue
	closers    []func(context.Context) error
}

func open(ctx context.Context, cfg Config) (*daemon, error) {
	d := &daemon{cfg: cfg, logger: cfg.Logger.With("node", cfg.Node.Name), events: newEventQueue()}
	d.onClose(func(context.Context) error { return cfg.Driver.Close() })
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"load the keys", d.openKeys},
		{"open the blob store", d.openBlobs},
		{"open the hypervisor", d.openMachines},
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
	d.creds, err = pki.NewCredentials(material, pki.Options{
		Dir:     d.cfg.Node.PKIDir(),
		Revoked: func(nodeID, _ string) bool { return d.revoked.has(nodeID) },
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

// rememberControllers keeps the way back to the cluster for the next start.
func (d *daemon) rememberControllers(controllers []string) {
	next := d.cfg.Node
	next.Controllers = controllers
	if err := next.Save(); err != nil {
		d.logger.Warn("the new controllers could not be remembered", "error", err)
	}
}

func (d *daemon) openMachines(context.Context) (err error) {
	d.machines, err = hypervisor.New(hypervisor.Config{
		Driver: d.cfg.Driver, ClusterID: d.cfg.Node.ClusterID, JournalDir: d.cfg.Node.JournalDir(), Faults: d.cfg.Faults, Logger: d.logger,
	})
	if err != nil {
		return err
	}
	d.link = newLink(linkConfig{
		Controllers: d.cfg.Node.Controllers, TLS: d.creds.ClientTLS(pki.RoleController), Logger: d.logger,
		Report: d.report, Reported: d.reported, Desired: d.takeDesired, Learned: d.rememberControllers,
	})
	d.reconciler = reconcile.New(reconcile.Config{
		Machines: d.machines, ClusterID: d.cfg.Node.ClusterID, Images: d.imagesOf, Changed: d.link.reportSoon, Logger: d.logger,
	})
	return nil
}

func (d *daemon) openGossip(ctx context.Context) (err error) {
	d.gossip, err = gossip.Start(ctx, gossip.Config{
		ID: d.cfg.Node.NodeID, Name: d.cfg.Node.Name, Role: string(pki.RoleAgent), Version: d.cfg.Version,
		BindAddr: d.cfg.Node.Gossip, Key: d.creds.Material().GossipKey,
		Seeds: func() []string { return d.cfg.Node.Seeds }, Logger: d.logger,
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

// imagesOf is where a machine's images come from: this host's store, filled from the peers.
func (d *daemon) imagesOf(vm *novacronv1.VM) hypervisor.ImageSource {
	return imageSource{daemon: d, refs: vm.GetImages()}
}
