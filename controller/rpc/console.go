package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/node"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

type (
	consoleStream = connect.BidiStream[novacronv1.ConsoleRequest, novacronv1.ConsoleResponse]
	hostConsole   = connect.BidiStreamForClient[agentv1.ConsoleRequest, agentv1.ConsoleResponse]
)

// Console passes bytes between the caller and the machine's host until either ends.
func (s *vmService) Console(ctx context.Context, stream *consoleStream) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	record, host, err := s.placed(first.GetVm(), first.GetProject())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := agentv1connect.NewHostAgentServiceClient(s.Peers, memberURL(host.GetApiAddress()), connect.WithReadMaxBytes(node.MaxMessageBytes))
	console := client.Console(ctx)
	// net/http looks at the context of a stream that sends nothing only once its sending side is closed.
	defer context.AfterFunc(ctx, func() { _ = console.CloseRequest() })()
	if err := console.Send(&agentv1.ConsoleRequest{VmId: record.GetId(), Data: first.GetData()}); err != nil {
		return unreachable(host, err)
	}
	go pumpInput(stream, console, cancel)
	return pumpOutput(console, stream)
}

func pumpInput(from *consoleStream, to *hostConsole, cancel context.CancelFunc) {
	for {
		request, err := from.Receive()
		if errors.Is(err, io.EOF) { // the caller has no more to say, and may still listen
			_ = to.CloseRequest()
			return
		}
		if err != nil {
			cancel()
			return
		}
		if to.Send(&agentv1.ConsoleRequest{Data: request.GetData()}) != nil {
			return // the output side learns why
		}
	}
}

func pumpOutput(from *hostConsole, to *consoleStream) error {
	for {
		response, err := from.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.Send(&novacronv1.ConsoleResponse{Data: response.GetData()}); err != nil {
			return err
		}
	}
}

func unreachable(host *novacronv1.Member, err error) error {
	return connect.NewError(connect.CodeUnavailable, fmt.Errorf("host %s at %s cannot be reached: %w", host.GetName(), host.GetApiAddress(), err))
}
