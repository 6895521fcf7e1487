package cli

import (
	"context"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

func (a *app) forwardCommand() *cobra.Command {
	return a.group("forward", "Send metrics on to a long-term store", `Every host sends on the samples that it stores, by Prometheus's remote write, to a store such as Mimir, Thanos or
VictoriaMetrics. Each keeps what is not delivered yet in a queue on its disk, so that a store which is down for a while
misses nothing. What was stored before a forward was created is not sent: «novacron metric shard export» gives that.`,
		a.forwardCreate(), a.forwardList(), a.forwardShow(), a.forwardUpdate(), a.forwardDelete())
}

func (a *app) forwardCreate() *cobra.Command {
	f := &forwardFlags{}
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Have all hosts send on what they store", Args: cobra.ExactArgs(1),
		Long: `Have all hosts send on what they store from now on. All series are sent, or those that one of the selectors chooses. A secret
is a bearer token, with --username the password, or with --client-certificate a certificate and its key in PEM; the cluster
seals it and shows it to nobody.

  novacron metric forward create victoria --url http://10.0.0.9:8428/api/v1/write
  novacron metric forward create mimir --url https://mimir.example.com/api/v1/push --header X-Scope-OrgID=us --username us --secret-file password --match '{__name__=~"vm_.*"}'`,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, args []string) error {
		spec := &pb.MetricForwardSpec{Name: args[0]}
		secret, err := a.changeForward(cmd, f, spec)
		if err != nil {
			return err
		}
		answer, err := c.forwards.CreateMetricForward(ctx, connect.NewRequest(&pb.CreateMetricForwardRequest{Spec: spec, Secret: secret}))
		if err != nil {
			return err
		}
		a.tell("%s: every host sends to it from now on; `novacron metric forward show %s` tells how it goes", args[0], args[0])
		return a.printForward(answer.Msg.GetForward())
	})
	f.register(cmd.Flags())
	return cmd
}

// printForward prints the object where machines read.
func (a *app) printForward(forward *pb.MetricForward) error {
	if a.forPeople() {
		return nil
	}
	return show(a, a.forwardTable(), forward, details{})
}

func (a *app) forwardUpdate() *cobra.Command {
	f := &forwardFlags{}
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a forward", Args: cobra.ExactArgs(1),
		Long: `Change a forward; what is not given stays, a sealed secret too, unless the remote is another one. Lists are replaced. What
hosts have queued is sent by the new definition; selectors count from now on.

  novacron metric forward update mimir --queue-size 4GiB --queue-age 24h
  novacron metric forward update mimir --secret-file new-password`,
		ValidArgsFunction: a.completeOnce(a.forwardNames),
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, args []string) error {
		if !anyGiven(cmd) {
			return usagef("nothing to change: say what, such as --queue-size 4GiB")
		}
		answer, err := c.forwards.GetMetricForward(ctx, connect.NewRequest(&pb.GetMetricForwardRequest{Name: args[0]}))
		if err != nil {
			return err
		}
		spec := proto.CloneOf(answer.Msg.GetForward().GetSpec())
		secret, err := a.changeForward(cmd, f, spec)
		if err != nil {
			return err
		}
		updated, err := c.forwards.UpdateMetricForward(ctx, connect.NewRequest(&pb.UpdateMetricForwardRequest{
			Spec: spec, Secret: secret, Generation: answer.Msg.GetForward().GetGeneration(),
		}))
		if err != nil {
			return err
		}
		a.tell("%s: changed", args[0])
		return a.printForward(updated.Msg.GetForward())
	})
	f.register(cmd.Flags())
	return cmd
}

func (a *app) forwardDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Stop sending on for good", Args: cobra.MinimumNArgs(1),
		Long:              "Delete forwards. What hosts have queued and not sent is not sent any more.\n\n  novacron metric forward delete mimir --yes",
		ValidArgsFunction: a.completeMany(a.forwardNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Delete "+counted(names, "metric forward", "metric forwards")+"?"); err != nil {
				return err
			}
			return a.each(names, func(name string) error {
				_, err := c.forwards.DeleteMetricForward(ctx, connect.NewRequest(&pb.DeleteMetricForwardRequest{Name: name}))
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
