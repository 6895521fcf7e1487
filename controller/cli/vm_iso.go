package cli

import (
	"context"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) vmISO() *cobra.Command {
	return a.group("iso", "Change what lies in a machine's CD-ROM drive", `Put an image into a machine's CD-ROM drive or take it out, whether the machine runs or not.

  novacron vm iso attach web-1 debian-installer
  novacron vm iso eject web-1`,
		a.vmISOAttach(), a.vmISOEject())
}

// isoFlags say which drive, and how hard.
type isoFlags struct {
	drive string
	force bool
	wait  waitFlags
}

func (f *isoFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.drive, "drive", "", "`name` of the drive; by default that of the ISO, else the first")
	cmd.Flags().BoolVar(&f.force, "force", false, "open the drive even where the guest has locked it")
	f.wait.register(cmd.Flags())
}

func (a *app) vmISOAttach() *cobra.Command {
	f := &isoFlags{}
	cmd := &cobra.Command{
		Use: "attach VM IMAGE|VOLUME", Short: "Put an image or a volume into a CD-ROM drive", Args: cobra.ExactArgs(2),
		Long: `Put an image of the cluster, or a raw volume on the machine's host, into a CD-ROM drive in place of what lies there. A
machine without a drive gets one: a stopped one starts from it when its disk does not start; into a running one it is
plugged on SCSI, where its system and machine type take that.

  novacron vm iso attach web-1 debian-installer
  novacron vm iso attach web-1 drivers --drive dvd`,
		ValidArgsFunction: a.completeISO,
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			return a.change(ctx, c, args[:1], &f.wait, func(name string) (*pb.VM, error) {
				return a.attachISO(ctx, c, name, args[1], f)
			})
		}),
	}
	f.register(cmd)
	return cmd
}

// attachISO takes the name as that of an image first.
func (a *app) attachISO(ctx context.Context, c *client, name, medium string, f *isoFlags) (*pb.VM, error) {
	req := &pb.AttachISORequest{Vm: name, Project: a.project, Image: medium, Drive: f.drive, Force: f.force}
	if _, err := c.images.GetImage(ctx, connect.NewRequest(&pb.GetImageRequest{Name: medium})); connect.CodeOf(err) == connect.CodeNotFound {
		_, err := c.storage.GetVolume(ctx, connect.NewRequest(&pb.GetVolumeRequest{Volume: medium, Project: a.project}))
		if err == nil {
			req.Image, req.Volume = "", medium
		}
	}
	answer, err := c.vms.AttachISO(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetVm(), nil
}

func (a *app) vmISOEject() *cobra.Command {
	f := &isoFlags{}
	cmd := &cobra.Command{
		Use: "eject VM", Short: "Take out what lies in a CD-ROM drive", Args: cobra.ExactArgs(1),
		Long: `Take out what lies in a CD-ROM drive; the drive stays. A guest that has mounted it locks the drive: unmount it there, or use
--force. The seed of cloud-init is not ejected, because the guest looks for it at every start.

  novacron vm iso eject web-1`,
		ValidArgsFunction: a.completeOnce(a.vmNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			return a.change(ctx, c, args, &f.wait, func(name string) (*pb.VM, error) {
				req := &pb.EjectISORequest{Vm: name, Project: a.project, Drive: f.drive, Force: f.force}
				answer, err := c.vms.EjectISO(ctx, connect.NewRequest(req))
				if err != nil {
					return nil, err
				}
				return answer.Msg.GetVm(), nil
			})
		}),
	}
	f.register(cmd)
	return cmd
}

// completeISO completes a machine, then an image.
func (a *app) completeISO(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return a.offer(cmd, a.imageNames, nil)
	}
	return a.completeOnce(a.vmNames)(cmd, args, word)
}
