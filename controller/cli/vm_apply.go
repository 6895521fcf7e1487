package cli

import (
	"context"
	"crypto/rand"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/spf13/cobra"
)

func (a *app) vmApply() *cobra.Command {
	f := &vmCreateFlags{def: newDefinitionFlags()}
	cmd := &cobra.Command{
		Use: "apply [NAME]", Short: "Make a virtual machine be as a definition says", Args: cobra.MaximumNArgs(1),
		Long: `Create the machine where it is not there, else change it: a definition that is applied again changes nothing.
Each change is told with when it comes true: «noted» holds from now on, «live» is done to the running guest at once,
«stopped» takes a stopped machine. What cannot change is refused with all of it, and then nothing changes.
What a definition leaves out takes its default; the UUID and the addresses stay. --dry-run only tells.

  novacron vm show web-1 --definition > web-1.yaml
  novacron vm apply -f web-1.yaml --dry-run
  novacron vm apply -f web-1.yaml --cpus 4`,
		ValidArgsFunction: a.completeOnce(a.vmNames),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.file == "" && f.template == "" {
			return usagef("a whole definition is applied: give it with --file, or --template")
		}
		def, err := a.definition(cmd, f, args)
		if err != nil {
			return err
		}
		return a.withClient(func(ctx context.Context, c *client, _ []string) error {
			return a.applyVM(ctx, c, def, f)
		})(cmd, args)
	}
	f.register(a, cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell what would change, and change nothing")
	f.wait.register(cmd.Flags())
	f.wait.registerGrace(cmd.Flags())
	return cmd
}

func (a *app) applyVM(ctx context.Context, c *client, def vm.Definition, f *vmCreateFlags) error {
	req := &pb.ApplyVMRequest{Spec: vm.ToProto(def), DryRun: f.dryRun, RequestId: rand.Text()}
	answer, err := c.vms.ApplyVM(ctx, connect.NewRequest(req))
	if err != nil {
		return err
	}
	a.warn(answer.Msg.GetWarnings())
	a.tellChanges(def.Name, answer.Msg)
	if changes := answer.Msg.GetChanges(); f.dryRun || len(changes) == 0 && !answer.Msg.GetCreated() {
		if a.forPeople() {
			return nil
		}
		return a.writeObject(answer.Msg)
	}
	return a.settle(ctx, c, []*pb.VM{answer.Msg.GetVm()}, &f.wait)
}

func (a *app) tellChanges(name string, plan *pb.ApplyVMResponse) {
	switch {
	case plan.GetCreated() && plan.GetVm() == nil:
		a.tell("%s: is not there and would be created", name)
	case !plan.GetCreated() && len(plan.GetChanges()) == 0:
		a.tell("%s: nothing to change", name)
	}
	for _, c := range plan.GetChanges() {
		change := vm.Reshaping{Change: vm.Change{Path: c.GetPath(), From: c.GetFrom(), To: c.GetTo()}, Effect: vm.Effect(c.GetEffect())}
		a.tell("%s: %s", name, change)
	}
}
