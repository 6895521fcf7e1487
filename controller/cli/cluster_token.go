package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/novacron/novacron/cluster/pki"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
)

func (a *app) clusterToken() *cobra.Command {
	return a.group("token", "Manage join tokens", "A join token lets one node or one person into the cluster, once and soon.",
		a.tokenCreate(), a.tokenList(), a.tokenRevoke())
}

func (a *app) tokenCreate() *cobra.Command {
	var role choice
	for _, one := range pki.Roles() {
		role.allowed = append(role.allowed, string(one))
	}
	var ttl time.Duration
	var node string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a join token", Args: cobra.NoArgs,
		Long: `Make a token with which one node or one person joins, once. Standard output holds nothing but the token.

  novacron cluster token create --role agent --node kvm-4
  TOKEN=$(novacron cluster token create --role admin --ttl 5m)`,
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			if role.value == "" {
				return usagef("--role is needed: %s", alternatives(role.allowed))
			}
			req := &pb.CreateTokenRequest{Role: roleNamed(role.value), NodeName: node}
			if ttl > 0 {
				req.Ttl = durationpb.New(ttl)
			}
			answer, err := c.cluster.CreateToken(ctx, connect.NewRequest(req))
			if err != nil {
				return err
			}
			return a.printToken(answer.Msg)
		}),
	}
	cmd.Flags().Var(&role, "role", "`role` that the holder gets: "+pki.RoleNames())
	spanVar(cmd.Flags(), &ttl, "ttl", 0, "how long the token can be used, at most 15m (default 15m)")
	cmd.Flags().StringVar(&node, "node", "", "only a node of this `name` may use it")
	return cmd
}

func roleNamed(name string) pb.Role {
	return pb.Role(pb.Role_value["ROLE_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))])
}

// roleWord is a role as --role takes it.
func roleWord(role pb.Role) string { return strings.ReplaceAll(word(role, "ROLE_"), "_", "-") }

func (a *app) printToken(answer *pb.CreateTokenResponse) error {
	token := answer.GetToken()
	if a.forPeople() {
		fmt.Fprintf(a.io.Err, "token %s for one %s, to be used within %s: `novacron cluster join` takes it\n",
			clean(token.GetId()), roleWord(token.GetRole()), a.until(token.GetExpireTime()))
	}
	return a.result(answer, "%s", answer.GetSecret())
}

func (a *app) tokenList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the join tokens", Args: cobra.NoArgs,
		Long: "List the join tokens without their secrets, which the cluster does not know.\n\n  novacron cluster token list",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			answer, err := c.cluster.ListTokens(ctx, connect.NewRequest(&pb.ListTokensRequest{}))
			if err != nil {
				return err
			}
			return list(a, a.tokenTable(), answer.Msg.GetTokens())
		}),
	}
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID...", Short: "Revoke join tokens", Args: cobra.MinimumNArgs(1),
		Long:              "Make join tokens useless. Who has joined already stays.\n\n  novacron cluster token revoke nplm4ftzrlfw7vqy",
		ValidArgsFunction: a.completeMany(a.tokenIDs),
		RunE: a.withClient(func(ctx context.Context, c *client, ids []string) error {
			return a.each(ids, func(id string) error {
				_, err := c.cluster.RevokeToken(ctx, connect.NewRequest(&pb.RevokeTokenRequest{Id: id}))
				if err == nil {
					a.tell("%s: revoked", id)
				}
				return err
			})
		}),
	}
}

func (a *app) tokenTable() table[*pb.Token] {
	type token = *pb.Token
	return table[token]{plural: "join tokens", columns: []column[token]{
		{name: "ID", text: func(t token) string { return t.GetId() }},
		{name: "ROLE", text: func(t token) string { return roleWord(t.GetRole()) }},
		{name: "NODE", text: func(t token) string { return t.GetNodeName() }},
		{name: "EXPIRES", text: func(t token) string { return a.until(t.GetExpireTime()) },
			raw: func(t token) string { return moment(t.GetExpireTime()) }},
		{name: "USED", text: func(t token) string { return yesNo(t.GetUsed()) },
			raw: func(t token) string { return fmt.Sprint(t.GetUsed()) }},
		{name: "USED BY", text: func(t token) string { return t.GetUsedBy() }},
	}}
}
