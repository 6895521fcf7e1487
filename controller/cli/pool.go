package cli

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) poolCommand() *cobra.Command {
	return a.group("pool", "Manage the storage pools of the hosts", "Pools are where the hosts keep volumes.",
		a.poolCreate(), a.poolList(), a.poolShow(), a.poolDelete())
}

func (a *app) poolCreate() *cobra.Command {
	var host string
	pool := &pb.PoolSettings{}
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Attach a storage pool to a host", Args: cobra.ExactArgs(1),
		Long: `Define a pool on a host, make its folder and start it, now and with the host. The same again is fine. A machine that
shall run on several hosts needs the pool under the same name and path on each of them.

  novacron pool create fast --host kvm-1 --type dir --path /srv/fast
  novacron pool create lvm --host kvm-1 --type logical --source vg0
  novacron pool create nas --host kvm-1 --type netfs --server nas.example.org --source /export/vms --path /srv/nas
  novacron pool create san --host kvm-1 --type iscsi --server 10.0.0.5:3260 --source iqn.2013-06.com.example:pool --path /dev/disk/by-path
  novacron pool create ceph --host kvm-1 --type rbd --server mon1:6789 --server mon2 --source vms --user admin --secret UUID`,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			if err := needHost(host); err != nil {
				return err
			}
			pool.Name = args[0]
			_, err := c.storage.CreatePool(ctx, connect.NewRequest(&pb.CreatePoolRequest{Host: host, Pool: pool}))
			if err == nil {
				a.tell("%s: attached to host %s", pool.GetName(), host)
			}
			return err
		}),
	}
	a.hostFlag(cmd, &host)
	types := choice{value: "dir", allowed: []string{"dir", "logical", "netfs", "iscsi", "rbd"}}
	cmd.PreRun = func(*cobra.Command, []string) { pool.Type = types.value }
	cmd.Flags().Var(&types, "type", "logical is LVM, netfs NFS and rbd Ceph")
	cmd.Flags().StringVar(&pool.Path, "path", "", "`folder` of the pool, or where it is mounted")
	cmd.Flags().StringArrayVar(&pool.Hosts, "server", nil, "`host[:port]` of the NFS or iSCSI server, or a Ceph monitor (repeatable)")
	cmd.Flags().StringVar(&pool.Source, "source", "", "volume `group`, exported folder, IQN or Ceph pool")
	cmd.Flags().StringVar(&pool.User, "user", "", "Ceph `user`")
	cmd.Flags().StringVar(&pool.Secret, "secret", "", "`UUID` of the secret of libvirt with the Ceph user's key")
	return cmd
}

func (a *app) poolDelete() *cobra.Command {
	var host string
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Detach a storage pool from a host", Args: cobra.ExactArgs(1),
		Long: `Stop a pool and forget its definition. What is stored in it stays where it is. A pool that holds a volume of the cluster,
or a disk of any machine, is kept.

  novacron pool delete fast --host kvm-1 --yes`,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			if err := needHost(host); err != nil {
				return err
			}
			if err := a.confirm(yes, "Detach pool "+args[0]+" from host "+host+"?"); err != nil {
				return err
			}
			_, err := c.storage.DeletePool(ctx, connect.NewRequest(&pb.DeletePoolRequest{Host: host, Name: args[0]}))
			if err == nil {
				a.tell("%s: detached from host %s", args[0], host)
			}
			return err
		}),
	}
	a.hostFlag(cmd, &host)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// needHost makes sure that a command names the one host that it is about.
func needHost(host string) error {
	if host == "" {
		return usagef("--host is missing: name the host of the pool")
	}
	return nil
}

func (a *app) poolList() *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use: "list", Short: "List the pools", Args: cobra.NoArgs,
		Long: "List the storage pools of all hosts, or of one, as they are now.\n\n  novacron pool list --host kvm-1",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			pools, err := a.pools(ctx, c, host)
			if err != nil {
				return err
			}
			return list(a, a.poolTable(), pools)
		}),
	}
	a.hostFlag(cmd, &host)
	return cmd
}

func (a *app) poolShow() *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show a pool on every host that has it", Args: cobra.ExactArgs(1),
		Long:              "Show the pools of one name, on all hosts or on one.\n\n  novacron pool show default --host kvm-1",
		ValidArgsFunction: a.completeOnce(a.poolNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			pools, err := a.pools(ctx, c, host)
			if err != nil {
				return err
			}
			var found []*pb.Pool
			for _, pool := range pools {
				if pool.GetName() == args[0] {
					found = append(found, pool)
				}
			}
			switch len(found) {
			case 0:
				return fmt.Errorf("no host that answered has a pool %q: see `novacron pool list`", args[0])
			case 1:
				return show(a, a.poolTable(), found[0], poolDetails(found[0]))
			}
			return list(a, a.poolTable(), found)
		}),
	}
	a.hostFlag(cmd, &host)
	return cmd
}

// hostFlag narrows a command down to one host.
func (a *app) hostFlag(cmd *cobra.Command, host *string) {
	cmd.Flags().StringVar(host, "host", "", "only on this `host`, by name or id")
	a.completeFlag(cmd, "host", a.hostNames)
}

func (a *app) pools(ctx context.Context, c *client, host string) ([]*pb.Pool, error) {
	answer, err := c.storage.ListPools(ctx, connect.NewRequest(&pb.ListPoolsRequest{Host: host}))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetPools(), a.missing(host, answer.Msg.GetFailures())
}

// missing tells of hosts that could not be asked. The host that was named must be there.
func (a *app) missing(host string, failures []*pb.HostFailure) error {
	for _, failure := range failures {
		if host != "" {
			return fmt.Errorf("host %s: %s", failure.GetHostName(), failure.GetMessage())
		}
		fmt.Fprintln(a.io.Err, clean(fmt.Sprintf("warning: host %s is missing here: %s", failure.GetHostName(), failure.GetMessage())))
	}
	return nil
}

func (a *app) poolTable() table[*pb.Pool] {
	type pool = *pb.Pool
	size := func(name, raw string, of func(pool) uint64) column[pool] {
		return column[pool]{name: name, rawName: raw, text: func(p pool) string { return formatBytes(of(p)) },
			raw: func(p pool) string { return fmt.Sprint(of(p)) }}
	}
	return table[pool]{plural: "pools", columns: []column[pool]{
		{name: "NAME", text: pool.GetName},
		{name: "HOST", text: pool.GetHostName},
		{name: "TYPE", text: pool.GetType},
		size("CAPACITY", "capacity_bytes", pool.GetCapacityBytes),
		size("FREE", "free_bytes", pool.GetFreeBytes),
		{name: "VOLUMES", text: func(p pool) string { return fmt.Sprint(p.GetVolumes()) }},
		{name: "PATH", where: wideAndCSV, text: pool.GetPath},
	}}
}

func poolDetails(p *pb.Pool) (d details) {
	d.add("Name", p.GetName())
	d.add("Host", p.GetHostName())
	d.add("Type", p.GetType())
	d.add("Path", p.GetPath())
	d.add("Capacity", fmt.Sprintf("%s (%d bytes)", formatBytes(p.GetCapacityBytes()), p.GetCapacityBytes()))
	d.add("Free", fmt.Sprintf("%s (%d bytes)", formatBytes(p.GetFreeBytes()), p.GetFreeBytes()))
	d.add("Volumes", fmt.Sprint(p.GetVolumes()))
	return d
}
