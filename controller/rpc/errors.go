package rpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/blob"
	"github.com/novacron/novacron/cluster/consensus"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/state"
)

var (
	errPanicked = errors.New("this call met a bug; the controller goes on, and its log says more")
	// errUnfit is a file that can be no image, however it is declared.
	errUnfit = errors.New("the file cannot be an image")
)

// codes gives each error of the layers below its code on the wire. The first match counts.
func codes() []struct {
	err  error
	code connect.Code
} {
	return []struct {
		err  error
		code connect.Code
	}{
		{state.ErrNotFound, connect.CodeNotFound},
		{state.ErrExists, connect.CodeAlreadyExists},
		{state.ErrRefused, connect.CodeFailedPrecondition},
		{state.ErrInvalid, connect.CodeInvalidArgument},
		{state.ErrStale, connect.CodeAborted},
		{state.ErrCompacted, connect.CodeOutOfRange},
		{consensus.ErrTooLarge, connect.CodeInvalidArgument},
		{consensus.ErrUnknownServer, connect.CodeNotFound},
		{consensus.ErrLastVoter, connect.CodeFailedPrecondition},
		{consensus.ErrCorrupt, connect.CodeInvalidArgument},
		{consensus.ErrUpgrade, connect.CodeFailedPrecondition},
		{consensus.ErrNotLeader, connect.CodeUnavailable},
		{consensus.ErrOutcomeUnknown, connect.CodeUnavailable},
		{consensus.ErrClosed, connect.CodeUnavailable},
		{blob.ErrHashMismatch, connect.CodeInvalidArgument},
		{blob.ErrBadHash, connect.CodeInvalidArgument},
		{blob.ErrTooLarge, connect.CodeInvalidArgument},
		{blob.ErrQuota, connect.CodeResourceExhausted},
		{blob.ErrNoSpace, connect.CodeResourceExhausted},
		{blob.ErrNotFound, connect.CodeNotFound},
		{pki.ErrBadName, connect.CodeInvalidArgument},
		{pki.ErrBadCSR, connect.CodeInvalidArgument},
		{pki.ErrTTL, connect.CodeInvalidArgument},
		{context.DeadlineExceeded, connect.CodeDeadlineExceeded},
		{context.Canceled, connect.CodeCanceled},
	}
}

// toConnect gives an error its code; what has one already keeps it.
func toConnect(err error) error {
	if err == nil {
		return nil
	}
	if connectErr := (*connect.Error)(nil); errors.As(err, &connectErr) {
		return err
	}
	for _, known := range codes() {
		if errors.Is(err, known.err) {
			return connect.NewError(known.code, err)
		}
	}
	return connect.NewError(connect.CodeInternal, err)
}

func invalid(err error) error { return connect.NewError(connect.CodeInvalidArgument, err) }

// writeError answers before any handler is reached, in the protocol that the caller speaks.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	writer := connect.NewErrorWriter()
	if !writer.IsSupported(r) {
		http.Error(w, "this port speaks the Connect, gRPC and gRPC-Web protocols", http.StatusUnsupportedMediaType)
		return
	}
	_ = writer.Write(w, r, toConnect(err)) // a caller that is gone cannot be told
}

// errorInterceptor gives handlers' errors their codes, so that handlers need not.
type errorInterceptor struct{}

func (*errorInterceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		return response, toConnect(err)
	}
}

func (*errorInterceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (*errorInterceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return toConnect(next(ctx, conn))
	}
}
