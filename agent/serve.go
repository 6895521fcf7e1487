package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/blob/peer"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	"github.com/novacron/novacron/tsdb/federate/wire"
)

// nodes are the members of the cluster.
var nodes = []pki.Role{pki.RoleController, pki.RoleAgent}

// openAPI listens for controllers, who ask for consoles, for other agents, who fetch images, and for who sends metrics.
func (d *daemon) openAPI(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.cfg.Node.API)
	if err != nil {
		return err
	}
	d.api = tls.NewListener(listener, d.creds.PeerTLS(slices.Concat(nodes, metricWriters)...))
	limit := connect.WithReadMaxBytes(node.MaxMessageBytes)
	mux := http.NewServeMux()
	path, console := agentv1connect.NewHostAgentServiceHandler(hostService{d.machines}, limit)
	mux.Handle(path, only(console, pki.RoleController))
	path, storage := agentv1connect.NewStorageAgentServiceHandler(storageService{machines: d.machines, wants: d.wants}, limit)
	mux.Handle(path, only(storage, pki.RoleController))
	path, metrics := agentv1connect.NewMetricAgentServiceHandler(d.metricService(), limit)
	mux.Handle(path, only(metrics, pki.RoleController))
	if d.metrics != nil {
		service := d.shardService()
		service.Relaying = d.relaying()
		path, shards := wire.NewHandler(service, limit)
		mux.Handle(path, only(shards, pki.RoleController))
		// Another agent may bring the question of a controller, which it has to prove.
		mux.Handle(agentv1connect.ShardServiceEvaluateSealedProcedure, only(shards, nodes...))
		d.serveMetrics(mux)
	}
	path, blobs := agentv1connect.NewBlobServiceHandler(peer.Service{Store: d.blobs}, limit)
	mux.Handle(path, only(blobs, nodes...))
	d.takeMetrics(mux)
	d.server = node.APIServer(mux, d.logger)
	d.closers.Add(func(context.Context) error { return d.server.Close() })
	return nil
}

// only lets callers of some roles through.
func only(next http.Handler, roles ...pki.Role) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, err := pki.PeerIdentity(r.TLS); err != nil || !slices.Contains(roles, id.Role) {
			http.Error(w, fmt.Sprintf("only these roles may ask an agent for %s: %v", r.URL.Path, roles), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve works until the context ends or the API fails.
func (d *daemon) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := d.server.Serve(d.api); !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	})
	parts.Go(func() { _ = d.reconciler.Run(ctx) }) // ends with the context alone
	parts.Go(func() { d.networks.run(ctx) })
	parts.Go(func() { d.guests.run(ctx) })
	parts.Go(func() { _ = d.volumes.Run(ctx) }) // so does this
	parts.Go(func() { _ = d.link.run(ctx) })
	parts.Go(func() { d.limits.run(ctx) })
	parts.Go(func() { d.collectMetrics(ctx) })
	parts.Go(func() { d.forwards.Run(ctx) })
	parts.Go(func() { d.restProgram(ctx) })
	parts.Go(func() { d.shieldDedicated(ctx) })
	parts.Go(func() {
		if err := d.collectEvents(ctx); ctx.Err() == nil {
			d.logger.Warn("the hypervisor tells no events; changes are still seen by looking", "error", err)
		}
	})
	parts.Go(func() { _ = pki.RunRenewal(ctx, d.creds, d.renew, d.logger) })
	if d.cfg.Ready != nil {
		d.cfg.Ready(d.cfg.Node.API)
	}
	d.logger.Info("agent is up", "api", d.cfg.Node.API, "gossip", d.cfg.Node.Gossip, "version", d.cfg.Version)
	<-ctx.Done()
	_ = d.server.Close() // closed again by close, which tells
	parts.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// renew has any controller sign the new key.
func (d *daemon) renew(ctx context.Context, csr []byte) ([]byte, error) {
	var failures []error
	for _, address := range d.link.known() {
		client := novacronv1connect.NewClusterServiceClient(d.peers, node.URL(address))
		answer, err := client.RenewCertificate(ctx, connect.NewRequest(&novacronv1.RenewCertificateRequest{Csr: csr}))
		if err == nil {
			return answer.Msg.GetCertificate(), nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}
