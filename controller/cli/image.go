package cli

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) imageCommand() *cobra.Command {
	return a.group("image", "Manage the files that machines boot from", "Images are disk images, kernels and initial RAM disks, kept by the cluster under a name.",
		a.imageAdd(), a.imageList(), a.imageShow(), a.imageDelete())
}

func (a *app) imageList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the images", Args: cobra.NoArgs,
		Long: "List the images.\n\n  novacron image list -o json",
		RunE: a.withClient(func(ctx context.Context, c *client, _ []string) error {
			images, err := c.listImages(ctx)
			if err != nil {
				return err
			}
			return list(a, a.imageTable(), images)
		}),
	}
}

func (a *app) imageShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show an image", Args: cobra.ExactArgs(1),
		Long:              "Show an image: its format, its sizes and its hash.\n\n  novacron image show debian-12",
		ValidArgsFunction: a.completeOnce(a.imageNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			image, err := c.getImage(ctx, args[0])
			if err != nil {
				return err
			}
			return show(a, a.imageTable(), image, a.imageDetails(image))
		}),
	}
}

func (a *app) imageDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "Delete images", Args: cobra.MinimumNArgs(1),
		Long:              "Delete images. An image that a virtual machine uses is kept.\n\n  novacron image delete debian-11 --yes",
		ValidArgsFunction: a.completeMany(a.imageNames),
		RunE: a.withClient(func(ctx context.Context, c *client, names []string) error {
			if err := a.confirm(yes, "Delete "+counted(names, "image", "images")+"?"); err != nil {
				return err
			}
			return a.each(names, func(name string) error {
				_, err := c.images.DeleteImage(ctx, connect.NewRequest(&pb.DeleteImageRequest{Name: name}))
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

func (c *client) getImage(ctx context.Context, name string) (*pb.Image, error) {
	answer, err := c.images.GetImage(ctx, connect.NewRequest(&pb.GetImageRequest{Name: name}))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetImage(), nil
}

func (c *client) listImages(ctx context.Context) ([]*pb.Image, error) {
	return pages(func(token string) ([]*pb.Image, string, error) {
		answer, err := c.images.ListImages(ctx, connect.NewRequest(&pb.ListImagesRequest{PageSize: pageSize, PageToken: token}))
		if err != nil {
			return nil, "", err
		}
		return answer.Msg.GetImages(), answer.Msg.GetNextPageToken(), nil
	})
}

func (a *app) imageTable() table[*pb.Image] {
	type image = *pb.Image
	return table[image]{plural: "images", columns: []column[image]{
		{name: "NAME", text: func(i image) string { return i.GetName() }},
		{name: "FORMAT", text: func(i image) string { return i.GetFormat() }},
		{name: "SIZE", text: func(i image) string { return formatBytes(i.GetSizeBytes()) },
			raw: func(i image) string { return fmt.Sprint(i.GetSizeBytes()) }, rawName: "size_bytes"},
		{name: "DISK", text: func(i image) string { return formatBytes(i.GetVirtualSizeBytes()) },
			raw: func(i image) string { return fmt.Sprint(i.GetVirtualSizeBytes()) }, rawName: "virtual_size_bytes"},
		{name: "AGE", text: func(i image) string { return a.age(i.GetCreateTime()) },
			raw: func(i image) string { return moment(i.GetCreateTime()) }, rawName: "created"},
		{name: "SHA256", where: wideAndCSV, text: func(i image) string { return i.GetSha256() }},
	}}
}

func (a *app) imageDetails(i *pb.Image) (d details) {
	d.add("Name", i.GetName())
	d.add("Format", i.GetFormat())
	d.add("Size", fmt.Sprintf("%s (%d bytes)", formatBytes(i.GetSizeBytes()), i.GetSizeBytes()))
	d.add("Disk", formatBytes(i.GetVirtualSizeBytes()))
	d.add("SHA-256", i.GetSha256())
	if i.GetCreateTime() != nil {
		d.add("Created", i.GetCreateTime().AsTime().UTC().Format(time.RFC3339)+" ("+a.age(i.GetCreateTime())+" ago)")
	}
	return d
}
