// Package agent is the per-host daemon: it watches what the cluster wants of its host, makes it so and reports what is.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/custom"
	"github.com/novacron/novacron/agent/forwards"
	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/jobs"
	"github.com/novacron/novacron/agent/reconcile"
	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/fault"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/shard"
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
	// Sources makes the collectors of the cluster's sources; nil means those of this release.
	Sources OpenSource
	// Ready, when set, is told once the API listens.
	Ready func(address string)
}

// Run runs an agent until its context ends. Guests run on.
func Run(ctx context.Context, cfg Config) error {
	d, err := open(ctx, cfg)
	if err != nil {
		return errors.Join(fmt.Errorf("agent %s: %w", cfg.Node.Name, err), d.closers.Close())
	}
	return errors.Join(d.serve(ctx), d.closers.Close())
}

// daemon is an agent in the making and at work. What is open is closed in the reverse order.
type daemon struct {
	cfg        Config
	logger     *slog.Logger
	creds      *pki.Credentials
	blobs      *blob.Store
	machines   *hypervisor.Manager
	reconciler *reconcile.Reconciler
	networks   *networks
	volumes    *reconcile.Volumes
	guests     *guestWatch
	link       *link
	peers      *http.Client
	api        net.Listener
	server     *http.Server
	revoked    revocations
	events     *eventQueue
	// shieldSoon holds one wish at most.
	shieldSoon chan struct{}
	// metrics are those of this host; nil where they cannot be kept.
	metrics *shard.Shard
	// limits is nil where metrics is.
	limits *seriesLimits
	// survey counts the series of metrics; nil where those are.
	survey *federate.LocalSurvey
	// registry is of all metrics that may be stored here, receiver takes those that others send.
	registry *collect.Registry
	receiver *custom.Receiver
	// own is what this agent tells of itself.
	own *ownMetrics
	// runner is nil where metrics is.
	runner   *collect.Runner
	jobs     *jobs.Manager
	forwards *forwards.Manager
	closers  node.Closers
}

func open(ctx context.Context, cfg Config) (*daemon, error) {
	d := &daemon{cfg: cfg, logger: cfg.Logger.With("node", cfg.Node.Name), events: newEventQueue(), shieldSoon: make(chan struct{}, 1)}
	d.closers.Add(func(context.Context) error { return cfg.Driver.Close() })
	return d, node.RunSteps(ctx, []node.Step{
		{Name: "load the keys", Run: d.openKeys},
		{Name: "open the blob store", Run: d.openBlobs},
		{Name: "open the hypervisor", Run: d.openMachines},
		{Name: "open the metrics", Run: d.openMetrics},
		{Name: "open the queues of forwards", Run: d.openForwards},
		{Name: "prepare to collect", Run: d.openCollecting},
		{Name: "join the gossip", Run: d.openGossip},
		{Name: "listen for the API", Run: d.openAPI},
	})
}

func (d *daemon) openKeys(context.Context) (err error) {
	if d.creds, err = d.cfg.Node.OpenKeys(d.revoked.has, d.logger); err != nil {
		return err
	}
	d.peers = node.PeerClient(d.creds, &d.closers)
	return nil
}

func (d *daemon) openBlobs(context.Context) (err error) {
	if d.blobs, err = blob.Open(d.cfg.Node.BlobDir(), d.cfg.Blobs); err != nil {
		return err
	}
	d.closers.Add(func(context.Context) error { return d.blobs.Close() })
	return nil
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
		Controllers: d.cfg.Node.Controllers, TLS: d.creds.ClientTLS(pki.RoleController), Logger: d.logger, Faults: d.cfg.Faults,
		Report: d.report, Reported: d.reported, Desired: d.takeDesired, Learned: d.rememberControllers,
	})
	d.guests = newGuestWatch(d.machines, d.link.reportSoon, d.logger)
	d.networks = newNetworks(hypervisor.NewNetworkKeeper(d.cfg.Driver, d.cfg.Node.ClusterID, d.logger), d.machines.HostFacts, d.link.reportSoon, d.logger)
	d.reconciler = reconcile.New(reconcile.Config{
		Machines: d.machines, ClusterID: d.cfg.Node.ClusterID, Images: d.imagesOf, Changed: d.link.reportSoon, Logger: d.logger,
		VolumeProject: func(id string) (string, bool) { return d.volumes.Project(id) },
		Prepare:       d.networks.prepare, HostBooted: d.hostBooted(), BootSettled: d.bootSettled,
	})
	d.volumes = reconcile.NewVolumes(reconcile.VolumesConfig{
		Maker: d.machines, Content: d.contentOf, Changed: d.link.reportSoon, Logger: d.logger,
	})
	return nil
}

func (d *daemon) openGossip(ctx context.Context) error {
	seeds := func() []string { return d.cfg.Node.Seeds }
	_, err := d.cfg.Node.JoinGossip(ctx, d.cfg.Version, d.creds.Material().GossipKey, seeds, d.logger, &d.closers)
	return err
}

// imagesOf is where a machine's images come from: this host's store, filled from the peers.
func (d *daemon) imagesOf(vm *novacronv1.VM) hypervisor.ImageSource {
	return imageSource{daemon: d, refs: vm.GetImages()}
}
