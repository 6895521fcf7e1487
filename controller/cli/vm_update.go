package cli

import (
	"context"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) vmRename() *cobra.Command {
	var w waitFlags
	cmd := &cobra.Command{
		Use: "rename VM NAME", Short: "Give a stopped virtual machine another name", Args: cobra.ExactArgs(2),
		Long:              "Give a stopped machine another name. Its id, disks and addresses stay.\n\n  novacron vm rename web-1 web-old",
		ValidArgsFunction: a.completeOnce(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			return a.change(ctx, c, args[:1], &w, func(name string) (*pb.VM, error) {
				return c.updateVM(ctx, &pb.UpdateVMRequest{Vm: name, Project: a.project, Name: args[1]})
			})
		}),
	}
	w.register(cmd.Flags())
	return cmd
}

func (a *app) vmLabel() *cobra.Command {
	return a.entriesCommand("label", "Set and remove labels of a virtual machine",
		"Set labels with key=value and remove them with key-. Labels are for selecting machines.\n\n  novacron vm label web-1 tier=web old-\n  novacron vm list -l tier=web",
		func(r *pb.UpdateVMRequest, set map[string]string, remove []string) {
			r.SetLabels, r.RemoveLabels = set, remove
		})
}

func (a *app) vmAnnotate() *cobra.Command {
	return a.entriesCommand("annotate", "Set and remove notes of a virtual machine",
		"Set notes with key=value and remove them with key-.\n\n  novacron vm annotate web-1 owner=ops",
		func(r *pb.UpdateVMRequest, set map[string]string, remove []string) {
			r.SetAnnotations, r.RemoveAnnotations = set, remove
		})
}

func (a *app) entriesCommand(verb, short, long string, put func(*pb.UpdateVMRequest, map[string]string, []string)) *cobra.Command {
	var w waitFlags
	cmd := &cobra.Command{
		Use: verb + " VM key=value|key-...", Short: short, Long: long, Args: cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeOnce(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			set, remove, err := entries(args[1:])
			if err != nil {
				return err
			}
			return a.change(ctx, c, args[:1], &w, func(name string) (*pb.VM, error) {
				r := &pb.UpdateVMRequest{Vm: name, Project: a.project}
				put(r, set, remove)
				return c.updateVM(ctx, r)
			})
		}),
	}
	w.register(cmd.Flags())
	return cmd
}

// entries reads key=value as one to set and key- as one to remove.
func entries(args []string) (set map[string]string, remove []string, err error) {
	set = map[string]string{}
	for _, arg := range args {
		key, value, found := strings.Cut(arg, "=")
		switch {
		case found && key != "":
			set[key] = value
		case !found && len(arg) > 1 && strings.HasSuffix(arg, "-"):
			remove = append(remove, strings.TrimSuffix(arg, "-"))
		default:
			return nil, nil, usagef("%q is neither key=value nor key-", arg)
		}
	}
	return set, remove, nil
}

func (c *client) updateVM(ctx context.Context, req *pb.UpdateVMRequest) (*pb.VM, error) {
	answer, err := c.vms.UpdateVM(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetVm(), nil
}
