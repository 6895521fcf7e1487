package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/wire"
	"github.com/novacron/novacron/tsdb/shard"
)

// Host is a shard behind its server.
type Host struct {
	Name, URL string
	Shard     *shard.Shard

	fault  atomic.Pointer[Fault]
	relays atomic.Int64
	caller caller // of other hosts
	server *http.Server
	serves sync.WaitGroup
}

func startHost(ctx context.Context, options Options, n int) (*Host, error) {
	h, clock := &Host{Name: HostName(n)}, &clock{}
	var err error
	h.Shard, err = shard.Open(shard.Options{Dir: options.shardDir(n), Sync: time.Second, Maintain: -1, Clock: clock.now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := h.fill(ctx, options.Workload, n, clock); err != nil {
		return nil, errors.Join(err, h.Shard.Close())
	}
	if err := h.serve(ctx, options); err != nil {
		return nil, errors.Join(err, h.Shard.Close())
	}
	return h, nil
}

func (h *Host) fill(ctx context.Context, w Workload, n int, clock *clock) error {
	labels := make([]map[string]string, w.Machines)
	for machine := range labels {
		labels[machine] = w.Labels(n, machine)
	}
	for scrape := range w.Scrapes {
		clock.set(w.time(scrape))
		if err := h.Shard.StoreMetrics(ctx, w.Scrape(n, scrape, labels)); err != nil {
			return err
		}
	}
	clock.set(time.Time{})
	return nil
}

// serve answers as an agent does: for controllers, over mutual TLS, and for other agents that prove that a controller asks.
func (h *Host) serve(ctx context.Context, options Options) error {
	material, err := options.Authority.Material(h.Name, pki.RoleAgent)
	if err != nil {
		return err
	}
	credentials, err := pki.NewCredentials(material, pki.Options{})
	if err != nil {
		return err
	}
	if h.caller, err = newCaller(credentials, options.Network, h.Name, options.Patience); err != nil {
		return err
	}
	listener, err := options.Network.Listen(ctx, h.Name)
	if err != nil {
		return err
	}
	local := federate.Local{Host: h.Name, Store: h.Shard.Engine(), Query: h.Shard.Queries()}
	mux := http.NewServeMux()
	served := wire.Server{Shard: local, Summary: h.Shard.Summary, Relaying: wire.NewRelay(h.caller.direct)}
	path, shard := wire.NewHandler(served, connect.WithReadMaxBytes(node.MaxMessageBytes))
	mux.Handle(path, only(pki.RoleController, shard))
	mux.Handle(agentv1connect.ShardServiceEvaluateSealedProcedure, shard)
	h.URL = node.URL(listener.Addr().String())
	h.server = node.APIServer(h.counted(h.faulty(mux)), slog.New(slog.DiscardHandler))
	h.serves.Go(func() {
		_ = h.server.Serve(tls.NewListener(listener, credentials.PeerTLS(pki.RoleController, pki.RoleAgent))) // ends when it is closed
	})
	return nil
}

// Kill ends the server at once, as a process that dies does; its connections are reset.
func (h *Host) Kill() error {
	err := h.server.Close()
	h.serves.Wait()
	h.caller.close()
	return err
}

// Relayed is how many questions it was asked about other hosts.
func (h *Host) Relayed() int64 { return h.relays.Load() }

func (h *Host) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == agentv1connect.ShardServiceRelayProcedure {
			h.relays.Add(1)
		}
		next.ServeHTTP(w, r)
	})
}

// only lets callers of a role through.
func only(role pki.Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, err := pki.PeerIdentity(r.TLS); err != nil || id.Role != role {
			http.Error(w, "another role may ask", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Close ends the host.
func (h *Host) Close() error { return errors.Join(h.Kill(), h.Shard.Close()) }
