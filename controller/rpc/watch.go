package rpc

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/controller/state"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/vm"
)

// heartbeatInterval is how often a quiet stream says that it is alive.
const heartbeatInterval = 5 * time.Second

// WatchVMs sends what there is, then what changes. A watcher that asks for changes that are no longer kept, or that falls
// so far behind, is told ErrCompacted: it starts over with what there is, and what is missing in that was deleted.
func (s *vmService) WatchVMs(ctx context.Context, r *connect.Request[novacronv1.WatchVMsRequest], stream *connect.ServerStream[novacronv1.WatchVMsResponse]) error {
	wanted := watchFilter(r.Msg)
	cursor := s.Store.CursorAt(r.Msg.GetSinceRevision())
	if r.Msg.GetSinceRevision() == 0 {
		var err error
		if cursor, err = s.sendAll(stream, wanted); err != nil {
			return err
		}
	}
	for pulse := newPulse(); ; {
		changes, next, err := s.next(ctx, cursor, pulse)
		if err == nil {
			err = sendChanges(stream, changes, wanted, pulse)
		}
		if err == nil && pulse.due() {
			err = pulse.beat(stream.Send(&novacronv1.WatchVMsResponse{Revision: next.Revision()}))
		}
		if err != nil {
			return err
		}
		cursor = next
	}
}

// pulse knows when a stream was last heard of.
type pulse struct{ last time.Time }

func newPulse() *pulse { return &pulse{last: time.Now()} }

func (p *pulse) wait() time.Duration { return max(0, heartbeatInterval-time.Since(p.last)) }
func (p *pulse) due() bool           { return p.wait() == 0 }

// beat notes that something was sent, and passes on whether it worked.
func (p *pulse) beat(err error) error {
	p.last = time.Now()
	return err
}

// next waits for changes, at most until the stream must be heard of again.
func (s *Server) next(ctx context.Context, cursor state.Cursor, p *pulse) ([]state.Change, state.Cursor, error) {
	wait, cancel := context.WithTimeout(ctx, p.wait())
	defer cancel()
	changes, next, err := s.Store.Next(wait, cursor)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, cursor, nil
	}
	return changes, next, err
}

func watchFilter(want *novacronv1.WatchVMsRequest) func(*novacronv1.VM) bool {
	project := want.GetProject()
	if project == "" && want.GetVm() != "" {
		project = vm.DefaultProject
	}
	return func(record *novacronv1.VM) bool {
		if project != "" && record.GetSpec().GetProject() != project {
			return false
		}
		return want.GetVm() == "" || want.GetVm() == record.GetId() || want.GetVm() == record.GetSpec().GetName()
	}
}

func (s *vmService) sendAll(stream *connect.ServerStream[novacronv1.WatchVMsResponse], wanted func(*novacronv1.VM) bool) (state.Cursor, error) {
	view := s.Store.View()
	for _, record := range view.VMs("") {
		if !wanted(record) {
			continue
		}
		if err := stream.Send(&novacronv1.WatchVMsResponse{Vm: record, Revision: record.GetRevision()}); err != nil {
			return state.Cursor{}, err
		}
	}
	return view.Cursor(), stream.Send(&novacronv1.WatchVMsResponse{Synced: true, Revision: view.Revision()})
}

// sendChanges sends those that are wanted.
func sendChanges(stream *connect.ServerStream[novacronv1.WatchVMsResponse], changes []state.Change, wanted func(*novacronv1.VM) bool, p *pulse) error {
	for _, message := range messagesOf(changes, wanted) {
		if err := p.beat(stream.Send(message)); err != nil {
			return err
		}
	}
	return nil
}

// messagesOf tells of the changes that are wanted. One command can change many machines: only the last message of a
// revision carries it, so that whoever goes on after the revision of any message misses nothing.
func messagesOf(changes []state.Change, wanted func(*novacronv1.VM) bool) (messages []*novacronv1.WatchVMsResponse) {
	for _, change := range changes {
		record, ok := change.Record().(*novacronv1.VM)
		if !ok || !wanted(record) {
			continue
		}
		if last := len(messages) - 1; last >= 0 && messages[last].GetRevision() == change.Revision {
			messages[last].Revision--
		}
		messages = append(messages, &novacronv1.WatchVMsResponse{Vm: record, Deleted: change.After == nil, Revision: change.Revision})
	}
	return messages
}
