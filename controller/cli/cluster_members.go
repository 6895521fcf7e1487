package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) clusterMembers() *cobra.Command {
	return &cobra.Command{
		Use: "members", Short: "List the controllers and agents", Args: cobra.NoArgs,
		Long: "List the members of the cluster, with what gossip and Raft say of them.\n\n  novacron cluster members -o wide",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			members, err := c.listMembers(ctx)
			if err != nil {
				return err
			}
			return list(a, a.memberTable(), members)
		}),
	}
}

func (a *app) clusterRemove() *cobra.Command {
	var force, yes bool
	cmd := &cobra.Command{
		Use: "remove MEMBER", Short: "Take a member out of the cluster", Args: cobra.ExactArgs(1),
		Long: `Take a controller or an agent out of the cluster and revoke its certificates. With --force also when the quorum would be
lost or the host still owns machines. Asks first; a script must say --yes.

  novacron cluster remove kvm-3 --yes`,
		ValidArgsFunction: a.completeOnce(a.memberNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			if err := a.confirm(yes, "Take "+args[0]+" out of the cluster?"); err != nil {
				return err
			}
			answer, err := c.cluster.RemoveMember(ctx, connect.NewRequest(&pb.RemoveMemberRequest{Member: args[0], Force: force}))
			if err != nil {
				return err
			}
			return a.result(answer.Msg, "%s: removed", args[0])
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "also when that does harm")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// clusterVoting makes the commands promote and demote.
func (a *app) clusterVoting(voter bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "demote CONTROLLER", Short: "Keep a controller as a mere replica", Args: cobra.ExactArgs(1),
		Long:              "Take a controller's vote; it still follows the state.\n\n  novacron cluster demote ctl-4",
		ValidArgsFunction: a.completeOnce(a.controllerNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			answer, err := c.cluster.SetMemberVoting(ctx, connect.NewRequest(&pb.SetMemberVotingRequest{Member: args[0], Voter: voter}))
			if err != nil {
				return err
			}
			if voter {
				return a.result(answer.Msg.GetMember(), "%s: votes as soon as it has caught up", answer.Msg.GetMember().GetName())
			}
			return a.result(answer.Msg.GetMember(), "%s: does not vote any more", answer.Msg.GetMember().GetName())
		}),
	}
	if voter {
		cmd.Use, cmd.Short = "promote CONTROLLER", "Let a controller vote"
		cmd.Long = "Make a controller a voter of the quorum. It votes as soon as it has caught up.\n\n  novacron cluster promote ctl-4"
	}
	return cmd
}

func (c *client) listMembers(ctx context.Context) ([]*pb.MemberStatus, error) {
	answer, err := c.cluster.ListMembers(ctx, connect.NewRequest(&pb.ListMembersRequest{}))
	if err != nil {
		return nil, err
	}
	members := answer.Msg.GetMembers()
	slices.SortStableFunc(members, func(x, y *pb.MemberStatus) int {
		a, b := x.GetMember(), y.GetMember()
		return cmp.Or(cmp.Compare(a.GetRole(), b.GetRole()), strings.Compare(a.GetName(), b.GetName()))
	})
	return members, nil
}

// raftText is empty for members that have no part in Raft.
func raftText(m *pb.MemberStatus) string {
	if m.GetMember().GetRole() != pb.Role_ROLE_CONTROLLER {
		return ""
	}
	return m.GetRaft()
}

// raftAddress is empty for members that do not listen there.
func raftAddress(m *pb.MemberStatus) string {
	if m.GetMember().GetRole() != pb.Role_ROLE_CONTROLLER {
		return ""
	}
	return m.GetMember().GetRaftAddress()
}

func (a *app) memberTable() table[*pb.MemberStatus] {
	type member = *pb.MemberStatus
	return table[member]{plural: "members", columns: []column[member]{
		{name: "NAME", text: func(m member) string { return m.GetMember().GetName() }},
		{name: "ROLE", text: func(m member) string { return word(m.GetMember().GetRole(), "ROLE_") }},
		{name: "RAFT", text: func(m member) string { return raftText(m) }, raw: member.GetRaft},
		{name: "GOSSIP", text: func(m member) string { return m.GetGossip() }},
		{name: "ADDRESS", text: func(m member) string { return m.GetMember().GetApiAddress() }},
		{name: "RAFT ADDRESS", where: wideAndCSV, text: raftAddress},
		{name: "GOSSIP ADDRESS", where: wideAndCSV, text: func(m member) string { return m.GetMember().GetGossipAddress() }},
		{name: "VOTER", where: wideAndCSV, text: func(m member) string { return yesNo(m.GetMember().GetVoter()) },
			raw: func(m member) string { return fmt.Sprint(m.GetMember().GetVoter()) }},
		{name: "AGE", text: func(m member) string { return a.age(m.GetMember().GetJoinTime()) },
			raw: func(m member) string { return moment(m.GetMember().GetJoinTime()) }, rawName: "joined"},
		{name: "ID", where: wideAndCSV, text: func(m member) string { return m.GetMember().GetId() }},
	}}
}
