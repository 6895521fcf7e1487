package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
	"github.com/spf13/cobra"
)

// uploadChunk is how much one message carries.
const uploadChunk = 256 << 10

type imageAddFlags struct {
	format choice
	sha256 string
}

func (a *app) imageAdd() *cobra.Command {
	f := &imageAddFlags{format: choice{allowed: []string{"qcow2", "raw"}}}
	cmd := &cobra.Command{
		Use: "add NAME FILE", Short: "Give the cluster an image", Args: cobra.ExactArgs(2),
		Long: `Upload a file and name it. Kernels and initial RAM disks are images too. Adding the same file again changes nothing.

  novacron image add debian-12 debian-12-generic-amd64.qcow2
  novacron image add vmlinuz-6.1 /boot/vmlinuz-6.1.0-18-amd64 --format raw`,
		ValidArgsFunction: completeFileAt(1),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			image, err := a.addImage(ctx, c, args[0], args[1], f)
			if err != nil || a.forPeople() {
				return err
			}
			return show(a, a.imageTable(), image, details{})
		}),
	}
	cmd.Flags().Var(&f.format, "format", "format of the file; what its header says when left out")
	cmd.Flags().StringVar(&f.sha256, "sha256", "", "hash that the file must have, in `hex`")
	return cmd
}

func (a *app) addImage(ctx context.Context, c *client, name, path string, f *imageAddFlags) (*pb.Image, error) {
	want, err := parseSHA256(f.sha256)
	if err != nil {
		return nil, err
	}
	if err := vm.CheckImageName("name", name); err != nil {
		return nil, err // before the file is sent for nothing
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	uploaded, err := a.upload(ctx, c, file, want)
	if err != nil {
		return nil, err
	}
	image, err := c.createImage(ctx, name, uploaded.GetSha256(), f.format.value)
	if err != nil {
		return nil, err
	}
	a.tell("%s: %s %s, sha256 %s", name, formatBytes(image.GetSizeBytes()), image.GetFormat(), image.GetSha256())
	return image, nil
}

func parseSHA256(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return "", usagef("--sha256 %q is not the %d hex digits of a SHA-256", text, 2*sha256.Size)
	}
	return strings.ToLower(text), nil
}

// createImage names uploaded bytes. A name that holds these very bytes already is fine: it may be our own earlier try.
func (c *client) createImage(ctx context.Context, name, sum, format string) (*pb.Image, error) {
	req := &pb.CreateImageRequest{Name: name, Sha256: sum, Format: format}
	answer, err := c.images.CreateImage(ctx, connect.NewRequest(req))
	if err == nil {
		return answer.Msg.GetImage(), nil
	}
	if connect.CodeOf(err) == connect.CodeAlreadyExists {
		image, getErr := c.getImage(ctx, name)
		if getErr == nil && image.GetSha256() == sum && (format == "" || format == image.GetFormat()) {
			return image, nil
		}
	}
	return nil, err
}

// upload sends the file, from its start again on another controller when one fails on the way.
func (a *app) upload(ctx context.Context, c *client, file *os.File, want string) (*pb.UploadImageResponse, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file.Name())
	}
	p := a.newProgress()
	defer p.stop()
	p.set(fmt.Sprintf("uploading %s, %s", filepath.Base(file.Name()), formatBytes(uint64(info.Size()))))
	var uploaded *pb.UploadImageResponse
	err = c.calls.do(ctx, func(ctx context.Context, news func()) error {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		u := &upload{bar: newBar(p, filepath.Base(file.Name()), uint64(info.Size())), news: news, sum: sha256.New()}
		uploaded, err = u.run(c.images.UploadImage(ctx), file, want)
		return err
	})
	return uploaded, err
}

// upload is one attempt.
type upload struct {
	bar  *bar
	news func()
	sum  hash.Hash
}

type uploadStream = connect.ClientStreamForClient[pb.UploadImageRequest, pb.UploadImageResponse]

func (u *upload) run(stream *uploadStream, file io.Reader, want string) (*pb.UploadImageResponse, error) {
	sendErr := u.send(stream, file, want)
	answer, err := stream.CloseAndReceive()
	if err != nil {
		return nil, err
	}
	if sendErr != nil {
		return nil, sendErr
	}
	if sum := hex.EncodeToString(u.sum.Sum(nil)); answer.Msg.GetSha256() != sum {
		return nil, fmt.Errorf("the cluster received sha256 %s, the file has %s: it changed while it was sent", answer.Msg.GetSha256(), sum)
	}
	return answer.Msg, nil
}

// send stops quietly when the other side has closed the stream: the reason comes with the answer.
func (u *upload) send(stream *uploadStream, file io.Reader, want string) error {
	req := &pb.UploadImageRequest{Sha256: want}
	buf := make([]byte, uploadChunk)
	for first := true; ; first = false {
		n, err := io.ReadFull(file, buf)
		if n == 0 && !first {
			return ignoreEOF(err)
		}
		req.Data = buf[:n]
		u.sum.Write(req.Data)
		if err := stream.Send(req); err != nil {
			return ignoreEOF(err)
		}
		req = &pb.UploadImageRequest{}
		u.news()
		u.bar.add(uint64(n))
		if err != nil {
			return ignoreEOF(err)
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
