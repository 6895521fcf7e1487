package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
)

const (
	// untilTimeout is how long --until waits unless --timeout says otherwise: a guest under emulation takes minutes to boot.
	untilTimeout = 5 * time.Minute
	// bootPause is the pause before a machine that does not run yet is tried again.
	bootPause = 500 * time.Millisecond
)

// Ends of a console session that are no failures.
var (
	errDetached = errors.New("the user has left the console")
	errFound    = errors.New("the text was seen")
	errTimeUp   = errors.New("the time is up")
)

func (a *app) vmConsole() *cobra.Command {
	var until string
	cmd := &cobra.Command{
		Use: "console VM", Short: "Use the serial console of a virtual machine", Args: cobra.ExactArgs(1),
		Long: `Join the serial console. On a terminal every key goes to the guest but Ctrl-], which leaves.
Without a terminal, standard input goes to the guest and the console to standard output.
With --until the console is printed until the text is seen; the machine need not run yet. --timeout ends the session;
with --until that is a failure, and happens after 5m unless it says otherwise.

  novacron vm console web-1
  novacron vm console web-1 --until "login:" --timeout 2m
  echo reboot | novacron vm console web-1 --timeout 5s`,
		ValidArgsFunction: a.completeOnce(a.vmNames),
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client, args []string) error {
		s := &console{app: a, client: c, vm: args[0], until: newFinder(until)}
		switch {
		case cmd.Flags().Changed("timeout"):
			s.limit = a.timeout
		case until != "":
			s.limit = untilTimeout
		}
		return s.run(ctx)
	})
	cmd.Flags().StringVar(&until, "until", "", "leave when the console has shown this `text`")
	return cmd
}

// console is one visit to a serial console, over as many streams as it takes.
type console struct {
	*app
	client *client
	vm     string
	until  *finder
	limit  time.Duration
	keys   chan []byte
}

func (s *console) run(ctx context.Context) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	if s.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = withLimit(ctx, s.limit, errTimeUp)
		defer cancel()
	}
	restore, err := s.openKeys(ctx, leave)
	if err != nil {
		return err
	}
	err = s.stay(ctx)
	if restoreErr := restore(); restoreErr != nil {
		return errors.Join(err, restoreErr)
	}
	return s.verdict(ctx, err)
}

// openKeys starts to read the keyboard or the pipe. A terminal that only waits for a text is left to the shell.
func (s *console) openKeys(ctx context.Context, leave context.CancelCauseFunc) (restore func() error, err error) {
	restore = func() error { return nil }
	interactive := s.io.InTTY && s.until == nil
	if interactive && s.io.MakeRaw != nil {
		fmt.Fprintf(s.io.Err, "console of %s; Ctrl-] leaves\n", clean(s.vm))
		if restore, err = s.io.MakeRaw(); err != nil {
			return nil, fmt.Errorf("prepare the terminal: %w", err)
		}
	}
	if s.keys = make(chan []byte); interactive || !s.io.InTTY {
		go readKeys(ctx, s.io.In, s.keys, interactive, leave)
	}
	return restore, nil
}

// stay keeps a session up until it ends for good.
func (s *console) stay(ctx context.Context) error {
	for {
		err := s.client.calls.do(ctx, s.session)
		if s.until == nil || connect.CodeOf(err) != connect.CodeFailedPrecondition || !sleep(ctx, bootPause) {
			return err
		}
	}
}

// session joins the console over one stream.
func (s *console) session(ctx context.Context, news func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := s.client.vms.Console(ctx)
	defer func() { _ = stream.CloseResponse() }()
	if err := stream.Send(&pb.ConsoleRequest{Vm: s.vm, Project: s.project}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		s.pump(ctx, stream)
	}()
	err := s.receive(stream, news)
	cancel()
	<-pumped
	return err
}

// pump sends keys until the stream ends; the reason comes with what the stream answers.
func (s *console) pump(ctx context.Context, stream *connect.BidiStreamForClient[pb.ConsoleRequest, pb.ConsoleResponse]) {
	for {
		select {
		case data := <-s.keys:
			if stream.Send(&pb.ConsoleRequest{Data: data}) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *console) receive(stream *connect.BidiStreamForClient[pb.ConsoleRequest, pb.ConsoleResponse], news func()) error {
	for {
		msg, err := stream.Receive()
		if err != nil {
			return err
		}
		news()
		end, found := s.until.feed(msg.GetData())
		if _, err := s.io.Out.Write(msg.GetData()[:end]); err != nil {
			return err
		}
		if found {
			return errFound
		}
	}
}

// verdict tells the ends that are failures from those that are not.
func (s *console) verdict(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(err, errFound), errors.Is(cause, errDetached):
		fmt.Fprintln(s.io.Out)
		return nil
	case errors.Is(cause, errTimeUp) && s.until != nil:
		return &fault{
			what: fmt.Sprintf("%s: the console has not shown %q within %s", s.vm, s.until.text, s.limit),
			hint: "--timeout waits longer; `novacron vm show " + s.vm + "` tells the machine's state",
		}
	case errors.Is(cause, errTimeUp):
		return nil
	case cause != nil:
		return cause
	case errors.Is(err, io.EOF) && s.until != nil:
		return &fault{what: fmt.Sprintf("%s: the console ended before it had shown %q", s.vm, s.until.text)}
	case errors.Is(err, io.EOF):
		fmt.Fprintln(s.io.Err, "the console was closed")
		return nil
	}
	return err
}
