package rpc

import (
	"bytes"
	"context"
	"math"

	"connectrpc.com/connect"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/query"
)

// renderChunk is about how many bytes travel in one message.
const renderChunk = 64 << 10

// RenderMetrics evaluates and streams the answer in a format for display.
func (s *metricService) RenderMetrics(ctx context.Context, r *connect.Request[novacronv1.RenderMetricsRequest], stream *connect.ServerStream[novacronv1.RenderMetricsResponse]) error {
	options := renderOptions(r.Msg)
	if err := options.Check(); err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	answer, err := s.answer(ctx, r.Msg.GetQuestion())
	if err != nil {
		return queryFailed(ctx, err)
	}
	chunks := &chunkWriter{send: stream.Send, contentType: options.Format.ContentType()}
	if err := display.Render(chunks, shownAnswer(r.Msg.GetQuestion(), answer), options); err != nil {
		if chunks.err != nil {
			return chunks.err // that of the stream, with its code
		}
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return chunks.close(&novacronv1.QuerySummary{Warnings: answer.Warnings, Infos: answer.Infos})
}

func renderOptions(r *novacronv1.RenderMetricsRequest) display.Options {
	return display.Options{
		Format: display.Format(r.GetFormat()), View: display.View(r.GetView()),
		MaxPoints: int(min(r.GetMaxPoints(), math.MaxInt32)), Top: int(min(r.GetTop(), math.MaxInt32)),
	}
}

func shownAnswer(r *novacronv1.QueryMetricsRequest, answer query.Answer) display.Answer {
	return display.Answer{
		Rows: answer.Rows(), Instant: r.GetStart() == nil, Step: r.GetStep().AsDuration().Milliseconds(), Unit: query.UnitOf(r.GetQuery()),
		Warnings: answer.Warnings, Infos: answer.Infos,
	}
}

// chunkWriter sends bytes in messages.
type chunkWriter struct {
	send        func(*novacronv1.RenderMetricsResponse) error
	contentType string // until the first message is sent
	buf         bytes.Buffer
	err         error
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	n, _ := w.buf.Write(p)
	if w.buf.Len() < renderChunk {
		return n, nil
	}
	return n, w.flush(nil)
}

func (w *chunkWriter) flush(summary *novacronv1.QuerySummary) error {
	if w.err == nil {
		w.err = w.send(&novacronv1.RenderMetricsResponse{ContentType: w.contentType, Data: bytes.Clone(w.buf.Bytes()), Summary: summary})
	}
	w.contentType = ""
	w.buf.Reset()
	return w.err
}

// close sends what is left.
func (w *chunkWriter) close(summary *novacronv1.QuerySummary) error { return w.flush(summary) }
