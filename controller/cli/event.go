package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func (a *app) eventCommand() *cobra.Command {
	return a.group("event", "See what happened", "Events tell what happened to machines, hosts, images and members; the cluster keeps them for a day.",
		a.eventList(), a.eventWatch())
}

// eventFlags choose events.
type eventFlags struct {
	since, vm, host, kind string
	until                 *instant
}

func (f *eventFlags) register(a *app, c *cobra.Command) {
	c.Flags().StringVar(&f.since, "since", "", "only what is younger than this, such as 10m or 1d, came after this `time`, or after this revision, such as 1200")
	c.Flags().StringVar(&f.vm, "vm", "", "only about this `machine`, by name or id")
	c.Flags().StringVar(&f.host, "host", "", "only on this `host`, by name or id")
	c.Flags().StringVar(&f.kind, "kind", "", "only kinds that begin with this `text`, such as vm. or host.down")
	_ = c.RegisterFlagCompletionFunc("vm", a.completeOnce(a.vmNames)) // the flag is there: it was made above
	_ = c.RegisterFlagCompletionFunc("host", a.completeOnce(a.hostNames))
}

// request tells a revision from a time by its unit.
func (f *eventFlags) request(now time.Time) (*pb.WatchEventsRequest, error) {
	r := &pb.WatchEventsRequest{Vm: f.vm, Host: f.host, Kind: f.kind}
	if f.until != nil && !f.until.at.IsZero() {
		r.UntilTime = timestamppb.New(f.until.at)
	}
	if f.since == "" {
		return r, nil
	}
	if revision, err := strconv.ParseUint(f.since, 10, 64); err == nil {
		r.SinceRevision = revision
		return r, nil
	}
	if age, err := tsdb.ParseDuration(f.since); err == nil {
		r.SinceTime = timestamppb.New(now.Add(-time.Duration(age)))
		return r, nil
	}
	at := instant{now: func() time.Time { return now }}
	if err := at.Set(f.since); err != nil {
		return nil, usagef("--since %q is no age such as 10m or 1d, no time such as 2026-01-31T12:00:00Z, and no revision such as 1200", f.since)
	}
	r.SinceTime = timestamppb.New(at.at)
	return r, nil
}

func (a *app) eventList() *cobra.Command {
	flags := eventFlags{until: &instant{now: a.io.Now}}
	cmd := &cobra.Command{
		Use: "list", Short: "List the events that are kept", Args: cobra.NoArgs,
		Long: `List the events that the cluster keeps, oldest first. Events of machines' lives, as their hypervisors told them, are of
the kinds that begin with hypervisor.

  novacron event list --since 1h --vm web-1
  novacron event list --kind hypervisor. --since 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z -o json`,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, _ []string) error {
		req, err := flags.request(a.io.Now())
		if err != nil {
			return err
		}
		req.NoFollow = true
		var events []*pb.Event
		if err := c.events.each(ctx, req, func(e *pb.Event) error { events = append(events, e); return nil }); err != nil {
			return err
		}
		return list(a, a.eventTable(), events)
	})
	flags.register(a, cmd)
	cmd.Flags().Var(flags.until, "until", "only what came before this time")
	return cmd
}

func (a *app) eventWatch() *cobra.Command {
	var flags eventFlags
	cmd := &cobra.Command{
		Use: "watch", Short: "Follow the events", Args: cobra.NoArgs,
		Long: `Print the events that are kept and then every one that comes, until interrupted. After a lost connection it goes on
with the next event: none is missed and none comes twice.

  novacron event watch --since 10m
  novacron event watch --since 1200 -o json`,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, _ []string) error {
		req, err := flags.request(a.io.Now())
		if err != nil {
			return err
		}
		return stopped(ctx, c.events.each(ctx, req, a.printEvent))
	})
	flags.register(a, cmd)
	return cmd
}

func (a *app) printEvent(e *pb.Event) error {
	if !a.forPeople() {
		return a.writeEvent(e)
	}
	text := fmt.Sprintf("%s  %-20s %s", e.GetTime().AsTime().Local().Format(time.DateTime), e.GetKind(), firstOf(e.GetVmName(), e.GetVmId()))
	for _, more := range []string{e.GetHostName(), e.GetMessage()} {
		if more != "" {
			text += "  " + more
		}
	}
	_, err := fmt.Fprintln(a.io.Out, clean(text))
	return err
}

func (a *app) eventTable() table[*pb.Event] {
	return table[*pb.Event]{plural: "events", columns: []column[*pb.Event]{
		{name: "REVISION", text: func(e *pb.Event) string { return strconv.FormatUint(e.GetRevision(), 10) }},
		{name: "TIME", text: func(e *pb.Event) string { return e.GetTime().AsTime().UTC().Format(time.RFC3339) }},
		{name: "KIND", text: (*pb.Event).GetKind},
		{name: "VM", text: func(e *pb.Event) string { return firstOf(e.GetVmName(), e.GetVmId()) }},
		{name: "HOST", text: (*pb.Event).GetHostName},
		{name: "MESSAGE", text: (*pb.Event).GetMessage},
		{name: "ACTOR", where: wideAndCSV, text: (*pb.Event).GetActor},
	}}
}

// eventStream reads events over as many streams as it takes.
type eventStream struct{ client *client }

// each gives every event to f until the stream ends, f fails or the cluster stays away for longer than the timeout. A
// stream that breaks goes on after the last revision that was complete.
func (s eventStream) each(ctx context.Context, req *pb.WatchEventsRequest, f func(*pb.Event) error) error {
	last := &pb.Event{Revision: req.GetSinceRevision()}
	err := s.client.calls.do(ctx, func(ctx context.Context, news func()) error { return s.once(ctx, req, last, news, f) })
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s eventStream) once(ctx context.Context, req *pb.WatchEventsRequest, last *pb.Event, news func(), f func(*pb.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.eventService.WatchEvents(ctx, connect.NewRequest(req))
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		news()
		event := stream.Msg().GetEvent()
		if event == nil || event.GetRevision() == last.GetRevision() && event.GetIndex() <= last.GetIndex() && last.GetKind() != "" {
			continue // a heartbeat, or one that the stream before has brought
		}
		if err := f(event); err != nil {
			return err
		}
		last.Revision, last.Index, last.Kind = event.GetRevision(), event.GetIndex(), event.GetKind()
		req.SinceRevision = max(1, event.GetRevision()) - 1 // the rest of its revision may still come
	}
	if err := stream.Err(); err != nil {
		return err
	}
	if req.GetNoFollow() {
		return io.EOF
	}
	return connect.NewError(connect.CodeUnavailable, errStreamEnded)
}
