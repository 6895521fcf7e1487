package cli

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) hostForeign() *cobra.Command {
	return &cobra.Command{
		Use: "foreign HOST", Short: "List the domains of a host that are not the cluster's", Args: cobra.ExactArgs(1),
		Long: `List the domains of a host that are not the cluster's. The cluster never touches them; novacron vm adopt takes one over.

  novacron host foreign kvm-1`,
		ValidArgsFunction: a.completeOnce(a.hostNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.hosts.ListForeignDomains(ctx, connect.NewRequest(&pb.ListForeignDomainsRequest{Host: args[0]}))
			if err != nil {
				return err
			}
			return list(a, foreignTable(), answer.Msg.GetDomains())
		}),
	}
}

func foreignTable() table[*pb.ForeignDomain] {
	return table[*pb.ForeignDomain]{plural: "foreign domains", columns: []column[*pb.ForeignDomain]{
		{name: "NAME", text: (*pb.ForeignDomain).GetName},
		{name: "STATE", text: (*pb.ForeignDomain).GetState},
		{name: "CPUS", text: func(d *pb.ForeignDomain) string { return fmt.Sprint(d.GetCpus()) }},
		{name: "MEMORY", text: func(d *pb.ForeignDomain) string { return formatMiB(d.GetMemoryMb()) }},
		{name: "MACHINE", where: wideAndCSV, text: (*pb.ForeignDomain).GetMachine},
		{name: "OTHER CLUSTER", where: wideAndCSV, text: func(d *pb.ForeignDomain) string { return yesNo(d.GetOtherCluster()) }},
		{name: "ID", text: (*pb.ForeignDomain).GetId},
	}}
}

func (a *app) vmAdopt() *cobra.Command {
	var w waitFlags
	var host string
	cmd := &cobra.Command{
		Use: "adopt DOMAIN --host HOST", Short: "Take over a domain that the cluster did not make", Args: cobra.ExactArgs(1),
		Long: `Take over a domain of a host, by its name or UUID there. It runs on as it is; from then on the cluster starts, stops and
deletes it. Its disks are not the cluster's: deleting the machine leaves them.

  novacron host foreign kvm-1
  novacron vm adopt old-db --host kvm-1`,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, args []string) error {
		if host == "" {
			return usagef("--host is missing: name the host that the domain is on")
		}
		return a.change(ctx, c, args, &w, func(domain string) (*pb.VM, error) {
			answer, err := c.vms.AdoptVM(ctx, connect.NewRequest(&pb.AdoptVMRequest{Host: host, Domain: domain, Project: a.project}))
			if err != nil {
				return nil, err
			}
			return answer.Msg.GetVm(), nil
		})
	})
	cmd.Flags().StringVar(&host, "host", "", "`host` that the domain is on")
	a.completeFlag(cmd, "host", a.hostNames)
	w.register(cmd.Flags())
	return cmd
}
