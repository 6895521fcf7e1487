package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
)

type eventService struct{ *Server }

var _ novacronv1connect.EventServiceHandler = (*eventService)(nil)

// WatchEvents sends what is kept after a revision, then what comes.
func (s *eventService) WatchEvents(ctx context.Context, r *connect.Request[novacronv1.WatchEventsRequest], stream *connect.ServerStream[novacronv1.WatchEventsResponse]) error {
	seen := r.Msg.GetSinceRevision()
	for pulse := newPulse(); ; {
		view := s.Store.View()
		if err := s.sendEvents(stream, view, seen, r.Msg, pulse); err != nil || r.Msg.GetNoFollow() || r.Msg.GetUntilTime() != nil {
			return err
		}
		seen = max(seen, view.Revision())
		if pulse.due() {
			if err := pulse.beat(stream.Send(&novacronv1.WatchEventsResponse{Revision: seen})); err != nil {
				return err
			}
		}
		if err := s.awaitEvents(ctx, seen, pulse); err != nil {
			return err
		}
	}
}

// sendEvents sends the events after a revision that are wanted. Who asks for the oldest takes what there is; who continues
// must not miss any.
func (s *eventService) sendEvents(stream *connect.ServerStream[novacronv1.WatchEventsResponse], view state.View, seen uint64, want *novacronv1.WatchEventsRequest, p *pulse) error {
	events, complete := view.Events(seen)
	if seen > 0 && !complete {
		return fmt.Errorf("%w: events after revision %d are no longer all kept: watch again from the oldest, without a revision", state.ErrCompacted, seen)
	}
	for event := range events {
		if !wantsEvent(event, want) {
			continue
		}
		if err := p.beat(stream.Send(&novacronv1.WatchEventsResponse{Event: event, Revision: event.GetRevision()})); err != nil {
			return err
		}
	}
	return nil
}

func wantsEvent(event *novacronv1.Event, want *novacronv1.WatchEventsRequest) bool {
	is := func(wanted string, either ...string) bool {
		if wanted == "" {
			return true
		}
		for _, value := range either {
			if value == wanted {
				return true
			}
		}
		return false
	}
	return is(want.GetVm(), event.GetVmId(), event.GetVmName()) && is(want.GetHost(), event.GetHostId(), event.GetHostName()) &&
		is(want.GetProject(), event.GetProject()) && strings.HasPrefix(event.GetKind(), want.GetKind()) &&
		(want.GetSinceTime() == nil || !event.GetTime().AsTime().Before(want.GetSinceTime().AsTime())) &&
		(want.GetUntilTime() == nil || event.GetTime().AsTime().Before(want.GetUntilTime().AsTime()))
}

// awaitEvents returns when something was applied, or when the stream must be heard of again.
func (s *eventService) awaitEvents(ctx context.Context, seen uint64, p *pulse) error {
	wait, cancel := context.WithTimeout(ctx, p.wait())
	defer cancel()
	if err := s.Store.Await(wait, seen); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return ctx.Err()
}
