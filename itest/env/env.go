// Package env runs whole clusters for tests: all members in one process on loopback, or each as a process on a host of a lab.
package env

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/agent"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
)

// Options describe a cluster in this process.
type Options struct {
	// Dir is an empty folder for the data of all members.
	Dir string
	// Controllers is how many controllers there are, at least 1, named controller-1 and so on.
	Controllers int
	// Agents is how many hosts there are, named host-1 and so on, each on a fake hypervisor.
	Agents int
	// Timing of elections; zero fields mean those of FastTiming.
	Timing consensus.Timing
	// Host shapes a fake hypervisor; nil means the default one. Its Fault and Latency are overridden by the Host's.
	Host func(name string) fake.Options
	// Agent gives a host its settings; nil means none.
	Agent func(name string) node.AgentConfig
	// Sources makes the collectors of a host's metric sources; nil means those of the release.
	Sources func(host string) agent.OpenSource
	// Blobs limits the store of images of every member.
	Blobs blob.Limits
	// Logger hears all members; nil means silence.
	Logger *slog.Logger
}

// Cluster is a cluster in this process. Its members keep their addresses and data when they are stopped and started.
// Its methods are safe for concurrent use.
type Cluster struct {
	// ID is the cluster's id.
	ID string

	options Options
	network network
	admin   pki.Material

	mu      sync.Mutex
	names   []string // in the order of joining
	members map[string]*Member
	clients []*Client
}

// startTimeout bounds how long a cluster may take until all of it is at work.
const startTimeout = time.Minute

// FastTiming elects in about a second, and still does on a machine that is busy with other tests.
func FastTiming() consensus.Timing {
	const beat = 500 * time.Millisecond
	return consensus.Timing{Heartbeat: beat, Election: beat, LeaderLease: beat, Commit: 5 * time.Millisecond}
}

// Start makes a new cluster by the way of every other one: the first controller is initialised, the others and the
// agents join it with tokens. It returns once all controllers vote and all hosts are up. Without an error the caller
// must Close.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	network, err := newNetwork(ctx)
	if err != nil {
		return nil, err
	}
	if options.Timing == (consensus.Timing{}) {
		options.Timing = FastTiming()
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{options: options, network: network, members: map[string]*Member{}}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.found(ctx); err != nil {
		return err
	}
	for i := 1; i < c.options.Controllers; i++ {
		if _, err := c.Add(ctx, fmt.Sprintf("controller-%d", i+1), pki.RoleController); err != nil {
			return err
		}
	}
	for i := range c.options.Agents {
		if _, err := c.Add(ctx, fmt.Sprintf("host-%d", i+1), pki.RoleAgent); err != nil {
			return err
		}
	}
	return c.Settle(ctx)
}

// found makes the first controller, and with it the cluster.
func (c *Cluster) found(ctx context.Context) error {
	const name = "controller-1"
	at := c.network.next()
	config, admin, err := node.Init(node.InitOptions{
		DataDir: filepath.Join(c.options.Dir, name), Name: name, Admin: "root", API: at.api, Raft: at.raft, Gossip: at.gossip,
	})
	if err != nil {
		return err
	}
	c.ID, c.admin = config.ClusterID, admin
	return c.add(ctx, &Member{Name: name, Role: pki.RoleController, Config: config, cluster: c})
}

// Add has a new controller or agent join, and starts it. It does not wait until the cluster makes use of it.
func (c *Cluster) Add(ctx context.Context, name string, role pki.Role) (*Member, error) {
	var joined node.Joined
	var err error
	wait := WaitFor(ctx, name+" to join", func(ctx context.Context) error {
		if joined, err = c.Enroll(ctx, name, role); connect.CodeOf(err) == connect.CodeUnavailable {
			return err // a busy machine loses a leader now and then
		}
		return nil
	})
	if err := cmp.Or(err, wait); err != nil {
		return nil, err
	}
	member := &Member{Name: name, Role: role, Config: joined.Config, cluster: c}
	if role == pki.RoleAgent {
		if member.Host, err = newHost(c.options.hostOptions(name)); err != nil {
			return nil, err
		}
	}
	return member, c.add(ctx, member)
}

func (c *Cluster) add(ctx context.Context, member *Member) error {
	c.mu.Lock()
	c.names = append(c.names, member.Name)
	c.members[member.Name] = member
	c.mu.Unlock()
	return member.Start(ctx)
}

func (o Options) hostOptions(name string) fake.Options {
	if o.Host == nil {
		return fake.Options{}
	}
	return o.Host(name)
}

func (o Options) agentConfig(name string) node.AgentConfig {
	config := node.AgentConfig{}
	if o.Agent != nil {
		config = o.Agent(name)
	}
	config.Driver = cmp.Or(config.Driver, "fake")
	return config
}

// Member finds a member by its name; there must be one.
func (c *Cluster) Member(name string) *Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[name]
}

// Members are all members of a role, in the order in which they joined, running or not.
func (c *Cluster) Members(role pki.Role) []*Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var members []*Member
	for _, name := range c.names {
		if c.members[name].Role == role {
			members = append(members, c.members[name])
		}
	}
	return members
}

// Close stops all members, the hosts first. The error joins theirs.
func (c *Cluster) Close() error {
	c.mu.Lock()
	clients := c.clients
	c.mu.Unlock()
	for _, client := range clients {
		client.HTTP.CloseIdleConnections()
	}
	return errors.Join(stopAll(c.Members(pki.RoleAgent)), stopAll(c.Members(pki.RoleController)))
}

func stopAll(members []*Member) error {
	errs := make([]error, len(members))
	var stopping sync.WaitGroup
	for i, member := range members {
		stopping.Go(func() { errs[i] = member.Stop() })
	}
	stopping.Wait()
	return errors.Join(errs...)
}
