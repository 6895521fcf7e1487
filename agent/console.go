package agent

import (
	"context"
	"errors"
	"io"
	"sync"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/agent/hypervisor"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
)

// hostService does for controllers what only the machine's host can.
type hostService struct{ machines *hypervisor.Manager }

var _ agentv1connect.HostAgentServiceHandler = hostService{}

const consoleChunk = 32 << 10

// Console passes bytes until the caller or the console ends.
func (s hostService) Console(ctx context.Context, stream *connect.BidiStream[agentv1.ConsoleRequest, agentv1.ConsoleResponse]) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	console, err := s.machines.Console(ctx, first.GetVmId())
	if err != nil {
		return connect.NewError(codeOf(err), err)
	}
	end := sync.OnceFunc(func() { _ = console.Close() }) // nothing more to say to it
	defer end()
	defer context.AfterFunc(ctx, end)()
	go func() {
		for data := first.GetData(); ; {
			if _, err := console.Write(data); err != nil {
				return // the reading side learns why
			}
			request, err := stream.Receive()
			if errors.Is(err, io.EOF) {
				return // the caller has no more to say, and may still listen
			}
			if err != nil {
				end()
				return
			}
			data = request.GetData()
		}
	}()
	return s.output(ctx, console, stream)
}

func (s hostService) output(ctx context.Context, console hypervisor.Console, stream *connect.BidiStream[agentv1.ConsoleRequest, agentv1.ConsoleResponse]) error {
	chunk := make([]byte, consoleChunk)
	for {
		n, err := console.Read(chunk)
		if n > 0 {
			if err := stream.Send(&agentv1.ConsoleResponse{Data: chunk[:n]}); err != nil {
				return err
			}
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
			return nil // the console ends when the machine stops
		case err != nil:
			return connect.NewError(connect.CodeUnavailable, err)
		}
	}
}

func codeOf(err error) connect.Code {
	switch {
	case errors.Is(err, hypervisor.ErrNotFound):
		return connect.CodeNotFound
	case errors.Is(err, hypervisor.ErrUnavailable):
		return connect.CodeUnavailable
	}
	return connect.CodeFailedPrecondition
}
