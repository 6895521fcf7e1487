package cli

import (
	"context"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) vmStart() *cobra.Command {
	var w waitFlags
	cmd := &cobra.Command{
		Use: "start VM...", Short: "Start virtual machines", Args: cobra.MinimumNArgs(1),
		Long:              "Start virtual machines and wait until they run.\n\n  novacron vm start web-1 web-2",
		ValidArgsFunction: a.completeMany(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			return a.change(ctx, c, names, &w, func(name string) (*pb.VM, error) {
				return c.setPower(ctx, &pb.SetVMPowerRequest{Vm: name, Project: a.project, Power: pb.PowerState_POWER_STATE_RUNNING})
			})
		}),
	}
	w.register(cmd.Flags())
	w.registerGrace(cmd.Flags())
	return cmd
}

func (a *app) vmStop() *cobra.Command {
	var w waitFlags
	var force bool
	cmd := &cobra.Command{
		Use: "stop VM...", Short: "Stop virtual machines", Args: cobra.MinimumNArgs(1),
		Long:              "Ask the guests to shut down and wait until they have. A guest that does not within its stop timeout is switched off.\n\n  novacron vm stop web-1 --force",
		ValidArgsFunction: a.completeMany(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			return a.change(ctx, c, names, &w, func(name string) (*pb.VM, error) {
				return c.setPower(ctx, &pb.SetVMPowerRequest{Vm: name, Project: a.project, Power: pb.PowerState_POWER_STATE_STOPPED, Force: force})
			})
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "switch off without asking the guest")
	w.register(cmd.Flags())
	return cmd
}

func (a *app) vmDelete() *cobra.Command {
	var w waitFlags
	var force, yes bool
	cmd := &cobra.Command{
		Use: "delete VM...", Short: "Delete virtual machines", Args: cobra.MinimumNArgs(1),
		Long: `Stop virtual machines and delete them with all their volumes. Asks first; a script must say --yes.

  novacron vm delete web-1 --yes`,
		ValidArgsFunction: a.completeMany(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Delete "+counted(names, "virtual machine", "virtual machines")+" with all volumes?"); err != nil {
				return err
			}
			return a.change(ctx, c, names, &w, func(name string) (*pb.VM, error) { return a.deleteVM(ctx, c, name, force) })
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "switch off without asking the guest")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	w.register(cmd.Flags())
	return cmd
}

func (c *client) setPower(ctx context.Context, req *pb.SetVMPowerRequest) (*pb.VM, error) {
	answer, err := c.vms.SetVMPower(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetVm(), nil
}

// deleteVM deletes by id, so that a repeated call cannot hit a new machine of the same name. When it finds the machine
// gone, an earlier try whose answer was lost has done it.
func (a *app) deleteVM(ctx context.Context, c *client, name string, force bool) (*pb.VM, error) {
	vm, err := c.getVM(ctx, name, a.project)
	if err != nil {
		return nil, err
	}
	answer, err := c.vms.DeleteVM(ctx, connect.NewRequest(&pb.DeleteVMRequest{Vm: vm.GetId(), Project: a.project, Force: force}))
	if connect.CodeOf(err) == connect.CodeNotFound {
		vm.Operation = &pb.Operation{Kind: kindDelete, State: pb.OperationState_OPERATION_STATE_DONE}
		return vm, nil
	}
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetVm(), nil
}

// change asks for the same of several machines first, and then waits for all.
func (a *app) change(ctx context.Context, c *client, names []string, w *waitFlags, ask func(name string) (*pb.VM, error)) error {
	var vms []*pb.VM
	asked := a.each(names, func(name string) error {
		vm, err := ask(name)
		if err == nil {
			vms = append(vms, vm)
		}
		return err
	})
	return both(asked, a.settle(ctx, c, vms, w))
}
