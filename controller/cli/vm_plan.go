package cli

import (
	"context"
	"fmt"
	"io"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

func (a *app) vmPlan() *cobra.Command {
	f := &vmCreateFlags{def: newDefinitionFlags()}
	var showXML bool
	cmd := &cobra.Command{
		Use: "plan [NAME]", Short: "Show what a create would do", Args: cobra.MaximumNArgs(1),
		Long: `Show what a create would do, and do nothing: the definition with all defaults, or its difference to the machine that
has the name; warnings; the host that it would be placed on; and with --xml the domain that the host would define.

  novacron vm plan web-1 --cpus 2 --memory 2GiB --disk 20GiB --image debian-12 --xml
  novacron vm plan -f web-1.yaml`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		def, err := a.definition(cmd, f, args)
		if err != nil {
			return err
		}
		return a.withClient(func(ctx context.Context, c *client, _ []string) error {
			answer, err := c.vms.PlanVM(ctx, connect.NewRequest(&pb.PlanVMRequest{Spec: vm.ToProto(def)}))
			if err != nil {
				return err
			}
			return a.printPlan(answer.Msg, showXML)
		})(cmd, args)
	}
	f.register(a, cmd)
	cmd.Flags().BoolVar(&showXML, "xml", false, "show the domain that the host would define")
	return cmd
}

// printPlan is for people; for programs the answer is printed as it came. A create that would not come to run is exit 3.
func (a *app) printPlan(plan *pb.PlanVMResponse, showXML bool) error {
	if a.output.value == outCSV {
		return errNoRows
	}
	if !a.forPeople() {
		return a.writeObject(plan)
	}
	text, err := planText(plan)
	if err != nil {
		return err
	}
	if showXML && plan.GetDomainXml() != "" {
		text += plan.GetDomainXml() + "\n"
	}
	if _, err := io.WriteString(a.io.Out, text); err != nil {
		return err
	}
	a.warn(plan.GetWarnings())
	if plan.GetRefusal() != "" {
		return &fault{what: "it would not run: " + plan.GetRefusal(), unplaced: plan.GetHost() == ""}
	}
	if text == "" {
		fmt.Fprintf(a.io.Err, "%s is as planned: nothing would change\n", clean(plan.GetExisting().GetSpec().GetName()))
	}
	if text != "" && plan.GetExisting() != nil {
		fmt.Fprintf(a.io.Err, "%s exists: novacron vm apply --dry-run tells which of these changes it takes, and when\n", clean(plan.GetExisting().GetSpec().GetName()))
	}
	fmt.Fprintf(a.io.Err, "it would run on %s\n", clean(plan.GetHost()))
	return nil
}

func (a *app) warn(warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(a.io.Err, "warning: %s\n", clean(warning))
	}
}

// planText is the definition in full, or what differs from the machine that is there.
func planText(plan *pb.PlanVMResponse) (string, error) {
	planned := vm.FromProto(plan.GetSpec())
	if plan.GetExisting() == nil {
		text, err := vm.Marshal(planned)
		return string(text), err
	}
	present := vm.FromProto(plan.GetExisting().GetSpec())
	planned.UUID = present.UUID // a create would draw new ones: they are not what was asked about
	for i := range min(len(planned.NetworkInterfaces), len(present.NetworkInterfaces)) {
		planned.NetworkInterfaces[i].MAC = present.NetworkInterfaces[i].MAC
	}
	before, err := vm.Marshal(present)
	if err != nil {
		return "", err
	}
	after, err := vm.Marshal(planned)
	if err != nil {
		return "", err
	}
	return string(diff.Diff(present.Name, before, planned.Name+" (planned)", after)), nil
}
