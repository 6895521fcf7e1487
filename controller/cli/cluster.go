package cli

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) clusterCommand() *cobra.Command {
	return a.group("cluster", "Look after the cluster itself", `A cluster is three or five controllers, which hold its state, and the agents on its hosts.

  novacron cluster health
  novacron cluster token create --role agent`,
		a.clusterInit(), a.clusterJoin(), a.clusterLeave(), a.clusterHealth(), a.clusterMembers(), a.clusterRemove(), a.clusterVoting(true), a.clusterVoting(false),
		a.clusterTransfer(), a.clusterBackup(), a.clusterRestore(), a.clusterToken())
}

func (a *app) clusterHealth() *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Judge the health of the cluster", Args: cobra.NoArgs,
		Long: "Ask every controller how it is. The exit status is 1 when the cluster is not healthy.\n\n  novacron cluster health -o wide",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			answer, err := c.cluster.GetHealth(ctx, connect.NewRequest(&pb.GetHealthRequest{}))
			if err != nil {
				return err
			}
			return both(a.printHealth(answer.Msg), unhealthy(answer.Msg))
		}),
	}
}

func (a *app) printHealth(h *pb.GetHealthResponse) error {
	switch {
	case a.output.value == outCSV:
		return list(a, a.controllerTable(), h.GetControllers())
	case !a.forPeople():
		return a.writeObject(h)
	}
	var d details
	d.add("Healthy", yesNo(h.GetHealthy()))
	d.add("Hosts up", fmt.Sprintf("%d of %d", h.GetHostsUp(), h.GetHosts()))
	d.add("May fail", fmt.Sprintf("%d of %d controllers before the quorum is lost", h.GetFailureTolerance(), len(h.GetControllers())))
	if err := d.write(a.io.Out); err != nil {
		return err
	}
	fmt.Fprintln(a.io.Out)
	return list(a, a.controllerTable(), h.GetControllers())
}

func unhealthy(h *pb.GetHealthResponse) error {
	if h.GetHealthy() {
		return nil
	}
	return &fault{what: "the cluster is not healthy", details: h.GetProblems()}
}

func (a *app) controllerTable() table[*pb.ControllerHealth] {
	type health = *pb.ControllerHealth
	return table[health]{plural: "controllers", columns: []column[health]{
		{name: "CONTROLLER", text: func(h health) string { return h.GetMember().GetName() }},
		{name: "HEALTHY", text: func(h health) string { return yesNo(h.GetHealthy()) },
			raw: func(h health) string { return fmt.Sprint(h.GetHealthy()) }},
		{name: "STATE", text: func(h health) string { return h.GetStatus().GetState() }},
		{name: "VERSION", text: func(h health) string { return h.GetStatus().GetVersion() }},
		{name: "APPLIED", text: func(h health) string { return fmt.Sprint(h.GetStatus().GetAppliedIndex()) }},
		{name: "COMMITTED", where: wideAndCSV, text: func(h health) string { return fmt.Sprint(h.GetStatus().GetCommitIndex()) }},
		{name: "TERM", where: wideAndCSV, text: func(h health) string { return fmt.Sprint(h.GetStatus().GetTerm()) }},
		{name: "CONTACT", where: wideAndCSV, text: func(h health) string { return contact(h.GetStatus()) }},
		{name: "CERTIFICATE", text: func(h health) string { return a.until(h.GetStatus().GetCertificateExpiry()) },
			raw: func(h health) string { return moment(h.GetStatus().GetCertificateExpiry()) }, rawName: "certificate_expiry"},
		{name: "ADDRESS", where: wideAndCSV, text: func(h health) string { return h.GetMember().GetApiAddress() }},
		{name: "PROBLEM", text: func(h health) string { return firstOf(h.GetProblem()) }},
	}}
}

// contact is how long ago a follower heard from its leader.
func contact(s *pb.ControllerStatus) string {
	if s.GetLastContact() == nil {
		return ""
	}
	return s.GetLastContact().AsDuration().Round(time.Millisecond).String()
}

func (a *app) clusterTransfer() *cobra.Command {
	return &cobra.Command{
		Use: "transfer-leader [CONTROLLER]", Short: "Let another controller lead", Args: cobra.MaximumNArgs(1),
		Long:              "Let the controller named lead, or the one that the leader finds fittest, such as before maintenance.\n\n  novacron cluster transfer-leader ctl-2",
		ValidArgsFunction: a.completeOnce(a.controllerNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			req := &pb.TransferLeadershipRequest{}
			if len(args) == 1 {
				req.Member = args[0]
			}
			answer, err := c.cluster.TransferLeadership(ctx, connect.NewRequest(req))
			if err != nil {
				return err
			}
			return a.result(answer.Msg, "%s leads", firstOf(answer.Msg.GetLeaderName(), answer.Msg.GetLeaderId()))
		}),
	}
}

// result tells people a sentence and machines the answer.
func (a *app) result(answer any, format string, args ...any) error {
	if a.output.value == outJSON || a.output.value == outYAML {
		return a.writeObject(answer)
	}
	_, err := fmt.Fprintln(a.io.Out, clean(fmt.Sprintf(format, args...)))
	return err
}
