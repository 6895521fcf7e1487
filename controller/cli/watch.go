package cli

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
)

// errStreamEnded is a watch that the server closed without a word, as on its shutdown.
var errStreamEnded = errors.New("the controller closed the stream")

// watch gives every message to f, until the context ends, f fails or the cluster stays away for longer than the timeout.
// A stream that breaks goes on after the last revision seen, on another controller where need be. A single machine that
// is missing from the present state is told as deleted.
func (c *client) watch(ctx context.Context, req *pb.WatchVMsRequest, f func(*pb.WatchVMsResponse) error) error {
	w := &watcher{client: c, req: req, f: f, known: req.GetSinceRevision()}
	for {
		err := c.calls.do(ctx, w.once)
		if req.GetSinceRevision() == 0 || !cannotResume(err) {
			return err
		}
		req.SinceRevision = 0 // the changes since are forgotten: start from what is there now
	}
}

// watcher is one watch over all its streams.
type watcher struct {
	client *client
	req    *pb.WatchVMsRequest
	f      func(*pb.WatchVMsResponse) error
	// known is the newest revision seen. A controller that is behind it proves nothing by what it does not show.
	known uint64
}

// once runs one stream.
func (w *watcher) once(ctx context.Context, news func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.client.vms.WatchVMs(ctx, connect.NewRequest(w.req))
	if err != nil {
		return err
	}
	defer stream.Close()
	s := &watchStream{watcher: w, synced: w.req.GetSinceRevision() > 0}
	for stream.Receive() {
		news()
		if err := s.take(stream.Msg()); err != nil {
			return err
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return connect.NewError(connect.CodeUnavailable, errStreamEnded)
}

// watchStream is one stream of a watch. Until the present state has been sent in full, only a new start misses nothing.
type watchStream struct {
	*watcher
	seen, synced bool
}

func (s *watchStream) take(msg *pb.WatchVMsResponse) error {
	s.seen = s.seen || msg.GetVm() != nil
	missing := msg.GetSynced() && !s.synced && !s.seen && s.req.GetVm() != "" && msg.GetRevision() >= s.known
	if err := s.f(msg); err != nil {
		return err
	}
	s.known = max(s.known, msg.GetRevision())
	if s.synced = s.synced || msg.GetSynced(); s.synced {
		s.req.SinceRevision = max(s.req.GetSinceRevision(), msg.GetRevision())
	}
	if missing {
		return s.f(&pb.WatchVMsResponse{Deleted: true, Revision: msg.GetRevision()})
	}
	return nil
}

// cannotResume reports whether the cluster has forgotten the changes after the revision asked for.
func cannotResume(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeOutOfRange || code == connect.CodeFailedPrecondition
}
