package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/loop"
	"github.com/novacron/novacron/controller/rpc"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// drainTimeout is how long short calls may take to end.
const drainTimeout = 3 * time.Second

func (d *daemon) openAPI(ctx context.Context) error {
	d.live = &loop.Liveness{Store: d.store, Log: d.raft, Now: time.Now, Logger: d.logger}
	d.shares = &loop.MetricShares{Store: d.store, Log: d.raft, Now: time.Now, Logger: d.logger}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.cfg.Node.API)
	if err != nil {
		return err
	}
	d.api = tls.NewListener(listener, d.creds.ServerTLS())
	d.rpc = d.apiServer()
	d.server = node.APIServer(d.own.Calls(d.rpc.Handler(), rpc.Procedure), d.logger)
	d.hangUp.Store(d.server)
	d.closers.Add(d.closeAPI)
	return nil
}

// closeAPI lets short calls end, then cuts the streams: their callers go on at another controller.
func (d *daemon) closeAPI(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		return d.server.Close()
	}
	return nil
}

// serve works until the context ends or something fails for good.
func (d *daemon) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	changes, unsubscribe := d.raft.Leadership()
	defer unsubscribe()
	parts := newGroup(cancel)
	parts.run(func() error { return d.server.Serve(d.api) })
	parts.run(func() error { loop.Supervise(ctx, changes, d.loops(), d.logger); return nil })
	parts.run(func() error { return d.replicateImages(ctx) })
	parts.run(func() error { return pki.RunRenewal(ctx, d.creds, d.renew, d.logger) })
	if d.cfg.Ready != nil {
		d.cfg.Ready(d.cfg.Node.API)
	}
	d.logger.Info("controller is up", "api", d.cfg.Node.API, "raft", d.cfg.Node.Raft, "gossip", d.cfg.Node.Gossip, "version", d.cfg.Version)
	select {
	case <-ctx.Done():
	case err := <-d.fatal:
		cancel(err)
	}
	_ = d.closeAPI(context.Background()) // closed again by close, which tells
	parts.wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (d *daemon) loops() []loop.Loop {
	placer := &loop.Placer{Store: d.store, Log: d.raft, Now: time.Now}
	members := &loop.Membership{Store: d.store, Quorum: d.raft, Logger: d.logger,
		Applied: func(ctx context.Context, member *novacronv1.Member) (uint64, error) {
			return rpc.AppliedIndex(ctx, d.peers, member)
		}}
	drainer := &loop.Drainer{Store: d.store, Log: d.raft, Now: time.Now, NewID: uuid.NewString}
	sources := &loop.MetricSources{Store: d.store, Log: d.raft, Now: time.Now, Logger: d.logger}
	loops := []loop.Loop{placer.Loop(), d.live.Loop(), members.Loop(), drainer.Loop(), sources.Loop(), d.shares.Loop()}
	if d.cfg.Node.Bootstrap {
		loops = append(loops, loop.Loop{Name: "found", Run: func(ctx context.Context) error {
			if err := d.found(ctx); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}})
	}
	return loops
}

// renew signs the new key here: a controller holds the CA, and must not depend on a quorum to stay a member of one.
func (d *daemon) renew(_ context.Context, csr []byte) ([]byte, error) {
	return d.ca.Sign(csr, d.creds.Identity(), nil, 0, time.Now())
}
