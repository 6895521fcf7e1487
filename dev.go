package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller"
	"github.com/novacron/novacron/controller/cli"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

// devFlags describe a cluster in one process.
type devFlags struct {
	daemonFlags
	address string
	driver  string
	uri     string
	context string
}

// Ports of the two members of a dev cluster. The controller has the default ones.
const (
	devAgentAPI    = "7760"
	devAgentGossip = "7762"
)

const devStart = 30 * time.Second

func devCommand(terminal cli.IO) *cobra.Command {
	flags := &devFlags{}
	command := &cobra.Command{
		Use: "dev", Short: "Run a whole cluster in this process, to try things out", Args: cobra.NoArgs,
		Long: `Run a controller and an agent in one process, on this machine alone, with the same keys, tokens and checks as a real
cluster. The first start makes the cluster and a context «dev» in the client configuration; later starts go on with it.
Virtual machines run on qemu:///system where libvirt is there, and on a driver that only pretends where it is not.

  novacron dev
  novacron --context dev host list`,
		RunE: func(c *cobra.Command, _ []string) error { return flags.run(c.Context(), terminal) },
	}
	flags.register(command)
	command.Flags().Lookup("data-dir").DefValue = ""
	_ = command.Flags().Set("data-dir", filepath.Join(terminal.Home, ".local", "share", "novacron", "dev")) // a string takes anything
	command.Flags().Lookup("data-dir").Usage = "`folder` of the dev cluster"
	command.Flags().StringVar(&flags.address, "address", "127.0.0.1", "`address` to listen at")
	command.Flags().StringVar(&flags.driver, "driver", "", "`driver` of virtual machines: libvirt or fake (default libvirt where it answers)")
	command.Flags().StringVar(&flags.uri, "libvirt-uri", defaultLibvirtURI, "`URI` of the libvirt connection")
	command.Flags().StringVar(&flags.context, "context-name", "dev", "`name` of the context to write")
	return command
}

func (f *devFlags) run(ctx context.Context, terminal cli.IO) error {
	if !slices.Contains([]string{"", driverLibvirt, driverFake}, f.driver) {
		return cli.UsageErrorf("--driver %q: use %s or %s", f.driver, driverLibvirt, driverFake)
	}
	logger, err := f.logger()
	if err != nil {
		return err
	}
	first, admin, err := f.controller(terminal)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ready := make(chan string, 1)
	group.Go(func() error {
		return controller.Run(ctx, controller.Config{
			Node: first, Version: cli.Version(), Logger: logger, OnStall: exitOnStall, Ready: func(address string) { ready <- address },
		})
	})
	group.Go(func() error {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		}
		member, err := f.agent(ctx, first, admin, logger)
		if err != nil {
			return err
		}
		fmt.Fprintf(terminal.Err, "a cluster of one is up: try «novacron --context %s host list»; interrupt to stop\n", f.context)
		return runAgent(ctx, member, logger)
	})
	return group.Wait()
}

// controller loads or makes the controller, and the way in for the client.
func (f *devFlags) controller(terminal cli.IO) (node.Config, pki.Material, error) {
	dir, keys := filepath.Join(f.dataDir, "controller"), filepath.Join(f.dataDir, "admin")
	member, err := node.Load(dir)
	if err == nil {
		admin, err := pki.LoadMaterial(keys)
		return member, admin, err
	}
	if !errors.Is(err, node.ErrNotPrepared) {
		return node.Config{}, pki.Material{}, err
	}
	member, admin, err := node.Init(node.InitOptions{
		DataDir: dir, Name: "dev-controller", Admin: "dev",
		API: net.JoinHostPort(f.address, node.PortAPI), Raft: net.JoinHostPort(f.address, node.PortRaft), Gossip: net.JoinHostPort(f.address, node.PortGossip),
	})
	if err != nil {
		return node.Config{}, pki.Material{}, err
	}
	if err := pki.SaveMaterial(keys, admin); err != nil {
		return node.Config{}, pki.Material{}, err
	}
	path, err := cli.ConfigPath(terminal)
	if err != nil {
		return node.Config{}, pki.Material{}, err
	}
	return member, admin, cli.SaveContext(path, cli.NewContext(f.context, []string{member.API}, admin))
}

// agent loads the agent, or has it join by the same way as any other: with a token.
func (f *devFlags) agent(ctx context.Context, first node.Config, admin pki.Material, logger *slog.Logger) (node.Config, error) {
	dir := filepath.Join(f.dataDir, "agent")
	if member, err := node.Load(dir); !errors.Is(err, node.ErrNotPrepared) {
		return member, err
	}
	token, err := devToken(ctx, first, admin)
	if err != nil {
		return node.Config{}, err
	}
	joined, err := node.Join(ctx, node.JoinOptions{
		DataDir: dir, Name: "dev-host", Token: token, Controllers: []string{first.API},
		API: net.JoinHostPort(f.address, devAgentAPI), Gossip: net.JoinHostPort(f.address, devAgentGossip),
		Agent: node.AgentConfig{Driver: f.chooseDriver(ctx, logger), LibvirtURI: f.uri},
	})
	return joined.Config, err
}

func devToken(ctx context.Context, first node.Config, admin pki.Material) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, devStart)
	defer cancel()
	creds, err := pki.NewCredentials(admin, pki.Options{})
	if err != nil {
		return "", err
	}
	client := node.HTTPClient(creds.ClientTLS(pki.RoleController))
	defer client.CloseIdleConnections()
	answer, err := novacronv1connect.NewClusterServiceClient(client, node.URL(first.API)).
		CreateToken(ctx, connect.NewRequest(&novacronv1.CreateTokenRequest{Role: novacronv1.Role_ROLE_AGENT}))
	if err != nil {
		return "", fmt.Errorf("make a token for the agent: %w", err)
	}
	return answer.Msg.GetSecret(), nil
}

// chooseDriver prefers libvirt, and says so plainly when it must do without.
func (f *devFlags) chooseDriver(ctx context.Context, logger *slog.Logger) string {
	if f.driver != "" {
		return f.driver
	}
	driver, err := openDriver(ctx, node.Config{Agent: node.AgentConfig{Driver: driverLibvirt, LibvirtURI: f.uri}}, logger)
	if err == nil {
		if err = driver.Close(); err == nil {
			return driverLibvirt
		}
	}
	logger.Warn("no libvirt here: virtual machines are only pretended, nothing really runs; install libvirt and remove the data directory to change that",
		"uri", f.uri, "error", err)
	return driverFake
}
