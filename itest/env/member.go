package env

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/novacron/novacron/agent"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller"
)

// Version is what the members of a cluster in this process call themselves.
const Version = "0.0.0-test"

// Member is a controller or an agent.
type Member struct {
	Name   string
	Role   pki.Role
	Config node.Config
	// Host is what an agent runs on; nil for a controller.
	Host *Host

	cluster *Cluster
	mu      sync.Mutex
	run     *run // nil while it is stopped
}

// run is one life of a member.
type run struct {
	cancel context.CancelFunc
	done   chan struct{} // closed once err is set
	err    error
}

// Start runs the member and returns once its API listens.
func (m *Member) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run != nil {
		return fmt.Errorf("%s runs already", m.Name)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r, ready := &run{cancel: cancel, done: make(chan struct{})}, make(chan string, 1)
	go func() {
		defer close(r.done)
		r.err = m.serve(life, func(address string) { ready <- address })
	}()
	select {
	case <-ready:
		m.run = r
		return nil
	case <-r.done:
		cancel()
		return fmt.Errorf("%s ended: %w", m.Name, r.err)
	case <-ctx.Done():
		cancel()
		<-r.done
		return fmt.Errorf("%s did not start: %w", m.Name, ctx.Err())
	}
}

func (m *Member) serve(ctx context.Context, ready func(string)) error {
	options := m.cluster.options
	config, err := node.Load(m.Config.DataDir)
	if err != nil {
		return err
	}
	if m.Role == pki.RoleController {
		return controller.Run(ctx, controller.Config{
			Node: config, Version: Version, Logger: options.Logger, Timing: options.Timing, Blobs: options.Blobs, Ready: ready,
			OnStall: func(op string, d time.Duration) { panic(fmt.Sprintf("%s hung for %s", op, d)) },
		})
	}
	hosted := agent.Config{
		Node: config, Version: Version, Logger: options.Logger, Driver: m.Host.Driver, Faults: m.Host.Faults, Blobs: options.Blobs, Ready: ready,
	}
	if options.Sources != nil {
		hosted.Sources = options.Sources(m.Name)
	}
	return agent.Run(ctx, hosted)
}

// Stop ends the member and waits for its end. Stopping one that is stopped does nothing.
func (m *Member) Stop() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return nil
	}
	r := m.run
	m.run = nil
	r.cancel()
	<-r.done
	if r.err != nil {
		return fmt.Errorf("%s ended: %w", m.Name, r.err)
	}
	return nil
}

// Restart stops the member and starts it again.
func (m *Member) Restart(ctx context.Context) error {
	if err := m.Stop(); err != nil {
		return err
	}
	return m.Start(ctx)
}

// Running tells whether the member runs.
func (m *Member) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run != nil
}

// Material is the member's proof of who it is.
func (m *Member) Material() (pki.Material, error) { return pki.LoadMaterial(m.Config.PKIDir()) }
