package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	statev1 "github.com/novacron/novacron/proto/state/v1"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/diskimage"
)

type imageService struct{ *Server }

var _ novacronv1connect.ImageServiceHandler = (*imageService)(nil)

// UploadImage stores bytes under their hash, unless they can never be an image.
func (s *imageService) UploadImage(ctx context.Context, stream *connect.ClientStream[novacronv1.UploadImageRequest]) (*connect.Response[novacronv1.UploadImageResponse], error) {
	if !stream.Receive() {
		return nil, cmp.Or(stream.Err(), invalid(errors.New("the upload is empty")))
	}
	body := &uploadReader{stream: stream, rest: stream.Msg().GetData()}
	info, err := s.Blobs.Put(ctx, body, stream.Msg().GetSha256())
	if err != nil {
		return nil, err
	}
	if _, err := s.inspect(&novacronv1.CreateImageRequest{Sha256: info.Hash, Format: string(diskimage.Raw)}); hopeless(err) {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.UploadImageResponse{Sha256: info.Hash, SizeBytes: uint64(info.Size)}), nil
}

// uploadReader reads the bytes of an upload.
type uploadReader struct {
	stream *connect.ClientStream[novacronv1.UploadImageRequest]
	rest   []byte
}

func (u *uploadReader) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		if !u.stream.Receive() {
			if err := u.stream.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		u.rest = u.stream.Msg().GetData()
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// CreateImage names bytes that were uploaded to any controller, after a look at what they are. A majority of the
// controllers hold a copy before it answers: an image outlives whatever the cluster outlives.
func (s *imageService) CreateImage(ctx context.Context, r *connect.Request[novacronv1.CreateImageRequest]) (*connect.Response[novacronv1.CreateImageResponse], error) {
	if err := vm.CheckImageName("name", r.Msg.GetName()); err != nil {
		return nil, invalid(err)
	}
	if err := s.hold(ctx, r.Msg.GetSha256()); err != nil {
		return nil, err
	}
	image, err := s.inspect(r.Msg)
	if err != nil {
		return nil, err
	}
	if err := s.spread(ctx, image); err != nil {
		return nil, err
	}
	value, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_PutImage{PutImage: &statev1.PutImage{Image: image}}
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&novacronv1.CreateImageResponse{Image: value.(*novacronv1.Image)}), nil
}

// hopeless tells whether bytes are refused for what they are, however they are declared.
func hopeless(err error) bool { return errors.Is(err, errUnfit) }

// inspect looks at the bytes. What can never be an image is dropped, so that nothing of a refused upload stays.
func (s *imageService) inspect(r *novacronv1.CreateImageRequest) (*novacronv1.Image, error) {
	image, err := s.look(r)
	if !hopeless(err) {
		return image, err
	}
	for _, named := range s.Store.View().Images("") {
		if named.GetSha256() == r.GetSha256() {
			return nil, err
		}
	}
	return nil, errors.Join(err, s.Blobs.Delete(r.GetSha256()))
}

func (s *imageService) look(r *novacronv1.CreateImageRequest) (*novacronv1.Image, error) {
	file, err := s.Blobs.Open(r.GetSha256())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	info, err := diskimage.Inspect(file, stat.Size())
	if errors.Is(err, diskimage.ErrCompressed) && r.GetFormat() == string(diskimage.Raw) { // an initial RAM disk
		info, err = diskimage.Info{Format: diskimage.Raw, VirtualSize: uint64(stat.Size())}, nil
	}
	switch {
	case errors.Is(err, diskimage.ErrCompressed):
		return nil, invalid(fmt.Errorf("image %q: %w", r.GetName(), err))
	case err != nil:
		return nil, invalid(fmt.Errorf("%w: %w", errUnfit, err))
	}
	if r.GetFormat() != "" && r.GetFormat() != string(info.Format) {
		return nil, invalid(fmt.Errorf("format: image %q was declared %s and is %s: leave the format out, or convert the file", r.GetName(), r.GetFormat(), info.Format))
	}
	return &novacronv1.Image{
		Name: r.GetName(), Sha256: r.GetSha256(), SizeBytes: uint64(stat.Size()), Format: string(info.Format), VirtualSizeBytes: info.VirtualSize,
	}, nil
}

func (s *imageService) GetImage(_ context.Context, r *connect.Request[novacronv1.GetImageRequest]) (*connect.Response[novacronv1.GetImageResponse], error) {
	image, ok := s.Store.View().Image(r.Msg.GetName())
	if !ok {
		return nil, fmt.Errorf("%w: image %q: see «novacron image list»", state.ErrNotFound, r.Msg.GetName())
	}
	return connect.NewResponse(&novacronv1.GetImageResponse{Image: image}), nil
}

func (s *imageService) ListImages(_ context.Context, r *connect.Request[novacronv1.ListImagesRequest]) (*connect.Response[novacronv1.ListImagesResponse], error) {
	page, answer := newPage(r.Msg.GetPageSize()), &novacronv1.ListImagesResponse{}
	for name, image := range s.Store.View().Images(r.Msg.GetPageToken()) {
		if page.full(len(answer.Images)) {
			answer.NextPageToken = page.last
			break
		}
		page.last = name
		answer.Images = append(answer.Images, image)
	}
	return connect.NewResponse(answer), nil
}

func (s *imageService) DeleteImage(ctx context.Context, r *connect.Request[novacronv1.DeleteImageRequest]) (*connect.Response[novacronv1.DeleteImageResponse], error) {
	_, err := s.propose(ctx, func(c *statev1.Command) {
		c.Op = &statev1.Command_DeleteImage{DeleteImage: &statev1.DeleteImage{Name: r.Msg.GetName()}}
	})
	return connect.NewResponse(&novacronv1.DeleteImageResponse{}), err
}
