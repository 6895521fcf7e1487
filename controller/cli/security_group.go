package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm/network"
	"github.com/spf13/cobra"
)

func (a *app) securityGroupCommand() *cobra.Command {
	return a.group("security-group", "Manage what packets may pass", "Security groups are named sets of rules about the packets of network cards. A card names its group.",
		a.securityGroupPut(false), a.securityGroupPut(true), a.securityGroupList(), a.securityGroupShow(), a.securityGroupDelete())
}

// securityGroupPut is create or update.
func (a *app) securityGroupPut(replace bool) *cobra.Command {
	var file string
	use, short, done := "create NAME -f FILE", "Name a set of rules", "created"
	if replace {
		use, short, done = "update NAME -f FILE", "Give a group other rules, for running machines too", "updated"
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		Long: short + `. The rules are YAML; what no rule lets in stays out, and what the guest sends goes, unless defaultIn and
defaultOut say otherwise. The rule with the lower priority decides.

  description: a web server
  antiSpoofing: on
  rules:
    - {direction: in, protocol: tcp, ports: 80, action: accept}
    - {direction: in, protocol: tcp, ports: 8000-8100, remote: 10.0.0.0/8, action: accept, priority: 100}
    - {direction: in, protocol: icmp, action: accept}

  novacron security-group ` + strings.Fields(use)[0] + ` web -f rules.yaml`,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			if file == "" {
				return usageError{errors.New("-f FILE is missing"), "put the rules into a file; `novacron security-group create --help` shows an example"}
			}
			text, err := a.readInput(file)
			if err != nil {
				return err
			}
			spec, err := network.ParseGroup(args[0], text)
			if err != nil {
				return usageError{fmt.Errorf("%s: %w", file, err), "`novacron security-group create --help` shows an example"}
			}
			group, err := c.putSecurityGroup(ctx, spec, replace)
			if err != nil {
				return err
			}
			if a.forPeople() {
				a.tell("%s: %s", args[0], done)
				return nil
			}
			return show(a, a.securityGroupTable(), group, details{})
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`file` with the rules; - is standard input")
	if replace {
		cmd.ValidArgsFunction = a.completeOnce(a.securityGroupNames)
	}
	return cmd
}

func (c *client) putSecurityGroup(ctx context.Context, spec *pb.SecurityGroupSpec, replace bool) (*pb.SecurityGroup, error) {
	if replace {
		answer, err := c.groups.UpdateSecurityGroup(ctx, connect.NewRequest(&pb.UpdateSecurityGroupRequest{Spec: spec}))
		if err != nil {
			return nil, err
		}
		return answer.Msg.GetGroup(), nil
	}
	answer, err := c.groups.CreateSecurityGroup(ctx, connect.NewRequest(&pb.CreateSecurityGroupRequest{Spec: spec}))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetGroup(), nil
}

func (a *app) securityGroupList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the security groups", Args: cobra.NoArgs,
		Long: "List the security groups.\n\n  novacron security-group list",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			groups, err := c.listSecurityGroups(ctx)
			if err != nil {
				return err
			}
			return list(a, a.securityGroupTable(), groups)
		}),
	}
}

func (a *app) securityGroupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a security group", Args: cobra.ExactArgs(1),
		Long:              "Show a security group: its rules and who uses it.\n\n  novacron security-group show web",
		ValidArgsFunction: a.completeOnce(a.securityGroupNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.groups.GetSecurityGroup(ctx, connect.NewRequest(&pb.GetSecurityGroupRequest{Name: args[0]}))
			if err != nil {
				return err
			}
			if a.output.value == outJSON || a.output.value == outYAML {
				return a.writeObject(answer.Msg)
			}
			return show(a, a.securityGroupTable(), answer.Msg.GetGroup(), a.securityGroupDetails(answer.Msg))
		}),
	}
}

func (a *app) securityGroupDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Delete security groups", Args: cobra.MinimumNArgs(1),
		Long:              "Delete security groups. A group that a virtual machine uses is kept.\n\n  novacron security-group delete web --yes",
		ValidArgsFunction: a.completeMany(a.securityGroupNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Delete "+counted(names, "security group", "security groups")+"?"); err != nil {
				return err
			}
			return a.each(names, func(name string) error {
				_, err := c.groups.DeleteSecurityGroup(ctx, connect.NewRequest(&pb.DeleteSecurityGroupRequest{Name: name}))
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

func (c *client) listSecurityGroups(ctx context.Context) ([]*pb.SecurityGroup, error) {
	return pages(func(token string) ([]*pb.SecurityGroup, string, error) {
		answer, err := c.groups.ListSecurityGroups(ctx, connect.NewRequest(&pb.ListSecurityGroupsRequest{PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetGroups(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) securityGroupNames(ctx context.Context) ([]string, error) {
	return liveNames(ctx, a, func(ctx context.Context, c *client) ([]*pb.SecurityGroup, error) { return c.listSecurityGroups(ctx) },
		func(g *pb.SecurityGroup) string { return g.GetSpec().GetName() })
}

func (a *app) securityGroupTable() table[*pb.SecurityGroup] {
	type group = *pb.SecurityGroup
	return table[group]{plural: "security groups", columns: []column[group]{
		{name: "NAME", text: func(g group) string { return g.GetSpec().GetName() }},
		{name: "RULES", text: func(g group) string { return fmt.Sprint(len(g.GetSpec().GetRules())) }},
		{name: "IN", text: func(g group) string { return g.GetSpec().GetDefaultIn() }},
		{name: "OUT", text: func(g group) string { return g.GetSpec().GetDefaultOut() }},
		{name: "AGE", text: func(g group) string { return a.age(g.GetCreateTime()) },
			raw: func(g group) string { return moment(g.GetCreateTime()) }, rawName: "created"},
		{name: "DESCRIPTION", text: func(g group) string { return g.GetSpec().GetDescription() }},
	}}
}

func (a *app) securityGroupDetails(r *pb.GetSecurityGroupResponse) (d details) {
	spec := r.GetGroup().GetSpec()
	d.add("Name", spec.GetName())
	d.add("Description", spec.GetDescription())
	d.add("Anti-spoofing", yesNo(!spec.GetAllowSpoofing()))
	d.add("Used by", strings.Join(r.GetVms(), ", "))
	if created := r.GetGroup().GetCreateTime(); created != nil {
		d.add("Created", created.AsTime().UTC().Format(time.RFC3339)+" ("+a.age(created)+" ago)")
	}
	d.section("Rules")
	for _, rule := range spec.GetRules() {
		d.sub(fmt.Sprint(rule.GetPriority()), ruleWords(rule))
	}
	d.sub("else", "in "+spec.GetDefaultIn()+", out "+spec.GetDefaultOut())
	return d
}

func ruleWords(r *pb.SecurityRule) string {
	words := r.GetDirection() + " " + r.GetAction() + " " + r.GetProtocol()
	if r.GetPorts() != "" {
		words += " " + r.GetPorts()
	}
	if r.GetRemote() != "" {
		words += map[string]string{network.In: " from ", network.Out: " to "}[r.GetDirection()] + r.GetRemote()
	}
	return words
}
