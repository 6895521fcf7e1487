package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/cluster/node"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// defaultDataDir is where a member of the cluster keeps everything.
const defaultDataDir = "/var/lib/novacron"

// nodeFlags say who this machine is in the cluster.
type nodeFlags struct {
	dataDir, name, address string
	api, raft, gossip      string
}

func (f *nodeFlags) register(fs *pflag.FlagSet) {
	hostname, _ := os.Hostname() // without one, --name must say it
	name, _, _ := strings.Cut(hostname, ".")
	fs.StringVar(&f.dataDir, "data-dir", defaultDataDir, "`folder` where this member keeps everything")
	fs.StringVar(&f.name, "name", name, "`name` in the cluster")
	fs.StringVar(&f.address, "address", "", "`host` name or IP address at which the others reach this machine")
	fs.StringVar(&f.api, "api", "", "API address, `host:port` (default the address with port "+node.PortAPI+")")
	fs.StringVar(&f.raft, "raft", "", "Raft address of a controller, `host:port` (default the address with port "+node.PortRaft+")")
	fs.StringVar(&f.gossip, "gossip", "", "gossip address, `host:port` (default the address with port "+node.PortGossip+")")
}

// fill makes the addresses that were not given from the one that was.
func (f *nodeFlags) fill() {
	for _, a := range []struct {
		to   *string
		port string
	}{{&f.api, node.PortAPI}, {&f.raft, node.PortRaft}, {&f.gossip, node.PortGossip}} {
		if *a.to == "" && f.address != "" {
			*a.to = net.JoinHostPort(f.address, a.port)
		}
	}
}

func (a *app) clusterInit() *cobra.Command {
	var f nodeFlags
	var admin string
	cmd := &cobra.Command{
		Use: "init", Short: "Make a new cluster with this machine as its first controller", Args: cobra.NoArgs,
		Long: `Make a new cluster: its certificate authority, its keys, this machine's data directory and, in the client configuration,
a context for you as its first administrator. Nothing is started.

  novacron cluster init --address 10.0.0.1
  novacron controller --data-dir /var/lib/novacron`,
		RunE: func(*cobra.Command, []string) error {
			if f.fill(); f.api == "" || f.raft == "" || f.gossip == "" {
				return usageError{errors.New("--address is needed: where the others reach this machine"), addressHint()}
			}
			return a.initCluster(&f, admin)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&admin, "admin", "admin", "`name` of the first administrator")
	return cmd
}

func (a *app) initCluster(f *nodeFlags, admin string) error {
	path, cfg, err := a.loadConfig() // a bad file shows before anything is made
	if err != nil {
		return err
	}
	member, material, err := node.Init(node.InitOptions{
		DataDir: f.dataDir, Name: f.name, API: f.api, Raft: f.raft, Gossip: f.gossip, Admin: admin,
	})
	if err != nil {
		return err
	}
	name := a.contextName(cfg, material)
	if err := SaveContext(path, NewContext(name, []string{member.API}, material)); err != nil {
		return fmt.Errorf("the cluster is made, but not the context: %w", err)
	}
	a.tell("cluster %s is made; context %q in %s is yours", member.ClusterID, name, path)
	a.tell("start it with `novacron controller --data-dir %s`", f.dataDir)
	return nil
}

func (a *app) clusterJoin() *cobra.Command {
	var f nodeFlags
	var token string
	var agent node.AgentConfig
	var labels pairs
	cmd := &cobra.Command{
		Use: "join CONTROLLER...", Short: "Join a cluster with a token", Args: cobra.MinimumNArgs(1),
		Long: `Join the cluster of the controllers named, host:port. The token decides as what: for a controller or an agent this machine's
data directory is prepared and nothing is started; for an admin, an operator or a viewer a context is written into the client configuration.

  novacron cluster join 10.0.0.1:7750 --token - <token.txt
  novacron agent --data-dir /var/lib/novacron`,
		RunE: func(cmd *cobra.Command, controllers []string) error {
			secret, err := a.joinToken(token)
			if err != nil {
				return err
			}
			agent.Labels = labels
			if f.address == "" {
				f.address = addressTowards(controllers[0])
			}
			if f.fill(); !cmd.Flags().Changed("data-dir") {
				f.dataDir = a.freeDataDir(f.dataDir)
			}
			return a.joinCluster(cmd.Context(), node.JoinOptions{
				DataDir: f.dataDir, Name: f.name, Token: secret, Controllers: controllers,
				API: f.api, Raft: f.raft, Gossip: f.gossip, Agent: agent,
			})
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&token, "token", "", "join `token`; - reads standard input, where no list of processes shows it")
	cmd.Flags().Var(&labels, "label", "label of this host, for placement (repeatable)")
	cmd.Flags().StringVar(&agent.Driver, "driver", "", "hypervisor `driver` of an agent: libvirt or fake")
	cmd.Flags().StringVar(&agent.LibvirtURI, "libvirt-uri", "", "libvirt connection `URI` of an agent")
	return cmd
}

func (a *app) joinToken(flag string) (string, error) {
	if flag == "" {
		return "", usagef("--token is needed: `novacron cluster token create` makes one")
	}
	if flag != "-" {
		return flag, nil
	}
	text, err := io.ReadAll(io.LimitReader(a.io.In, 4096))
	return strings.TrimSpace(string(text)), err
}

// freeDataDir goes beside the usual folder where a member lives in it already: then the token is most likely for a
// person, who needs no folder, and must not be wasted on that.
func (a *app) freeDataDir(usual string) string {
	if _, err := node.Load(usual); errors.Is(err, node.ErrNotPrepared) || errors.Is(err, os.ErrPermission) {
		return usual
	}
	return filepath.Join(a.io.Home, ".local", "share", "novacron")
}

func (a *app) joinCluster(ctx context.Context, options node.JoinOptions) error {
	path, cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	joined, err := node.Join(ctx, options)
	if err != nil {
		return notJoined(err)
	}
	if role := joined.Material.Role; role.IsNode() {
		a.tell("%s is %s of cluster %s", options.Name, withArticle(string(role)), joined.Material.ClusterID)
		a.tell("start it with `novacron %s --data-dir %s`", role, options.DataDir)
		return nil
	}
	name := a.contextName(cfg, joined.Material)
	endpoints := joined.Controllers
	if len(endpoints) == 0 {
		endpoints = options.Controllers
	}
	if err := SaveContext(path, NewContext(name, endpoints, joined.Material)); err != nil {
		return err
	}
	a.tell("context %q in %s is yours, as %s, and the current one", name, path, withArticle(string(joined.Material.Role)))
	return nil
}

// notJoined leaves out the usual ways out, which are about a certificate that a joiner does not have yet.
func notJoined(err error) error {
	f := explain(err)
	f.hint = ""
	return f
}

func (a *app) clusterLeave() *cobra.Command {
	var dataDir string
	var force, yes bool
	cmd := &cobra.Command{
		Use: "leave", Short: "Take this machine out of its cluster", Args: cobra.NoArgs,
		Long: `Take the member that lives in a data directory out of its cluster. Its folder is kept, its certificates are worth nothing any
more. Asks first; a script must say --yes.

  novacron cluster leave --yes`,
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			member, err := node.Load(dataDir)
			if err != nil {
				return err
			}
			if err := a.confirm(yes, "Take "+member.Name+" out of the cluster?"); err != nil {
				return err
			}
			req := &pb.RemoveMemberRequest{Member: member.NodeID, Force: force}
			answer, err := c.cluster.RemoveMember(ctx, connect.NewRequest(req))
			if err != nil {
				return err
			}
			return a.result(answer.Msg, "%s: removed; stop its service, then %s can go", member.Name, dataDir)
		}),
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", defaultDataDir, "`folder` of the member")
	cmd.Flags().BoolVar(&force, "force", false, "also when that does harm")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// addressTowards is the address of this machine on the way to another; empty when there is no way.
func addressTowards(controller string) string {
	conn, err := new(net.Dialer).DialContext(context.Background(), "udp", controller) // sends nothing, so it takes no time
	if err != nil {
		return ""
	}
	defer conn.Close()
	host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	return host
}

func addressHint() string {
	addresses, _ := net.InterfaceAddrs() // only a hint
	var found []string
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			found = append(found, ip.IP.String())
		}
	}
	if len(found) == 0 {
		return ""
	}
	return "this machine has " + alternatives(found)
}

func withArticle(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
