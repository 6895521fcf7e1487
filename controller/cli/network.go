package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm/network"
	"github.com/spf13/cobra"
)

func (a *app) networkCommand() *cobra.Command {
	return a.group("network", "Manage the networks of the cluster", "Networks are made on the hosts by the cluster; what hosts have besides is left alone and can be used too.",
		a.networkCreate(), a.networkList(), a.networkShow(), a.networkDelete())
}

// networkFlags say what a network shall be.
type networkFlags struct {
	mode                                          choice
	subnet, bridge, dnsDomain, gateway, dhcpRange string
	mtu                                           uint32
	assign                                        bool
	hosts                                         pairs
}

func (a *app) networkCreate() *cobra.Command {
	f := &networkFlags{mode: choice{value: "nat", allowed: []string{"nat", "isolated", "bridge"}}}
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Have the hosts make a network", Args: cobra.ExactArgs(1),
		Long: `Have the hosts make a network. Each host makes its own, with the same addresses; with a bridge they share what is behind it.

  novacron network create lan --mode nat --subnet 10.20.0.0/24 --assign
  novacron network create back --mode isolated --subnet 10.30.0.0/24 --dns-domain back.example
  novacron network create floor --mode bridge --bridge br0 --hosts rack=a1`,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			spec, err := f.spec(args[0])
			if err != nil {
				return err
			}
			answer, err := c.networks.CreateNetwork(ctx, connect.NewRequest(&pb.CreateNetworkRequest{Spec: spec}))
			if err != nil {
				return err
			}
			if a.forPeople() {
				a.tell("%s: created", args[0])
				return nil
			}
			return show(a, a.networkTable(), answer.Msg.GetNetwork(), details{})
		}),
	}
	fs := cmd.Flags()
	fs.Var(&f.mode, "mode", "what guests reach: nat what the host reaches, isolated each other, bridge what a bridge of the host does")
	fs.StringVar(&f.subnet, "subnet", "", "IPv4 `network` in CIDR form that no other network has")
	fs.StringVar(&f.bridge, "bridge", "", "`bridge` of the hosts, for mode bridge")
	fs.Uint32Var(&f.mtu, "mtu", 0, "largest packet in `bytes`; that of the host when left out")
	fs.StringVar(&f.dnsDomain, "dns-domain", "", "`domain` of the guests' names")
	fs.StringVar(&f.gateway, "gateway", "", "`address` of the host; the first of the subnet when left out")
	fs.StringVar(&f.dhcpRange, "dhcp-range", "", "addresses that are given out by themselves, `FIRST-LAST`; the upper half of the subnet, or all with --assign, when left out")
	fs.BoolVar(&f.assign, "assign", false, "give every card an address, in the cluster's books and by DHCP")
	fs.Var(&f.hosts, "hosts", "label that the hosts must have (repeatable); all hosts when left out")
	return cmd
}

func (f *networkFlags) spec(name string) (*pb.NetworkSpec, error) {
	mode, _ := network.ParseMode(f.mode.value)
	spec := &pb.NetworkSpec{
		Name: name, Mode: mode, Subnet: f.subnet, Bridge: f.bridge, Mtu: f.mtu, DnsDomain: f.dnsDomain,
		Gateway: f.gateway, Assign: f.assign, HostLabels: f.hosts,
	}
	if f.dhcpRange == "" {
		return spec, nil
	}
	start, end, ok := strings.Cut(f.dhcpRange, "-")
	if !ok {
		return nil, usageError{fmt.Errorf("--dhcp-range %q is not FIRST-LAST", f.dhcpRange), "such as 10.20.0.100-10.20.0.200"}
	}
	spec.RangeStart, spec.RangeEnd = start, end
	return spec, nil
}

func (a *app) networkList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the networks", Args: cobra.NoArgs,
		Long: "List the networks of the cluster. Those that hosts have by themselves are in `novacron host show`.\n\n  novacron network list -o wide",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			networks, err := c.listNetworks(ctx)
			if err != nil {
				return err
			}
			return list(a, a.networkTable(), networks)
		}),
	}
}

func (a *app) networkShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a network", Args: cobra.ExactArgs(1),
		Long:              "Show a network: what it is, what became of it on the hosts, and who has which address.\n\n  novacron network show lan",
		ValidArgsFunction: a.completeOnce(a.networkNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.networks.GetNetwork(ctx, connect.NewRequest(&pb.GetNetworkRequest{Name: args[0]}))
			if err != nil {
				return err
			}
			if a.output.value == outJSON || a.output.value == outYAML {
				return a.writeObject(answer.Msg)
			}
			return show(a, a.networkTable(), answer.Msg.GetNetwork(), a.networkDetails(answer.Msg))
		}),
	}
}

func (a *app) networkDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Delete networks", Args: cobra.MinimumNArgs(1),
		Long:              "Delete networks, on the hosts too. A network that a virtual machine uses is kept.\n\n  novacron network delete lan --yes",
		ValidArgsFunction: a.completeMany(a.networkNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Delete "+counted(names, "network", "networks")+"?"); err != nil {
				return err
			}
			return a.each(names, func(name string) error {
				_, err := c.networks.DeleteNetwork(ctx, connect.NewRequest(&pb.DeleteNetworkRequest{Name: name}))
				if err == nil {
					a.tell("%s: deleted", name)
				}
				return err
			})
		}),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (c *client) listNetworks(ctx context.Context) ([]*pb.Network, error) {
	return pages(func(token string) ([]*pb.Network, string, error) {
		answer, err := c.networks.ListNetworks(ctx, connect.NewRequest(&pb.ListNetworksRequest{PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetNetworks(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) networkNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.Network, error) { return c.listNetworks(ctx) },
		func(n *pb.Network) string { return n.GetSpec().GetName() })
}

func (a *app) networkTable() table[*pb.Network] {
	type net = *pb.Network
	return table[net]{plural: "networks", columns: []column[net]{
		{name: "NAME", text: func(n net) string { return n.GetSpec().GetName() }},
		{name: "MODE", text: func(n net) string { return word(n.GetSpec().GetMode(), "NETWORK_MODE_") }},
		{name: "SUBNET", text: func(n net) string { return n.GetSpec().GetSubnet() }},
		{name: "RANGE", text: func(n net) string { return addressRange(n.GetSpec()) }},
		{name: "ASSIGN", text: func(n net) string { return yesNo(n.GetSpec().GetAssign()) }},
		{name: "BRIDGE", where: wideAndCSV, text: func(n net) string { return n.GetSpec().GetBridge() }},
		{name: "HOSTS", where: wideAndCSV, text: func(n net) string { return joinPairs(n.GetSpec().GetHostLabels()) }},
		{name: "AGE", text: func(n net) string { return a.age(n.GetCreateTime()) },
			raw: func(n net) string { return moment(n.GetCreateTime()) }, rawName: "created"},
	}}
}

func addressRange(spec *pb.NetworkSpec) string {
	if spec.GetRangeStart() == "" {
		return ""
	}
	return spec.GetRangeStart() + "-" + spec.GetRangeEnd()
}

func (a *app) networkDetails(n *pb.GetNetworkResponse) (d details) {
	spec := n.GetNetwork().GetSpec()
	d.add("Name", spec.GetName())
	d.add("Mode", word(spec.GetMode(), "NETWORK_MODE_"))
	d.add("Bridge", spec.GetBridge())
	d.add("Subnet", spec.GetSubnet())
	d.add("Gateway", spec.GetGateway())
	d.add("Range", addressRange(spec))
	d.add("Assign", yesNo(spec.GetAssign()))
	d.add("Domain", spec.GetDnsDomain())
	if spec.GetMtu() > 0 {
		d.add("MTU", fmt.Sprint(spec.GetMtu()))
	}
	d.add("Only hosts", joinPairs(spec.GetHostLabels()))
	if created := n.GetNetwork().GetCreateTime(); created != nil {
		d.add("Created", created.AsTime().UTC().Format(time.RFC3339)+" ("+a.age(created)+" ago)")
	}
	if len(n.GetHosts()) > 0 {
		d.section("Hosts")
	}
	for _, host := range n.GetHosts() {
		state := "not there yet"
		if host.GetActive() {
			state = "active"
		}
		if host.GetMessage() != "" {
			state = host.GetMessage()
		}
		d.sub(host.GetHost(), state)
	}
	if len(n.GetAddresses()) > 0 {
		d.section("Cards")
	}
	for _, card := range n.GetAddresses() {
		d.sub(card.GetVmName(), strings.TrimSpace(card.GetMac()+" "+card.GetAddress()))
	}
	return d
}
