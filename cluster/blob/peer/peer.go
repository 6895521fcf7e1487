// Package peer carries content-addressed files between members: the service that each of them offers, and the source to fetch from.
package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/node"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
)

// chunkBytes is how much of a file travels in one message.
const chunkBytes = 256 << 10

// Service offers a store to other members.
type Service struct {
	Store *blob.Store
	// HTTP dials members to pull from; nil refuses to pull.
	HTTP *http.Client
}

var _ agentv1connect.BlobServiceHandler = Service{}

// StatBlob tells whether the file is here, and how large it is.
func (s Service) StatBlob(_ context.Context, r *connect.Request[agentv1.StatBlobRequest]) (*connect.Response[agentv1.StatBlobResponse], error) {
	info, err := s.Store.Stat(r.Msg.GetSha256())
	if err != nil {
		return nil, toConnect(err)
	}
	return connect.NewResponse(&agentv1.StatBlobResponse{SizeBytes: uint64(info.Size)}), nil
}

// GetBlob streams the file from an offset on.
func (s Service) GetBlob(ctx context.Context, r *connect.Request[agentv1.GetBlobRequest], stream *connect.ServerStream[agentv1.GetBlobResponse]) error {
	file, err := s.Store.Open(r.Msg.GetSha256())
	if err != nil {
		return toConnect(err)
	}
	defer file.Close()
	if _, err := file.Seek(int64(r.Msg.GetOffset()), io.SeekStart); err != nil {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("offset %d: %w", r.Msg.GetOffset(), err))
	}
	chunk := make([]byte, chunkBytes)
	for ctx.Err() == nil {
		n, err := file.Read(chunk)
		if n > 0 {
			if err := stream.Send(&agentv1.GetBlobResponse{Data: chunk[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// PullBlob copies a file from another member.
func (s Service) PullBlob(ctx context.Context, r *connect.Request[agentv1.PullBlobRequest]) (*connect.Response[agentv1.PullBlobResponse], error) {
	if s.HTTP == nil {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("this member fetches what it needs by itself: ask a controller"))
	}
	source := Source{Address: r.Msg.GetSource(), HTTP: s.HTTP}
	if err := s.Store.Fetch(ctx, r.Msg.GetSha256(), int64(r.Msg.GetSizeBytes()), []blob.Source{source}); err != nil {
		return nil, toConnect(err)
	}
	return connect.NewResponse(&agentv1.PullBlobResponse{}), nil
}

func toConnect(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, blob.ErrNotFound):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, blob.ErrBadHash):
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return connect.NewError(connect.CodeInternal, err)
}

// Source fetches from one member.
type Source struct {
	// Address is the member's API, host:port.
	Address string
	// HTTP dials members with this member's certificate.
	HTTP *http.Client
}

var _ blob.Source = Source{}

// Name is the address.
func (s Source) Name() string { return s.Address }

// Get opens the file at an offset on the other member. Closing the answer ends the call.
func (s Source) Get(ctx context.Context, hash string, offset int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	client := agentv1connect.NewBlobServiceClient(s.HTTP, node.URL(s.Address), connect.WithReadMaxBytes(node.MaxMessageBytes))
	stream, err := client.GetBlob(ctx, connect.NewRequest(&agentv1.GetBlobRequest{Sha256: hash, Offset: uint64(offset)}))
	if err != nil {
		cancel()
		return nil, err
	}
	return &reader{stream: stream, cancel: cancel}, nil
}

type reader struct {
	stream *connect.ServerStreamForClient[agentv1.GetBlobResponse]
	cancel context.CancelFunc
	rest   []byte
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if !r.stream.Receive() {
			if err := r.stream.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		r.rest = r.stream.Msg().GetData()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) Close() error {
	r.cancel()
	return r.stream.Close()
}

// Sources are the members at the given addresses, without the one at self.
func Sources(client *http.Client, addresses []string, self string) []blob.Source {
	sources := make([]blob.Source, 0, len(addresses))
	for _, address := range addresses {
		if address != self {
			sources = append(sources, Source{Address: address, HTTP: client})
		}
	}
	return sources
}
