package node

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/novacron/novacron/cluster/gossip"
	"github.com/novacron/novacron/cluster/pki"
)

// Limits of a member's API port. There is no write timeout: it would cut streams.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	maxStreams     = 250
)

// shutdownTimeout bounds the orderly end of a member, leaveTimeout the good-bye to the others in it.
const (
	shutdownTimeout = 15 * time.Second
	leaveTimeout    = 2 * time.Second
)

// Step is one step of setting a member up.
type Step struct {
	Name string
	Run  func(context.Context) error
}

// RunSteps takes the steps in order, up to the first that fails.
func RunSteps(ctx context.Context, steps []Step) error {
	for _, step := range steps {
		if err := step.Run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.Name, err)
		}
	}
	return nil
}

// Closers end what a member opened.
type Closers struct{ funcs []func(context.Context) error }

// Add remembers how to end something.
func (c *Closers) Add(f func(context.Context) error) { c.funcs = append(c.funcs, f) }

// Close ends everything, what was opened last first, and goes on after an error.
func (c *Closers) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var errs []error
	for i := len(c.funcs) - 1; i >= 0; i-- {
		errs = append(errs, c.funcs[i](ctx))
	}
	return errors.Join(errs...)
}

// OpenKeys loads a member's keys. Nodes that revoked names are refused, and every refusal is logged for the audit.
func (c Config) OpenKeys(revoked func(nodeID string) bool, logger *slog.Logger) (*pki.Credentials, error) {
	material, err := pki.LoadMaterial(c.PKIDir())
	if err != nil {
		return nil, err
	}
	return pki.NewCredentials(material, pki.Options{
		Dir:     c.PKIDir(),
		Revoked: func(nodeID, _ string) bool { return revoked(nodeID) },
		Refused: func(remote string, id pki.Identity, reason error) {
			logger.Warn("a handshake was refused", "audit", true, "remote", remote, "claimed", id.String(), "reason", reason)
		},
	})
}

// PeerClient dials members of any node role; closers end its connections.
func PeerClient(creds *pki.Credentials, closers *Closers) *http.Client {
	client := HTTPClient(creds.ClientTLS(pki.RoleController, pki.RoleAgent))
	closers.Add(func(context.Context) error { client.CloseIdleConnections(); return nil })
	return client
}

// JoinGossip takes part in the gossip until closers end it.
func (c Config) JoinGossip(ctx context.Context, version string, key []byte, seeds func() []string, logger *slog.Logger, closers *Closers) (*gossip.Gossip, error) {
	g, err := gossip.Start(ctx, gossip.Config{
		ID: c.NodeID, Name: c.Name, Role: string(c.Role), Version: version,
		BindAddr: c.Gossip, Key: key, Seeds: seeds, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	closers.Add(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
		defer cancel()
		if err := g.Leave(ctx); err != nil { // the others see a failure instead, which ends the same
			logger.Debug("the good-bye was not heard", "error", err)
		}
		return g.Close()
	})
	return g, nil
}

// APIServer serves a member's API within the limits of its port.
func APIServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: log.New(handshakes{logger}, "", 0),
	}
}

// handshakes takes the server's complaints about connections that came to nothing.
type handshakes struct{ logger *slog.Logger }

func (h handshakes) Write(line []byte) (int, error) {
	h.logger.Debug("connection", "error", string(line))
	return len(line), nil
}
