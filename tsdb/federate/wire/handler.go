package wire

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
)

// NewHandler serves a shard, and says below which path. Evaluations as controllers ask for them are taken apart here, what
// else there is by Connect.
func NewHandler(s Server, options ...connect.HandlerOption) (string, http.Handler) {
	path, handler := agentv1connect.NewShardServiceHandler(s, options...)
	return path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch at := r.URL.Path; {
		case !plainly(r):
			handler.ServeHTTP(unhurried{w}, r)
		case at == agentv1connect.ShardServiceEvaluateProcedure:
			answer(w, r, &agentv1.EvaluateRequest{}, func(ctx context.Context, m *agentv1.EvaluateRequest, send func(proto.Message) error) error {
				return s.evaluate(ctx, m, func(m *agentv1.EvaluateResponse) error { return send(m) })
			})
		case at == agentv1connect.ShardServiceEvaluateSealedProcedure:
			answer(w, r, &agentv1.EvaluateSealedRequest{}, func(ctx context.Context, m *agentv1.EvaluateSealedRequest, send func(proto.Message) error) error {
				return s.evaluateSealed(ctx, m, func(m *agentv1.EvaluateSealedResponse) error { return send(m) })
			})
		case at == agentv1connect.ShardServiceRelayProcedure:
			s.serveRelay(w, r)
		default:
			handler.ServeHTTP(unhurried{w}, r)
		}
	})
}

// plainly tells whether a request is by Connect's protocol for streams with nothing to it that is optional.
func plainly(r *http.Request) bool {
	encoding := r.Header["Connect-Content-Encoding"]
	return r.Method == http.MethodPost && r.Header.Get("Content-Type") == streamType && (len(encoding) == 0 || encoding[0] == "identity")
}

// sendFrom is from how many bytes on an answer is sent before it is whole.
const sendFrom = 32 << 10

// answer reads the one message of a request and sends what it is answered with. What is short is sent at once, with its end.
func answer[Q proto.Message](w http.ResponseWriter, r *http.Request, question Q, do func(ctx context.Context, m Q, send func(proto.Message) error) error) {
	buffer, _ := buffers.Get().(*buffer)
	defer buffer.release()
	err := questionFrom(r, buffer, question)
	w.Header()["Content-Type"] = []string{streamType}
	out, begun := buffer.bytes[:0], false
	if err == nil {
		ctx, cancel := withTimeout(r)
		defer cancel()
		err = do(ctx, question, func(m proto.Message) (err error) {
			if len(out) >= sendFrom {
				begun = true
				if _, err := w.Write(out); err != nil {
					return err
				}
				out = out[:0]
			}
			if out, err = appendEnvelope(out, 0, m); err != nil {
				return errMarshal(err)
			}
			return nil
		})
	}
	if out, err = appendLast(out, err); err == nil {
		if !begun {
			w.Header()["Content-Length"] = []string{strconv.Itoa(len(out))}
		}
		_, _ = w.Write(out) // who has left hears nothing
		buffer.bytes = out
	}
}

// errMarshal says that an answer cannot be sent: the same as to a caller that Connect serves.
func errMarshal(err error) error {
	return connect.NewError(connect.CodeInternal, fmt.Errorf("marshal a message of the answer: %w", err))
}

// questionFrom reads the one message of a request.
func questionFrom(r *http.Request, buffer *buffer, m proto.Message) (err error) {
	if _, buffer.bytes, err = readEnvelope(r.Body, buffer.bytes, messageMax); err != nil {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("the question: %w", err))
	}
	if err := proto.Unmarshal(buffer.bytes, m); err != nil {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("the question: %w", err))
	}
	return nil
}

// withTimeout bounds the work by the time that the caller waits.
func withTimeout(r *http.Request) (context.Context, context.CancelFunc) {
	left, err := strconv.ParseInt(r.Header.Get(timeoutHeader), 10, 64)
	if err != nil || left < 0 || left > int64(24*time.Hour/time.Millisecond) {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), time.Duration(left)*time.Millisecond)
}

// unhurried leaves it to the server when it sends. Connect flushes after each message, so that who waits for the next one
// sees this one: here nobody looks at an answer before all of it is there, and most are so small that their head, message
// and end go out in one write.
type unhurried struct{ http.ResponseWriter }

// Flush does nothing. Connect insists on a writer that has it.
func (unhurried) Flush() {}
