package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

func (a *app) volumeUpload() *cobra.Command {
	f := newVolumeFlags()
	var sum string
	cmd := &cobra.Command{
		Use: "upload NAME FILE", Aliases: []string{"import"}, Short: "Create a volume from a file", Args: cobra.ExactArgs(2),
		Long: `Upload a qcow2 or raw file as a new volume and print its hash. A file that refers to other files is refused, as is one
that is not of the format that was declared.

  novacron volume upload data disk.qcow2
  novacron volume import data disk.raw --size 40GiB --host kvm-1`,
		ValidArgsFunction: completeFileAt(1),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			return a.uploadVolume(ctx, c, args[1], sum, a.volumeSettings(args[0], f), &f.wait)
		}),
	}
	a.newVolumeFlags(cmd, f, true)
	cmd.Flags().StringVar(&sum, "sha256", "", "hash that the file must have, in `hex`")
	return cmd
}

func (a *app) uploadVolume(ctx context.Context, c *client, path, sum string, spec *pb.VolumeSettings, w *waitFlags) error {
	want, err := parseSHA256(sum)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	uploaded, err := a.upload(ctx, c, file, want)
	if err != nil {
		return err
	}
	a.tell("%s: %s uploaded, sha256 %s", spec.GetName(), formatBytes(uploaded.GetSizeBytes()), uploaded.GetSha256())
	spec.Source = &pb.VolumeSource{Sha256: uploaded.GetSha256()}
	return a.createVolume(ctx, c, spec, w)
}

func (a *app) volumeDownload() *cobra.Command {
	cmd := &cobra.Command{
		Use: "download NAME FILE", Aliases: []string{"export"}, Short: "Copy a volume into a file", Args: cobra.ExactArgs(2),
		Long: `Download the bytes that a volume is stored in, and print their hash. The file is put in its place only once it is
complete. A linked clone is of no use without its source: clone it in full, then download that.

  novacron volume download data data.qcow2`,
		ValidArgsFunction: a.completeOnce(a.volumeNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			return a.downloadVolume(ctx, c, args[0], args[1])
		}),
	}
	return cmd
}

func (a *app) downloadVolume(ctx context.Context, c *client, name, path string) error {
	answer, err := c.storage.GetVolume(ctx, connect.NewRequest(&pb.GetVolumeRequest{Volume: name, Project: a.project}))
	if err != nil {
		return err
	}
	file, err := createAtomic(path)
	if err != nil {
		return err
	}
	defer file.abandon()
	p := a.newProgress()
	defer p.stop()
	p.set("downloading " + name + " into " + filepath.Base(path))
	var sum string
	var length int64
	err = c.calls.do(ctx, func(ctx context.Context, news func()) (err error) {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		total := answer.Msg.GetVolume().GetStatus().GetCapacityBytes()
		sum, length, err = a.receiveVolume(ctx, c, name, file, newBar(p, name, total), news)
		return err
	})
	if err != nil {
		return err
	}
	if err := file.Truncate(length); err != nil { // a first try may have got further
		return err
	}
	if err := file.commit(); err != nil {
		return err
	}
	a.tell("%s: %s in %s, sha256 %s", name, formatBytes(uint64(length)), path, sum)
	return nil
}

// receiveVolume is one attempt. The hash that comes at the end must be that of the bytes that came.
func (a *app) receiveVolume(ctx context.Context, c *client, name string, to io.Writer, b *bar, news func()) (sum string, length int64, err error) {
	stream, err := c.storage.DownloadVolume(ctx, connect.NewRequest(&pb.DownloadVolumeRequest{Volume: name, Project: a.project}))
	if err != nil {
		return "", 0, err
	}
	defer stream.Close()
	hash := sha256.New()
	for stream.Receive() {
		data := stream.Msg().GetData()
		if _, err := io.MultiWriter(hash, to).Write(data); err != nil {
			return "", 0, err
		}
		length += int64(len(data))
		sum = stream.Msg().GetSha256()
		news()
		b.add(uint64(len(data)))
	}
	if err := stream.Err(); err != nil {
		return "", 0, err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); sum != got {
		return "", 0, fmt.Errorf("%s: the bytes that came have sha256 %s, the host read %q: download it again", name, got, sum)
	}
	return sum, length, nil
}
